//! Rooms that are recorded without being asked: told of by LiveKit's webhooks, or found by asking.

use std::time::{Duration, Instant};

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_livekit::webhook::Event;
use echosphere_recorder::rooms::RoomService;
use sha2::{Digest, Sha256};

use super::{Error, Wish, start};
use crate::app::{App, SharedApp};
use crate::config::{AutoRecord, matches_pattern};
use crate::{clock, names};

/// While webhooks come, asking is only for what they lost.
const RECONCILE: Duration = Duration::from_secs(30);

/// What became of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// It may succeed later.
    Later,
}

/// A webhook came: a room may be one that is to be recorded.
pub async fn told(app: &SharedApp, project: &ProjectId, event: &Event) -> Outcome {
    let rule = &app.config.recorder.auto;
    let begins = match event.name.as_str() {
        "participant_joined" => {
            let kind = event.participant_kind.as_deref().unwrap_or_default();
            kind != "EGRESS" && (!rule.agents || kind == "AGENT")
        }
        // Tracks come after participants; one of them may be the first that we hear of.
        "track_published" => !rule.agents && event.participant_kind.as_deref() != Some("EGRESS"),
        _ => false,
    };
    if !begins
        || project != app.config.recording_project()
        || !allowed(app, project, &event.room_name)
        || !wanted(rule, &event.room_name, &event.room_sid)
    {
        return Outcome::Done;
    }
    match app.store.recorded_room(project, &event.room_sid).await {
        Ok(true) => Outcome::Done,
        Ok(false) => begin(app, project, &event.room_name, &event.room_sid).await,
        Err(_) => Outcome::Later,
    }
}

/// Asks LiveKit for its rooms, over and over, until the server stops.
pub async fn poll(app: SharedApp) {
    let mut stopping = app.stopping.subscribe();
    if app.config.recorder.auto.rooms.is_empty() || app.config.livekit_url.is_none() {
        return;
    }
    loop {
        let pause = if app.rooms.webhooks_come() { RECONCILE } else { app.config.recorder.poll_every };
        tokio::select! {
            _ = stopping.changed() => return,
            () = tokio::time::sleep(pause) => {}
        }
        // LiveKit shows all its rooms to each of its keys, so one project asks, and which one the configuration says alone: whoever
        // could move it by a webhook that it signed itself would record what the other leaves out.
        let project = app.config.recording_project();
        if let Err(error) = look(&app, project).await {
            tracing::warn!(%project, %error, "LiveKit cannot be asked for its rooms");
        }
    }
}

async fn look(app: &SharedApp, project: &ProjectId) -> Result<(), echosphere_recorder::rooms::Error> {
    let (Some(url), Some(pair)) =
        (&app.config.livekit_url, app.config.project(project).and_then(|project| project.livekit.first()))
    else {
        return Ok(());
    };
    let service = RoomService::new(&app.wire, url, &pair.key, &pair.secret);
    let rule = &app.config.recorder.auto;
    for room in service.rooms(clock::now()).await? {
        let is_wanted = allowed(app, project, &room.name) && wanted(rule, &room.name, &room.sid);
        if room.participants == 0 || !is_wanted || is_recorded(app, project, &room.sid).await {
            continue;
        }
        let agent =
            !rule.agents || service.people(&room.name, clock::now()).await?.iter().any(|person| person.kind == "AGENT");
        if agent {
            begin(app, project, &room.name, &room.sid).await;
        }
    }
    Ok(())
}

/// Whether a room was recorded already: somebody may have stopped that on purpose.
async fn is_recorded(app: &App, project: &ProjectId, sid: &str) -> bool {
    app.store.recorded_room(project, sid).await.unwrap_or(true)
}

async fn begin(app: &SharedApp, project: &ProjectId, room: &str, sid: &str) -> Outcome {
    if !app.rooms.retries().is_due(sid, Instant::now()) {
        // Polling comes back to it.
        return Outcome::Done;
    }
    let wish = Wish { room_name: room.to_owned(), ..Wish::default() };
    match Box::pin(start(app, project, wish)).await {
        Ok((recording, _)) => {
            app.rooms.retries().tried(sid, Instant::now());
            tracing::info!(recording = %recording.id, room = names::shown(room), "a room is recorded without being asked");
        }
        Err(Error::Already(other)) => return already(app, project, other, sid).await,
        Err(error) => {
            tracing::error!(room = names::shown(room), %error, "a room that should be recorded is not");
            return if error.may_pass() { Outcome::Later } else { Outcome::Done };
        }
    }
    Outcome::Done
}

/// A room of that name is being recorded: this one, or the one before it, which is about to end.
async fn already(app: &App, project: &ProjectId, other: RecordingId, sid: &str) -> Outcome {
    match app.store.recording(project, other).await {
        Ok(Some((recording, _))) if recording.room_sid.as_deref().is_none_or(|known| known == sid) => Outcome::Done,
        _ => Outcome::Later,
    }
}

/// Whether a project's rooms of that name may be recorded without being asked.
fn allowed(app: &App, project: &ProjectId, room: &str) -> bool {
    app.config.project(project).is_some_and(|project| project.recording && !project.excludes_room(room))
}

/// Whether a rule wants a room. The choice of a share follows from the room's id, so that all who ask decide alike.
fn wanted(rule: &AutoRecord, name: &str, sid: &str) -> bool {
    let share = Sha256::digest(sid.as_bytes());
    let lot = u64::from(u16::from_be_bytes([share[0], share[1]])) * 100 / 65_536;
    rule.rooms.iter().any(|pattern| matches_pattern(pattern, name)) && lot < rule.percent
}

/// When a webhook came last that begins recordings.
#[derive(Debug, Default)]
pub struct LastWebhook(std::sync::Mutex<Option<Instant>>);

impl LastWebhook {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One came now.
    pub fn came(&self) {
        *self.slot() = Some(Instant::now());
    }

    /// Whether they come at all, lately.
    pub fn come(&self) -> bool {
        self.slot().is_some_and(|last| last.elapsed() < Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share_and_always_the_same() {
        let rule = |percent| AutoRecord { rooms: vec!["call-*".to_owned()], agents: false, percent };
        let chosen = (0..2_000).filter(|n| wanted(&rule(30), "call-1", &format!("RM_{n}"))).count();
        assert!((500..700).contains(&chosen), "{chosen}");
        assert!(wanted(&rule(100), "call-1", "RM_x") && !wanted(&rule(0), "call-1", "RM_x"));
        assert!(!wanted(&rule(100), "other", "RM_x"));
    }
}
