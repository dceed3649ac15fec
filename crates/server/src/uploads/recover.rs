//! Recovers uploads that an earlier process left unfinished.

use std::io;

use echosphere_domain::id::{TaskId, UploadId};
use echosphere_store::{Sealed, Upload, UploadState};

use super::{Uploads, body, exclusion, refusal};
use crate::entropy;

/// Finishes the uploads of an earlier process: what had come of a body becomes a cut upload; an empty one, one that must not be
/// kept, and files that no upload needs any more are removed. Called once, before requests are served.
pub async fn recover(uploads: &Uploads) -> Result<(), echosphere_store::Error> {
    for upload in uploads.store.unfinished_uploads().await? {
        let bytes = std::fs::metadata(uploads.data.spool(upload.id)).map_or(0, |meta| meta.len());
        if bytes == 0 {
            uploads.store.abandon_upload(upload.id).await?;
            continue;
        }
        if let Some(header) = header(uploads, &upload).await {
            if let Some(gone) = refusal::ask(uploads, &upload, &header, upload.room_name.as_deref()).await? {
                refusal::note(&upload, gone);
                uploads.forget(upload.id).await?;
                continue;
            }
            uploads.store.note_session(upload.id, &exclusion::ids(&header), None).await?;
        }
        tracing::warn!(upload = %upload.id, bytes, "an upload was cut by the end of the last process; what had come is kept");
        let now = uploads.clock.now();
        let task = TaskId::new(entropy::uuid(now));
        uploads.store.seal_upload(upload.id, Sealed { bytes, complete: false }, task, now).await?;
    }
    remove_leftovers(uploads).await
}

async fn remove_leftovers(uploads: &Uploads) -> Result<(), echosphere_store::Error> {
    let Ok(entries) = std::fs::read_dir(uploads.data.spool_folder()) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // A name that is no upload's is not ours.
        let stem = |name: &str| name.strip_suffix(".ogg").unwrap_or(name).parse::<UploadId>().ok();
        let Some(id) = name.to_str().and_then(stem) else { continue };
        let is_needed = |upload: Upload| {
            matches!(upload.state, UploadState::Received | UploadState::Held | UploadState::Quarantined)
        };
        let needed = uploads.store.upload(id).await?.is_some_and(is_needed);
        if !needed && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(upload = %id, %error, "a spool file that nothing needs cannot be removed");
        }
    }
    Ok(())
}

/// The header of a spooled upload, if it came whole and can be read.
pub async fn header(uploads: &Uploads, upload: &Upload) -> Option<echosphere_livekit::session_upload::header::Header> {
    let (path, content_type) = (uploads.data.spool(upload.id), upload.content_type.clone());
    let read = tokio::task::spawn_blocking(move || body::read_header(&path, &content_type)).await;
    read.unwrap_or_else(|error| Err(io::Error::other(error))).ok().flatten()
}
