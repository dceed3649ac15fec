//! The trait `TombstoneRows`: reads and writes the rows of tombstones, which keep what was deleted, excluded or refused from coming back.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;

use crate::{Gone, Result, SessionIds};

/// How much a tombstone is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A session alone.
    Session,
    /// All sessions of a room.
    Room,
}

/// The tombstone of a session, or of its room.
pub(crate) struct Tombstone<'a> {
    /// The project.
    pub(crate) project: &'a ProjectId,
    /// The recording that was deleted, if there was one.
    pub(crate) recording: Option<RecordingId>,
    /// The session.
    pub(crate) session: &'a SessionIds,
    /// How much it is about.
    pub(crate) scope: Scope,
    /// Why.
    pub(crate) reason: Gone,
}

/// The rows of tombstones.
#[async_trait]
pub(crate) trait TombstoneRows {
    /// Why nothing may be kept of telemetry of a session; `None` when it may be kept.
    async fn gone_of(&mut self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// Why nothing may be kept of an upload of a session; `None` when it may be kept.
    async fn gone_of_upload(&mut self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// Inserts the tombstone of a recording: of its room, or of its session; where nobody came, of nothing but what was kept.
    async fn entomb_recording(&mut self, recording: RecordingId, at: WallTime) -> Result<()>;

    /// Inserts the tombstones of the sessions in a recording that have none.
    async fn entomb_sessions_of(&mut self, recording: RecordingId, at: WallTime) -> Result<()>;

    /// The number of such a tombstone, if there is one.
    async fn find_tombstone(&mut self, tombstone: &Tombstone<'_>) -> Result<Option<i64>>;

    /// Inserts a tombstone; returns its number.
    async fn insert_tombstone(&mut self, tombstone: &Tombstone<'_>, at: WallTime) -> Result<i64>;
}
