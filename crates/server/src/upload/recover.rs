//! What an earlier process left behind, and what must not be kept at all.

use std::io;

use echosphere_domain::id::{TaskId, UploadId};
use echosphere_store::{Sealed, Upload, UploadState};

use super::body;
use crate::app::App;
use crate::{clock, entropy};

/// Brings the uploads of an earlier process to an end: what had come of a body becomes a cut upload, an empty one goes, and
/// files that no upload needs any more go too. Called once, before requests are served.
pub async fn recover(app: &App) -> Result<(), echosphere_store::Error> {
    for upload in app.store.unfinished_uploads().await? {
        let bytes = std::fs::metadata(app.data.spool(upload.id)).map_or(0, |meta| meta.len());
        if bytes == 0 {
            app.store.abandon_upload(upload.id).await?;
            continue;
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
        let needed = app.store.upload(id).await?.is_some_and(|upload| upload.state == UploadState::Received);
        if !needed && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(upload = %id, %error, "a spool file that nothing needs cannot be removed");
        }
    }
    Ok(())
}

/// Whether recording is switched off for the room of a spooled upload, by the name that its header (or, for the Node SDK, the
/// telemetry before it) gives the room.
pub async fn is_room_excluded(app: &App, upload: &Upload) -> bool {
    let Some(project) = app.config.project(&upload.project).filter(|project| !project.excluded_rooms.is_empty()) else {
        return false;
    };
    let (path, content_type) = (app.data.spool(upload.id), upload.content_type.clone());
    let read = tokio::task::spawn_blocking(move || body::read_header(&path, &content_type)).await;
    let Ok(Some(header)) = read.unwrap_or_else(|error| Err(io::Error::other(error))) else { return false };
    let mut room = header.summary.room_name;
    if let (None, Some(job)) = (&room, &header.job_id) {
        room = app.store.session_facts(&upload.project, job).await.ok().and_then(|facts| facts.room_name);
    }
    room.is_some_and(|room| project.excludes_room(&room))
}
