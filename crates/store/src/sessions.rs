//! Sessions of rooms: which recordings are of one room, and sessions that have recordings of their own.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
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
    /// When its first sample (or turn) was.
    pub started_at: Option<WallTime>,
    /// The length of its media.
    pub duration: MediaTime,
}

/// A session that the recording of its room does not hold whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The room's recording.
    pub room: RecordingId,
    /// The session's capture there.
    pub capture: CaptureId,
    /// The id of its own recording, should a new one be needed.
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
    /// Its capture of the session, which has the same body; `Processing` unless it was published before.
    pub capture: Capture,
    /// Captures there of earlier uploads of the session, whose place this one takes.
    pub supersedes: Vec<CaptureId>,
}

/// One of several sessions that one recording holds, and that becomes a recording of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its captures.
    pub captures: Vec<CaptureId>,
    /// The id of its recording.
    pub recording: RecordingId,
    /// Its job id.
    pub session_id: Option<String>,
    /// What is known of it.
    pub facts: SessionFacts,
    /// When its upload came.
    pub created_at: WallTime,
}

/// Sessions of rooms.
#[async_trait]
pub trait Sessions {
    /// The other recordings of a recording's room (project, room sid), in the order in which they began, deleted ones left out;
    /// `limit` at most.
    async fn same_room(&self, recording: RecordingId, limit: u32) -> Result<Vec<SameRoom>>;

    /// Where the body of a capture's upload is kept; `None` when no upload brought it.
    async fn upload_body(&self, capture: CaptureId) -> Result<Option<ObjectKey>>;

    /// Finds or makes the recording of its own of a session that is a capture of a room's recording, and the capture there, in one
    /// transaction. Both captures have one body, which is the room's recording's. `None` when either recording is being deleted or
    /// was, or when the capture is no more.
    async fn own_recording(&self, own: &Own) -> Result<Option<OwnRecording>>;

    /// Ends a `TaskKind::Separate` task: it is known where the session is held.
    async fn session_placed(&self, capture: CaptureId, lease: &Lease) -> Result<()>;

    /// Gives each session of a settled room's recording of which that is not known a `TaskKind::Separate` task; `limit` at most,
    /// after this capture. Returns the last one, `None` at the end.
    async fn place_sessions(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>>;

    /// Recordings that did not capture a room and have uploads of more than one job or start, after this one in the order of their
    /// ids; `limit` at most.
    async fn mixed(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<(ProjectId, RecordingId)>>;

    /// Makes recordings of their own of sessions that one recording holds, in one transaction: each gets its captures with their
    /// bodies (whose keys stay) and transcripts; their segments leave the recording's index; each recording, the old one too, gets a
    /// `TaskKind::Compose` task. `session_id` is the old one's from now on. `Error::Conflict` when a capture is not there any more.
    async fn split(
        &self,
        recording: RecordingId,
        session_id: Option<String>,
        parts: &[Part],
        now: WallTime,
    ) -> Result<()>;
}
