//! What an earlier process left behind.

use std::io;

use echosphere_domain::id::{TaskId, UploadId};
use echosphere_store::{Sealed, Upload, UploadState};

use super::{body, door};
use crate::app::App;
use crate::{clock, entropy, excluded};

/// Brings the uploads of an earlier process to an end: what had come of a body becomes a cut upload, an empty one and one that must
/// not be kept go, and files that no upload needs any more go too. Called once, before requests are served.
pub async fn recover(app: &App) -> Result<(), echosphere_store::Error> {
    for upload in app.store.unfinished_uploads().await? {
        let bytes = std::fs::metadata(app.data.spool(upload.id)).map_or(0, |meta| meta.len());
        if bytes == 0 {
            app.store.abandon_upload(upload.id).await?;
            continue;
        }
        if let Some(header) = header(app, &upload).await {
            if let Some(gone) = door::refusal(app, &upload, &header, upload.room_name.as_deref()).await? {
                door::note(&upload, gone);
                super::forget(app, upload.id).await?;
                continue;
            }
            app.store.note_session(upload.id, &excluded::ids(&header), None).await?;
        }
        tracing::warn!(upload = %upload.id, bytes, "an upload was cut by the end of the last process; what had come is kept");
        let now = clock::now();
        let task = TaskId::new(entropy::uuid(now));
        app.store.seal_upload(upload.id, Sealed { bytes, complete: false }, task, now).await?;
    }
    remove_leftovers(app).await
}

async fn remove_leftovers(app: &App) -> Result<(), echosphere_store::Error> {
    let Ok(entries) = std::fs::read_dir(app.data.spool_folder()) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        // A name that is no upload's is not ours.
        let stem = |name: &str| name.strip_suffix(".ogg").unwrap_or(name).parse::<UploadId>().ok();
        let Some(id) = name.to_str().and_then(stem) else { continue };
        let is_needed = |upload: Upload| matches!(upload.state, UploadState::Received | UploadState::Held);
        let needed = app.store.upload(id).await?.is_some_and(is_needed);
        if !needed && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(upload = %id, %error, "a spool file that nothing needs cannot be removed");
        }
    }
    Ok(())
}

/// The header of a spooled upload, if it came whole and can be read.
pub async fn header(app: &App, upload: &Upload) -> Option<echosphere_livekit::session_upload::header::Header> {
    let (path, content_type) = (app.data.spool(upload.id), upload.content_type.clone());
    let read = tokio::task::spawn_blocking(move || body::read_header(&path, &content_type)).await;
    read.unwrap_or_else(|error| Err(io::Error::other(error))).ok().flatten()
}
