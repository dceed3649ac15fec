//! Records rooms automatically, by the rules of the configuration: those that LiveKit's webhooks name, or that polling finds.

pub mod inbox;

mod retries;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::rule::{self, Rule};
use echosphere_livekit::webhook::Event;
use echosphere_recorder::rooms::{Room, RoomService};
use echosphere_store::{Event as InboxEvent, EventId, Origin, Store, What};
use sha2::{Digest, Sha256};

use self::retries::Retries;
use crate::clock::Clock;
use crate::config::Config;
use crate::names;
use crate::participants::Participants;
use crate::project_rules::ProjectRules;
use crate::recording::{Error, Recorder, RecordingRequest, start};
use crate::signals::Stop;
use crate::uploads::exclusion::Exclusion;

/// How often LiveKit is polled while webhooks come: then polling is only for what they missed.
const RECONCILE: Duration = Duration::from_secs(30);

/// What recording rooms automatically needs.
pub struct AutoRecord {
    /// The rules.
    pub rules: ProjectRules,
    /// Which project rooms are recorded for, and how LiveKit is reached.
    pub config: Arc<Config>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// What records.
    pub recorder: Arc<Recorder>,
    /// Rooms that are excluded by name.
    pub exclusion: Exclusion,
    /// Who was in rooms.
    pub participants: Participants,
    /// When the last webhook came that may begin a recording.
    pub last_webhook: LastWebhook,
    /// When rooms that were begun may be begun again, if they could not be joined.
    retries: Mutex<Retries>,
    /// Cancelled when the server is to stop.
    pub stop: Stop,
    /// The time of day.
    pub clock: Clock,
}

impl AutoRecord {
    /// For a recorder, with the rules that rooms are excluded by.
    pub fn new(recorder: Arc<Recorder>, exclusion: Exclusion) -> Self {
        Self {
            rules: exclusion.rules.clone(),
            config: Arc::clone(&recorder.config),
            store: Arc::clone(&recorder.store),
            participants: recorder.participants.clone(),
            stop: recorder.stop.clone(),
            clock: recorder.clock.clone(),
            last_webhook: LastWebhook::default(),
            retries: Mutex::default(),
            recorder,
            exclusion,
        }
    }

    /// Whether there are rules by which rooms are recorded without being asked.
    pub fn has_rules(&self) -> bool {
        let rules = self.rules.of(self.config.recording_project());
        rules.iter().any(|rule| matches!(rule, Rule::AutoRecord { .. }))
    }

    /// When rooms that could not be joined are tried again.
    fn retries(&self) -> MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is left to do.
    Done,
    /// It may succeed later.
    Later,
}

/// Handles a webhook: its room may be one that is to be recorded.
pub async fn webhook_came(auto: &AutoRecord, project: &ProjectId, event: &Event) -> Outcome {
    let kind = event.participant_kind.as_deref().unwrap_or_default();
    let is_agent = match event.name.as_str() {
        "participant_joined" => kind == "AGENT",
        // Tracks are published after participants joined; the webhook of one may be the first that arrives.
        "track_published" => false,
        _ => return Outcome::Done,
    };
    let wanted = wanted(auto.rules.of(project), &event.room_name, &event.room_sid);
    let begins = wanted == Some(Wanted::Always) || (wanted.is_some() && is_agent);
    if !begins
        || kind == "EGRESS"
        || project != auto.config.recording_project()
        || !allowed(auto, project, &event.room_name)
    {
        return Outcome::Done;
    }
    match auto.store.recorded_room(project, &event.room_sid).await {
        Ok(true) => Outcome::Done,
        Ok(false) => begin(auto, project, &event.room_name, &event.room_sid).await,
        Err(_) => Outcome::Later,
    }
}

/// Polls LiveKit for its rooms until the server stops.
pub async fn poll(auto: Arc<AutoRecord>) {
    if !auto.has_rules() || auto.config.livekit_url.is_none() {
        return;
    }
    loop {
        let pause = if auto.last_webhook.come() { RECONCILE } else { auto.config.recorder.poll_every };
        tokio::select! {
            () = auto.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        // LiveKit shows all its rooms to each of its keys, so one project polls, and the configuration alone says which: a project
        // that could become it by a webhook that it signed itself would record what the other excludes.
        let project = auto.config.recording_project();
        if let Err(error) = look(&auto, project).await {
            tracing::warn!(%project, %error, "LiveKit cannot be asked for its rooms");
        }
    }
}

async fn look(auto: &AutoRecord, project: &ProjectId) -> Result<(), echosphere_recorder::rooms::Error> {
    let (Some(url), Some(pair)) =
        (&auto.config.livekit_url, auto.config.project(project).and_then(|project| project.livekit.first()))
    else {
        return Ok(());
    };
    let service = RoomService::new(&auto.recorder.wire, url, &pair.key, &pair.secret);
    for room in service.rooms(auto.clock.now()).await? {
        let wanted = wanted(auto.rules.of(project), &room.name, &room.sid);
        let Some(wanted) = wanted.filter(|_| room.participants > 0 && allowed(auto, project, &room.name)) else {
            continue;
        };
        if is_recorded(auto, project, &room.sid).await {
            continue;
        }
        let agent = wanted == Wanted::Always
            || service.people(&room.name, auto.clock.now()).await?.iter().any(|person| person.kind == "AGENT");
        if agent {
            note_found(auto, project, room).await;
        }
    }
    Ok(())
}

/// Puts a room that polling found into the inbox.
async fn note_found(auto: &AutoRecord, project: &ProjectId, room: Room) {
    let now = auto.clock.now();
    let id = EventId { project: project.clone(), origin: Origin::Poll, id: room.sid.clone() };
    let found =
        InboxEvent { room_sid: room.sid, room_name: room.name, ..InboxEvent::received(id, What::RoomFound, now) };
    if let Err(error) = auto.store.apply(&found, now).await {
        tracing::warn!(%project, %error, "a room that was found cannot be noted now; it is found again");
    }
}

/// Handles a room that polling found: it is to be recorded, if it was not meanwhile.
async fn room_found(auto: &AutoRecord, project: &ProjectId, name: &str, sid: &str) {
    if !is_recorded(auto, project, sid).await {
        begin(auto, project, name, sid).await;
    }
}

/// Whether a room was recorded already: somebody may have stopped that on purpose.
async fn is_recorded(auto: &AutoRecord, project: &ProjectId, sid: &str) -> bool {
    auto.store.recorded_room(project, sid).await.unwrap_or(true)
}

async fn begin(auto: &AutoRecord, project: &ProjectId, room: &str, sid: &str) -> Outcome {
    if !auto.retries().is_due(sid, Instant::now()) {
        // Polling comes back to it.
        return Outcome::Done;
    }
    let request = RecordingRequest { room_name: room.to_owned(), ..RecordingRequest::default() };
    match Box::pin(start(&auto.recorder, project, request)).await {
        Ok((recording, _)) => {
            auto.retries().tried(sid, Instant::now());
            tracing::info!(recording = %recording.id, room = names::shown(room), "a room is recorded without being asked");
        }
        Err(Error::Already(other)) => return already(auto, project, other, sid).await,
        Err(error) => {
            tracing::error!(room = names::shown(room), %error, "a room that should be recorded is not");
            return if error.may_pass() { Outcome::Later } else { Outcome::Done };
        }
    }
    Outcome::Done
}

/// A room of that name is being recorded: this one, or the one before it, which is about to end.
async fn already(auto: &AutoRecord, project: &ProjectId, other: RecordingId, sid: &str) -> Outcome {
    match auto.store.recording(project, other).await {
        Ok(Some((recording, _))) if recording.room_sid.as_deref().is_none_or(|known| known == sid) => Outcome::Done,
        _ => Outcome::Later,
    }
}

/// Whether a project's rooms of that name may be recorded automatically.
fn allowed(auto: &AutoRecord, project: &ProjectId, room: &str) -> bool {
    auto.config.project(project).is_some_and(|project| project.recording) && !auto.exclusion.is_excluded(project, room)
}

/// When a room is to be recorded without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    /// Once an agent is there.
    WithAgent,
    /// Whoever is there.
    Always,
}

/// What the rules say of a room. Whether it is in the share of a rule follows from its id, so that every caller decides alike.
fn wanted(rules: &[Rule], name: &str, sid: &str) -> Option<Wanted> {
    let share = Sha256::digest(sid.as_bytes());
    let lot = u64::from(u16::from_be_bytes([share[0], share[1]])) * 100 / 65_536;
    let of = |rule: &Rule| match rule {
        Rule::AutoRecord { rooms, agents, percent } if rule::matches_pattern(rooms, name) && lot < *percent => {
            Some(if *agents { Wanted::WithAgent } else { Wanted::Always })
        }
        _ => None,
    };
    rules.iter().filter_map(of).max()
}

/// When the last webhook came that may begin a recording.
#[derive(Debug, Default)]
pub struct LastWebhook(Mutex<Option<Instant>>);

impl LastWebhook {
    fn slot(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One came now.
    pub fn came(&self) {
        *self.slot() = Some(Instant::now());
    }

    /// Whether one came in the last ten minutes.
    pub fn come(&self) -> bool {
        self.slot().is_some_and(|last| last.elapsed() < Duration::from_secs(600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_share_and_always_the_same() {
        let rule = |percent| [Rule::AutoRecord { rooms: "call-*".to_owned(), agents: false, percent }];
        let chosen = (0..2_000).filter(|n| wanted(&rule(30), "call-1", &format!("RM_{n}")).is_some()).count();
        assert!((500..700).contains(&chosen), "{chosen}");
        assert_eq!(wanted(&rule(100), "call-1", "RM_x"), Some(Wanted::Always));
        assert_eq!([wanted(&rule(0), "call-1", "RM_x"), wanted(&rule(100), "other", "RM_x")], [None, None]);
    }

    #[test]
    fn the_rule_that_asks_for_least_counts() {
        let rule = |rooms: &str, agents| Rule::AutoRecord { rooms: rooms.to_owned(), agents, percent: 100 };
        let rules = [rule("call-1", false), rule("*", true), Rule::ExcludeRooms { rooms: "x".to_owned() }];
        assert_eq!(wanted(&rules, "call-1", "RM_x"), Some(Wanted::Always));
        assert_eq!(wanted(&rules, "call-2", "RM_x"), Some(Wanted::WithAgent));
    }
}
