//! Sessions of rooms: the recordings of one room, and the recordings that sessions have of their own.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::lifecycle::Status;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::time::{MediaTime, WallTime};

use crate::{Lease, Result, SessionFacts};

/// Another recording of the same room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameRoom {
    /// Its id.
    pub id: RecordingId,
    /// The user's own id for the conversation, or the job id.
    pub session_id: Option<String>,
    /// LiveKit's name of the room.
    pub room_name: Option<String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// Its status.
    pub status: Status,
    /// The time of its first sample (or turn).
    pub started_at: Option<WallTime>,
    /// The length of its media.
    pub duration: MediaTime,
}

/// A session that its room's recording does not hold completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The room's recording.
    pub room: RecordingId,
    /// The session's capture there.
    pub capture: CaptureId,
    /// The id of its own recording, if a new one is needed.
    pub new_recording: RecordingId,
    /// The id of the capture in that one.
    pub new_capture: CaptureId,
    /// Now.
    pub now: WallTime,
}

/// A session's own recording.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnRecording {
    /// The recording.
    pub recording: Recording,
    /// Its capture of the session, which has the same masters; `Processing` unless it was published before.
    pub capture: Capture,
    /// Captures there of earlier uploads of the session, which this one replaces.
    pub supersedes: Vec<CaptureId>,
}

/// One of several sessions in one recording, which is to become a recording of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitSession {
    /// Its captures.
    pub captures: Vec<CaptureId>,
    /// The id of its recording.
    pub recording: RecordingId,
    /// Its job id.
    pub session_id: Option<String>,
    /// What is known of it.
    pub facts: SessionFacts,
    /// When its upload was received.
    pub created_at: WallTime,
}

/// Sessions of rooms.
#[async_trait]
pub trait Sessions {
    /// The other recordings of a recording's room (the same project and room sid), in the order in which they began, without those
    /// whose deletion was requested; `limit` at most. Scope: id.
    async fn same_room(&self, recording: RecordingId, limit: u32) -> Result<Vec<SameRoom>>;

    /// Finds or makes a session's own recording, and the capture in it, in one transaction; the session is a capture of a room's
    /// recording. Both captures share their masters, which belong to the room's recording. `None` when the deletion of either recording
    /// was requested, nothing may be kept of the session, or its capture is gone or superseded. Scope: id.
    async fn own_recording(&self, own: &Own) -> Result<Option<OwnRecording>>;

    /// Finishes a `TaskKind::Separate` task, and notes that it is known which recordings hold the session. Scope: id.
    async fn session_placed(&self, capture: CaptureId, lease: &Lease) -> Result<()>;

    /// Queues a `TaskKind::Separate` task for each session in a rendered recording of a room for which that is not known yet, in
    /// the order of their captures' ids, from the one after `after`; `limit` at most. Returns the last one, `None` when there was
    /// none. Scope: all projects.
    async fn place_sessions(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>>;

    /// Recordings that did not capture a room and have uploads of more than one job or start, in the order of their ids, from the
    /// one after `after`; `limit` at most. Scope: all projects.
    async fn mixed(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<(ProjectId, RecordingId)>>;

    /// Gives sessions that are in one recording recordings of their own, in one transaction: each gets its captures with their
    /// masters (whose keys stay) and transcripts; their segments leave the old recording's index; every recording, the old one too,
    /// gets a `TaskKind::Compose` task. `session_id` becomes the old one's. `Error::Conflict` when a capture is no longer in it.
    /// Does nothing when its deletion was requested. Scope: id.
    async fn split(
        &self,
        recording: RecordingId,
        session_id: Option<String>,
        parts: &[SplitSession],
        now: WallTime,
    ) -> Result<()>;
}
