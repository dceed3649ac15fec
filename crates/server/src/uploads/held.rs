//! Held uploads: while rules exclude rooms by name, an upload whose room has no known name waits for it, for a limited time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::{ProjectId, TaskId};
use echosphere_domain::time::WallTime;
use echosphere_recorder::rooms::Room;
use echosphere_store::{Error, Gone, SessionIds, Upload, UploadState};

use super::Uploads;
use super::exclusion::Answer;
use crate::config::UnknownRoom;
use crate::entropy;

/// Uploads that are looked at in one round.
const BATCH: u32 = 500;

/// Looks at held uploads until the server stops: when something wakes it, and periodically.
pub async fn run(uploads: Arc<Uploads>) {
    let pause = (uploads.config.unknown_room_wait / 4).clamp(Duration::from_millis(200), Duration::from_secs(15));
    loop {
        let rung = uploads.held.rung();
        if let Err(error) = round(&uploads).await {
            tracing::warn!(%error, "uploads that wait for the name of their room cannot be looked at now");
        }
        tokio::select! {
            () = uploads.stop.cancelled() => return,
            () = rung => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(uploads: &Uploads) -> Result<(), Error> {
    let now = uploads.clock.now();
    let mut rooms: HashMap<ProjectId, Vec<Room>> = HashMap::new();
    for upload in uploads.store.uploads_before(UploadState::Held, WallTime::from_nanos(i64::MAX), BATCH).await? {
        let session = SessionIds { job_id: upload.job_id.clone(), room_sid: upload.room_sid.clone(), started_at: None };
        let mut answer = uploads.exclusion.ask(&upload.project, &session, upload.room_name.as_deref()).await?;
        if let (Answer::Unknown, Some(sid)) = (answer, &upload.room_sid) {
            if !rooms.contains_key(&upload.project) {
                rooms.insert(upload.project.clone(), uploads.exclusion.rooms(&upload.project).await);
            }
            let listed = rooms.get(&upload.project).into_iter().flatten().find(|room| room.sid == *sid);
            if let Some(room) = listed.filter(|room| !room.name.is_empty()) {
                uploads.store.note_session(upload.id, &session, Some(&room.name)).await?;
                answer = uploads.exclusion.ask(&upload.project, &session, Some(&room.name)).await?;
            }
        }
        decide(uploads, &upload, &session, answer, now).await?;
    }
    Ok(())
}

async fn decide(
    uploads: &Uploads,
    upload: &Upload,
    session: &SessionIds,
    answer: Answer,
    now: WallTime,
) -> Result<(), Error> {
    let is_due = upload.received_at.after(uploads.config.unknown_room_wait) <= now;
    match answer {
        Answer::Kept => release(uploads, upload, false).await,
        Answer::Excluded => uploads.exclusion.refuse(&upload.project, session, Gone::Excluded).await,
        Answer::Unknown if !is_due => Ok(()),
        Answer::Unknown if uploads.config.unknown_room == UnknownRoom::Keep => {
            tracing::warn!(upload = %upload.id, "the name of an upload's room stays unknown; it is kept (uploads.unknown_room)");
            release(uploads, upload, true).await
        }
        Answer::Unknown => {
            tracing::warn!(upload = %upload.id, "the name of an upload's room stays unknown; it is deleted (uploads.unknown_room)");
            metrics::counter!("echosphere_uploads_total", "outcome" => "unknown_room_deleted").increment(1);
            uploads.exclusion.refuse(&upload.project, session, Gone::Deleted).await?;
            uploads.forget(upload.id).await
        }
    }
}

/// Releases an upload to be ingested; with `without_name` even if its room's name stays unknown.
pub async fn release(uploads: &Uploads, upload: &Upload, without_name: bool) -> Result<(), Error> {
    let now = uploads.clock.now();
    uploads.store.release_upload(upload.id, without_name, TaskId::new(entropy::uuid(now)), now).await?;
    uploads.jobs.ring();
    Ok(())
}
