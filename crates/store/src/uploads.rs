//! Session uploads: their rows, from the first byte received to the capture that they become.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::session::Session;
use echosphere_domain::time::WallTime;

use crate::{Result, SessionIds};

/// How far an upload has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// Bytes are arriving (or were, when the process died).
    Receiving,
    /// Durable, waiting to be read.
    Received,
    /// It became a capture.
    Joined,
    /// An upload of the same session was there already; its bytes were dropped.
    Duplicate,
    /// It could not be read; kept byte for byte, with the reason.
    Quarantined,
    /// The name of its room is not known, and rules leave rooms out by name: it waits for the name.
    Held,
}

impl UploadState {
    /// The word that the API and the database use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Received => "received",
            Self::Joined => "joined",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
        }
    }
}

/// A session upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, also the name of its spool file.
    pub id: UploadId,
    /// The project of the token that it came with.
    pub project: ProjectId,
    /// The request's Content-Type, as sent.
    pub content_type: String,
    /// When its head arrived.
    pub received_at: WallTime,
    /// How far it has come.
    pub state: UploadState,
    /// Bytes received; 0 while receiving.
    pub bytes: u64,
    /// Whether the whole body came.
    pub complete: bool,
    /// Why it is in quarantine.
    pub reason: Option<String>,
    /// LiveKit's job id, as its header says.
    pub job_id: Option<String>,
    /// LiveKit's room id, as its header says.
    pub room_sid: Option<String>,
    /// The room's name, if the header or LiveKit gave it.
    pub room_name: Option<String>,
    /// Whether it may become a recording although the name of its room is not known.
    pub is_released: bool,
}

impl Upload {
    /// An upload that begins to arrive.
    pub fn receiving(id: UploadId, project: ProjectId, content_type: String, received_at: WallTime) -> Self {
        Self {
            id,
            project,
            content_type,
            received_at,
            state: UploadState::Receiving,
            bytes: 0,
            complete: false,
            reason: None,
            job_id: None,
            room_sid: None,
            room_name: None,
            is_released: false,
        }
    }
}

/// The end of an upload's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Bytes that are durable.
    pub bytes: u64,
    /// Whether that is all of it.
    pub complete: bool,
}

/// What an upload's header says, for finding its recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// The upload.
    pub upload: UploadId,
    /// Its project.
    pub project: ProjectId,
    /// LiveKit's room id, which every SDK version sends.
    pub room_sid: Option<String>,
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// The room's name, for display only.
    pub room_name: Option<String>,
    /// The times of the session, and of its upload.
    pub session: Session,
    /// The id of the recording, if a new one is needed. Its `session_id` is then the job id.
    pub new_recording: RecordingId,
    /// The id of the capture, if this upload does not have one yet.
    pub new_capture: CaptureId,
    /// Now.
    pub now: WallTime,
}

/// Where an upload belongs.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The recording.
    pub recording: Recording,
    /// This upload's capture; `Processing` unless it was joined before.
    pub capture: Capture,
    /// The object that its body is to be stored in: announced, so it may be written.
    pub body: ObjectKey,
}

/// Session uploads.
#[async_trait]
pub trait Uploads {
    /// Makes the row (state `Receiving`), before the first byte is written to the spool. Scope: project.
    async fn begin_upload(&self, upload: &Upload) -> Result<()>;

    /// Acknowledges a durable body: state `Received`, and a `TaskKind::Ingest` task with the upload's id as payload and
    /// as dedupe key, in one transaction. Only an upload in `Receiving` changes; repeated calls do nothing. Scope: id.
    async fn seal_upload(&self, id: UploadId, sealed: Sealed, task: TaskId, now: WallTime) -> Result<()>;

    /// Deletes the row of an upload of which nothing was kept, if it is still in `Receiving`. Scope: id.
    async fn abandon_upload(&self, id: UploadId) -> Result<()>;

    /// The upload with this id; its row says in which project. Scope: id.
    async fn upload(&self, id: UploadId) -> Result<Option<Upload>>;

    /// All uploads in state `Receiving`: at start-up, those that the previous process did not finish. Scope: all projects.
    async fn unfinished_uploads(&self) -> Result<Vec<Upload>>;

    /// Finds or makes the recording of an upload, and its capture, in one transaction. Scope: project.
    ///
    /// An upload that has a capture (by its id alone) gets that one again. Otherwise the recording is the first that exists of:
    ///
    /// - one that has an upload's capture with the same (project, job id), or, without a job id (SDKs before 1.6), with the same
    ///   (project, room sid, start);
    /// - of those that captured the room (project, room sid), the one that `domain::session::belongs_to` chooses;
    /// - a new one, stepped from `State::starting()`, with the job id as its session id.
    ///
    /// The recording steps by `Event::UploadJoined`, its effects become tasks, the capture's attempt is one more than the
    /// recording's highest, and the key of its body is announced. The upload stays `Received` until it is published.
    ///
    /// `None` when nothing may be kept of the session: it was deleted, alone or with its room, or is refused.
    async fn join_upload(&self, join: &Join) -> Result<Option<Joined>>;

    /// Ends an upload that brings nothing new (state `Duplicate`): its capture, if it has one, is deleted, and its body condemned.
    /// Scope: id.
    async fn drop_duplicate(&self, id: UploadId, now: WallTime) -> Result<()>;

    /// Ends an upload that cannot be read: state `Quarantined` with the reason. Its body stays in the spool. Scope: id.
    async fn quarantine_upload(&self, id: UploadId, reason: &str) -> Result<()>;

    /// Stores the job id and room sid of an upload's session, and the room's name if one is given. Scope: id.
    async fn note_session(&self, id: UploadId, session: &SessionIds, room_name: Option<&str>) -> Result<()>;

    /// The uploads of a project in a state, newest first, received before a time, `limit` at most. Scope: project.
    async fn uploads_in(
        &self,
        project: &ProjectId,
        state: UploadState,
        before: Option<WallTime>,
        limit: u32,
    ) -> Result<Vec<Upload>>;

    /// The uploads in a state that were received before a time, oldest first, `limit` at most. Scope: all projects.
    async fn uploads_before(&self, state: UploadState, before: WallTime, limit: u32) -> Result<Vec<Upload>>;

    /// How many uploads are in a state; for metrics. Scope: all projects.
    async fn count_uploads(&self, state: UploadState) -> Result<u64>;

    /// An upload waits until the name of its room is known: state `Held`. Only one in `Received` changes. Scope: id.
    async fn hold_upload(&self, id: UploadId) -> Result<()>;

    /// An upload in `Held` or `Quarantined` is read (again): state `Received`, and a `TaskKind::Ingest` task. `released` says that
    /// it may become a recording without its room's name. False when it was in another state. Scope: id.
    async fn release_upload(&self, id: UploadId, released: bool, task: TaskId, now: WallTime) -> Result<bool>;

    /// Deletes the row of an upload, whatever its state, unless it became a capture. Scope: id.
    async fn forget_upload(&self, id: UploadId) -> Result<()>;
}
