//! Session uploads: from the first byte to the capture that they become.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::session::Session;
use echosphere_domain::time::WallTime;

use crate::Result;

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadState {
    /// Bytes are arriving (or were, when the process died).
    Receiving,
    /// Durable, waiting to be read.
    Received,
    /// It became a capture.
    Joined,
    /// The same session's upload was there already; its bytes were let go.
    Duplicate,
    /// It could not be read; kept byte for byte, with the reason.
    Quarantined,
}

/// A session upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, also the name of its spool file.
    pub id: UploadId,
    /// Whose token it came with.
    pub project: ProjectId,
    /// The request's Content-Type, as sent.
    pub content_type: String,
    /// When its head arrived.
    pub received_at: WallTime,
    /// How far it is.
    pub state: UploadState,
    /// Bytes received; 0 while receiving.
    pub bytes: u64,
    /// Whether the whole body came.
    pub complete: bool,
    /// Why it is in quarantine.
    pub reason: Option<String>,
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
    /// The room's name, for showing only.
    pub room_name: Option<String>,
    /// When the session was, and when its upload came.
    pub session: Session,
    /// The id of the recording, should a new one be needed. Its `session_id` is then the job id.
    pub new_recording: RecordingId,
    /// The id of the capture, should this upload not have one yet.
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
    /// Where its body is to be kept: announced, so it may be written.
    pub body: ObjectKey,
}

/// Session uploads.
#[async_trait]
pub trait Uploads {
    /// Makes the row (state `Receiving`), before the first byte is written to the spool.
    async fn begin_upload(&self, upload: &Upload) -> Result<()>;

    /// Acknowledges a durable body: state `Received`, and a `TaskKind::Ingest` task with the upload's id as payload and
    /// as dedupe key, in one transaction. Only an upload in `Receiving` changes; repeated calls do nothing.
    async fn seal_upload(&self, id: UploadId, sealed: Sealed, task: TaskId, now: WallTime) -> Result<()>;

    /// Removes the row of an upload of which nothing was kept.
    async fn abandon_upload(&self, id: UploadId) -> Result<()>;

    /// The upload.
    async fn upload(&self, id: UploadId) -> Result<Option<Upload>>;

    /// All uploads in state `Receiving`: at start-up, those that the previous process did not finish.
    async fn unfinished_uploads(&self) -> Result<Vec<Upload>>;

    /// Finds or makes the recording of an upload, and its capture, in one transaction.
    ///
    /// An upload that has a capture gets that one again. Else the recording is the first of these that there is:
    ///
    /// - one that has a capture with the same (project, job id); without a job id (SDKs before 1.8) the same (project, room sid,
    ///   start);
    /// - one of that session alone that was deleted: what comes for it is erased;
    /// - of those that captured the room (project, room sid) the one that `domain::session::belongs_to` chooses;
    /// - a new one, stepped from `State::starting()`, with the job id as its session id.
    ///
    /// The recording steps by `Event::UploadJoined`, its effects become tasks, the capture's attempt is the recording's highest
    /// + 1, and the key of its body is announced. The upload stays `Received` until published.
    async fn join_upload(&self, join: &Join) -> Result<Joined>;

    /// Ends an upload that says nothing new (state `Duplicate`): its capture, if it has one, is removed, its body key
    /// is condemned.
    async fn drop_duplicate(&self, id: UploadId, now: WallTime) -> Result<()>;

    /// Ends an upload that cannot be read: state `Quarantined` with the reason; the object is live.
    async fn quarantine_upload(&self, id: UploadId, reason: &str, object: &ObjectKey, now: WallTime) -> Result<()>;

    /// The uploads in quarantine of a project, newest first, `limit` at most.
    async fn quarantined(&self, project: &ProjectId, limit: u32) -> Result<Vec<Upload>>;
}
