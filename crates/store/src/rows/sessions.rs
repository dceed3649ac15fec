//! The trait `SessionRows`: reads and writes the rows of sessions of rooms.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;

use super::tombstones::Scope;
use crate::{Join, Result, SessionIds};

/// A session that a room's recording holds.
#[derive(Clone, Copy)]
pub(crate) struct SessionInRoom {
    /// The room's recording.
    pub(crate) room: RecordingId,
    /// The session's capture there.
    pub(crate) capture: CaptureId,
}

/// A recording that captured a room.
pub(crate) struct CapturedRoom {
    /// The recording.
    pub(crate) recording: Recording,
    /// When the first of its captures of the room began.
    pub(crate) heard_from: Option<WallTime>,
    /// When the last of them ended.
    pub(crate) heard_to: Option<WallTime>,
    /// Whether one of them has sound.
    pub(crate) has_sound: bool,
}

/// Sessions, as rows of captures and recordings name them.
#[async_trait]
pub(crate) trait SessionRows {
    /// The separate recordings of the sessions that a room's recording contains.
    async fn copies_of(&mut self, room: RecordingId) -> Result<Vec<RecordingId>>;

    /// The captures of which a recording's captures are copies.
    async fn originals_of(&mut self, own: RecordingId) -> Result<Vec<SessionInRoom>>;

    /// What recordings of rooms hold of a session, or of all sessions of its room.
    async fn sessions_in_rooms(
        &mut self,
        project: &ProjectId,
        session: &SessionIds,
        scope: Scope,
    ) -> Result<Vec<SessionInRoom>>;

    /// The recordings of a session, or of all sessions of its room, that did not capture the room and are not being deleted.
    async fn recordings_of_session(
        &mut self,
        project: &ProjectId,
        session: &SessionIds,
        scope: Scope,
    ) -> Result<Vec<RecordingId>>;

    /// The recording that an earlier upload of a session in a room's recording has of its own.
    async fn own_recording_of(
        &mut self,
        room: RecordingId,
        job_id: Option<&str>,
        started_at: Option<WallTime>,
    ) -> Result<Option<RecordingId>>;

    /// The recording that has an upload of the same session.
    async fn same_session(&mut self, join: &Join) -> Result<Option<Recording>>;

    /// The recordings that captured a room, newest first; a hundred at most.
    async fn captured_rooms(&mut self, project: &ProjectId, room_sid: &str) -> Result<Vec<CapturedRoom>>;

    /// The captures in a recording that are sessions and were read.
    async fn sessions_in(&mut self, room: RecordingId) -> Result<Vec<CaptureId>>;

    /// The rooms that rows name together with a job.
    async fn rooms_of_job(&mut self, project: &ProjectId, job_id: Option<&str>) -> Result<Vec<String>>;

    /// The jobs that rows name together with a room.
    async fn jobs_of_room(&mut self, project: &ProjectId, room_sid: Option<&str>) -> Result<Vec<String>>;
}
