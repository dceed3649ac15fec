//! Uploads whose room has no name yet, while rules leave rooms out by name: they wait for the name, for a while.

use std::collections::HashMap;
use std::time::Duration;

use echosphere_domain::id::{ProjectId, TaskId};
use echosphere_domain::time::WallTime;
use echosphere_recorder::rooms::Room;
use echosphere_store::{Error, Gone, SessionIds, Upload, UploadState};
use tokio::sync::Notify;

use crate::app::{App, SharedApp};
use crate::config::UnknownRoom;
use crate::excluded::{self, Answer};
use crate::{clock, entropy};

/// Uploads that are looked at in one round.
const BATCH: u32 = 500;

/// The bell that wakes whoever looks at what is held.
#[derive(Debug, Default)]
pub struct Held {
    bell: Notify,
}

impl Held {
    /// A name may be known now, or something new is held.
    pub fn wake(&self) {
        self.bell.notify_one();
    }
}

/// Looks at what is held until the server stops: when something wakes it, and now and then.
pub async fn run(app: SharedApp) {
    let pause = (app.config.unknown_room_wait / 4).clamp(Duration::from_millis(200), Duration::from_secs(15));
    let mut stopping = app.stopping.subscribe();
    loop {
        if let Err(error) = round(&app).await {
            tracing::warn!(%error, "uploads that wait for the name of their room cannot be looked at now");
        }
        tokio::select! {
            _ = stopping.changed() => return,
            () = app.held.bell.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn round(app: &App) -> Result<(), Error> {
    let now = clock::now();
    let mut rooms: HashMap<ProjectId, Vec<Room>> = HashMap::new();
    for upload in app.store.uploads_before(UploadState::Held, WallTime::from_nanos(i64::MAX), BATCH).await? {
        let session = SessionIds { job_id: upload.job_id.clone(), room_sid: upload.room_sid.clone(), started_at: None };
        let mut answer = excluded::ask(app, &upload.project, &session, upload.room_name.as_deref()).await?;
        if let (Answer::Unknown, Some(sid)) = (answer, &upload.room_sid) {
            if !rooms.contains_key(&upload.project) {
                rooms.insert(upload.project.clone(), excluded::rooms(app, &upload.project).await);
            }
            let listed = rooms.get(&upload.project).into_iter().flatten().find(|room| room.sid == *sid);
            if let Some(room) = listed.filter(|room| !room.name.is_empty()) {
                app.store.note_session(upload.id, &session, Some(&room.name)).await?;
                answer = excluded::ask(app, &upload.project, &session, Some(&room.name)).await?;
            }
        }
        settle(app, &upload, &session, answer, now).await?;
    }
    Ok(())
}

async fn settle(app: &App, upload: &Upload, session: &SessionIds, answer: Answer, now: WallTime) -> Result<(), Error> {
    let is_due = upload.received_at.after(app.config.unknown_room_wait) <= now;
    match answer {
        Answer::Kept => release(app, upload, false).await,
        Answer::Excluded => excluded::refuse(app, &upload.project, session, Gone::Excluded).await,
        Answer::Unknown if !is_due => Ok(()),
        Answer::Unknown if app.config.unknown_room == UnknownRoom::Keep => {
            tracing::warn!(upload = %upload.id, "the name of an upload's room stays unknown; it is kept (uploads.unknown_room)");
            release(app, upload, true).await
        }
        Answer::Unknown => {
            tracing::warn!(upload = %upload.id, "the name of an upload's room stays unknown; it is deleted (uploads.unknown_room)");
            metrics::counter!("echosphere_uploads_total", "outcome" => "unknown_room_deleted").increment(1);
            excluded::refuse(app, &upload.project, session, Gone::Deleted).await?;
            super::forget(app, upload.id).await
        }
    }
}

/// An upload is read now.
pub async fn release(app: &App, upload: &Upload, without_name: bool) -> Result<(), Error> {
    let now = clock::now();
    app.store.release_upload(upload.id, without_name, TaskId::new(entropy::uuid(now)), now).await?;
    app.work.wake();
    Ok(())
}
