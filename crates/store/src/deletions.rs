//! Deletion: what belongs to a recording, in what order it goes, and what is kept so that it does not come back.
//!
//! docs/decisions/0012-deletion.md says why it is done in this way.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::{Lease, Result};

/// What is erased by one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// A recording that was deleted.
    Recording(RecordingId),
    /// What was kept of a session or room that is refused, and of which there is no recording: the tombstone's number.
    Refused(i64),
}

/// Why nothing is kept of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was deleted.
    Deleted,
    /// A rule leaves its room out.
    Excluded,
    /// It asked for redaction, which is refused.
    Redaction,
}

/// A session, as far as its ids are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionIds {
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// LiveKit's room id.
    pub room_sid: Option<String>,
    /// When it began, by the agent's clock: tells sessions apart that have no job id.
    pub started_at: Option<WallTime>,
}

/// What lies outside of the rows and belongs to what is erased.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Objects that have a row.
    pub objects: Vec<ObjectKey>,
    /// Folders of object storage that hold nothing but what is erased, and objects with rows of other recordings.
    pub folders: Vec<ObjectKey>,
    /// Uploads whose files may be in the spool.
    pub uploads: Vec<UploadId>,
    /// Captures of recorders, of which journal and spool may have something.
    pub captures: Vec<CaptureId>,
    /// Whether an upload of its room is coming or about to be read, of which nobody can say yet whether it is of the recording.
    pub is_awaited: bool,
}

/// Deletion.
#[async_trait]
pub trait Deletions {
    /// Whether nothing may be kept of telemetry of this job and room.
    async fn gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// Whether nothing may be kept of an upload of this session.
    async fn upload_gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// Nothing more is kept of a session; with `Gone::Excluded` of its whole room, where that is known. Recordings of it that no
    /// recorder made are deleted, and what else was kept is erased (`TaskKind::Erase`). Returns whether there was anything.
    async fn refuse(&self, project: &ProjectId, session: &SessionIds, reason: Gone, now: WallTime) -> Result<bool>;

    /// The names that are known of a session's room: from telemetry, webhooks, recordings and uploads.
    async fn room_names(&self, project: &ProjectId, session: &SessionIds) -> Result<Vec<String>>;

    /// What lies outside of the rows and is to be erased.
    async fn belongings(&self, what: Erasure) -> Result<Belongings>;

    /// Those of these keys that have a row of another recording, or of none.
    async fn kept_elsewhere(&self, what: Erasure, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>>;

    /// Forgets objects whose bytes are gone, in whatever state they are, and the telemetry that lay in them.
    async fn forget_objects(&self, keys: &[ObjectKey]) -> Result<()>;

    /// Erases all rows of it, and all names in rows that stay ([`crate::BELONGS`]).
    async fn erase_rows(&self, what: Erasure) -> Result<()>;

    /// Folds the write-ahead log into the database and makes it empty, so that no file has what was erased. An error that
    /// may pass ([`crate::Error::is_transient`]) while somebody reads.
    async fn scrub(&self) -> Result<()>;

    /// Ends an erasure: a recording's deletion is done, stepped by `Event::Erased`; the task is finished. Everything else
    /// must have been done before.
    async fn finish_erase(&self, what: Erasure, lease: &Lease, now: WallTime) -> Result<()>;

    /// Queues the erasure of recordings whose deletion is pending and has no open task. Returns how many.
    async fn resume_deletions(&self, now: WallTime) -> Result<u64>;

    /// Recordings whose deletion is done, in the order of their ids, after this one, `limit` at most.
    async fn deleted(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<RecordingId>>;

    /// Telemetry objects that were announced and never became a request: of an earlier process, before this one writes any.
    async fn unfinished_telemetry(&self) -> Result<Vec<ObjectKey>>;

    /// Whether something that is done once for a data directory was done.
    async fn is_done_once(&self, name: &str) -> Result<bool>;

    /// Notes that it was done.
    async fn done_once(&self, name: &str, now: WallTime) -> Result<()>;

    /// Writes the database anew, without the free pages that may hold what was deleted, and with Idempotency-Keys of earlier
    /// versions made unreadable.
    async fn rewrite(&self) -> Result<()>;
}

impl Erasure {
    /// As a task's payload has it.
    pub fn payload(&self) -> String {
        match self {
            Self::Recording(id) => id.to_string(),
            Self::Refused(id) => format!("tombstone/{id}"),
        }
    }

    /// Reads a task's payload.
    pub fn parse(payload: &str) -> Option<Self> {
        match payload.strip_prefix("tombstone/") {
            Some(id) => id.parse().ok().map(Self::Refused),
            None => payload.parse().ok().map(Self::Recording),
        }
    }
}

impl Gone {
    /// The word that the database uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Excluded => "excluded",
            Self::Redaction => "redaction",
        }
    }

    pub(crate) fn from_word(word: &str) -> Self {
        match word {
            "excluded" => Self::Excluded,
            "redaction" => Self::Redaction,
            _ => Self::Deleted,
        }
    }
}
