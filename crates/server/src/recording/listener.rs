//! Listens in a room: passes what happens to the capture, and ends it when a limit is reached.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::time::WallTime;
use echosphere_recorder::log::{Body, ended};
use echosphere_recorder::room::{self, Command, Listener, people};
use echosphere_store::LeftOut;

use super::session::RoomSession;

/// How long the disk may accept nothing before a room is left.
const DISK_PATIENCE: Duration = Duration::from_secs(10);

/// What listens in a room.
pub(super) struct RoomListener {
    pub(super) session: Arc<RoomSession>,
    /// Why we end it ourselves.
    pub(super) ended_by: Option<&'static str>,
}

impl RoomListener {
    /// Why it ended, for the log.
    pub(super) fn word(&self, end: &room::End) -> String {
        let ours = self.ended_by.filter(|_| *end == room::End::Stopped);
        ours.unwrap_or_else(|| end.word()).to_owned()
    }

    /// Why it should end now, if it should.
    fn limit(&self) -> Option<&'static str> {
        let RoomSession { recorder, recording, outbox, .. } = &*self.session;
        let lasted = recorder.clock.now().since(recording.created_at);
        if i128::from(lasted) > recorder.config.recorder.max_duration.as_nanos() as i128 {
            return Some(ended::MAX_DURATION);
        }
        let full = recorder.registry.journal.failure_lasts(DISK_PATIENCE) || outbox.failure_lasts(DISK_PATIENCE);
        full.then_some(ended::DISK_FULL)
    }
}

impl Listener for RoomListener {
    fn wall(&self, at: Instant) -> i64 {
        self.session.capture().clock().at(at)
    }

    fn entry(&mut self, at: Instant, body: Body) {
        self.session.capture().take(at, body);
    }

    fn excluded(&mut self, at: Instant, who: people::Excluded) {
        let from = who.was_recorded.then(|| WallTime::from_nanos(self.wall(at)));
        self.session.excluded().push((who.identity, LeftOut { agent: who.agent, from }));
    }

    fn tick(&mut self, _: Instant) -> Option<Command> {
        if self.ended_by.is_some() {
            return None;
        }
        self.ended_by = self.limit();
        let reason = self.ended_by?;
        tracing::warn!(recording = %self.session.recording.id, reason, "a recording is ended by us");
        Some(Command::Stop)
    }
}
