//! Deletion: what has to be erased with a recording, how its rows are erased, and what is kept so that it does not come back.
//!
//! The reasons are in docs/decisions/0012-deletion.md.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::{Lease, Result};

/// What one task erases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// A recording whose deletion was requested.
    Recording(RecordingId),
    /// What was kept of a refused session or room outside of any recording: the number of its tombstone.
    Refused(i64),
}

/// Why nothing may be kept of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It was deleted.
    Deleted,
    /// A rule (`excluded_rooms`) leaves its room out.
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
    /// When it began, by the agent's clock: distinguishes sessions that have no job id.
    pub started_at: Option<WallTime>,
}

/// What has to be erased besides rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Belongings {
    /// Objects that have a row.
    pub objects: Vec<ObjectKey>,
    /// Folders of object storage in which everything is to be erased, except objects that have a row of another recording.
    pub folders: Vec<ObjectKey>,
    /// Uploads whose files may be in the spool.
    pub uploads: Vec<UploadId>,
    /// Recorders' captures, which may have entries in the journal and chunks in the spool.
    pub captures: Vec<CaptureId>,
    /// Whether an upload of its room is arriving or not read yet, so that nobody can say whether it belongs to the recording.
    pub is_awaited: bool,
    /// Whether a room's recording that had the session too still has segments in which it is heard: it is being composed without it, or
    /// what it was before is not deleted yet.
    pub is_heard_elsewhere: bool,
}

/// Deletion of recordings, and refusal of sessions and rooms.
#[async_trait]
pub trait Deletions {
    /// Why nothing may be kept of telemetry of this job and room; `None` when it may be kept. Scope: project.
    async fn gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// Why nothing may be kept of an upload of this session; `None` when it may be kept. Scope: project.
    async fn upload_gone(&self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>>;

    /// From now on nothing is kept of a session; with `Gone::Excluded` nothing of its whole room, if that is known. Recordings of
    /// it that did not capture a room are deleted, recordings of rooms give it up, and what else was kept is erased
    /// (`TaskKind::Erase`). Returns whether there was anything. Scope: project.
    async fn refuse(&self, project: &ProjectId, session: &SessionIds, reason: Gone, now: WallTime) -> Result<bool>;

    /// The known names of a session's room, 20 at most: from telemetry, webhooks, recordings and uploads. Scope: project.
    async fn room_names(&self, project: &ProjectId, session: &SessionIds) -> Result<Vec<String>>;

    /// What has to be erased besides rows. Scope: id.
    async fn belongings(&self, what: Erasure) -> Result<Belongings>;

    /// Those of these keys that have a row of another recording. Scope: id.
    async fn kept_elsewhere(&self, what: Erasure, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>>;

    /// Deletes the rows of objects whose bytes are gone, whatever their state, and the rows of telemetry stored in them. Scope: id.
    async fn forget_objects(&self, keys: &[ObjectKey]) -> Result<()>;

    /// Deletes all rows of it, and clears all names in rows that stay ([`crate::BELONGS`]). `Error::NotFound` for a recording
    /// whose deletion was not requested. Scope: id.
    async fn erase_rows(&self, what: Erasure) -> Result<()>;

    /// Folds the write-ahead log into the database and empties it, and overwrites unused bytes of pages, so that no file has what
    /// was erased. An error that may pass ([`crate::Error::is_transient`]) while somebody reads. Scope: all projects.
    async fn scrub(&self) -> Result<()>;

    /// Ends an erasure: steps a recording by `Event::Erased`, after which its deletion is done, and finishes the task. Everything
    /// else must have been done before. Scope: id.
    async fn finish_erase(&self, what: Erasure, lease: &Lease, now: WallTime) -> Result<()>;

    /// Queues the erasure of recordings whose deletion is pending without an open task. Returns how many. Scope: all projects.
    async fn resume_deletions(&self, now: WallTime) -> Result<u64>;

    /// Recordings whose deletion is done, in the order of their ids, from the one after `after`; `limit` at most.
    /// Scope: all projects.
    async fn deleted(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<RecordingId>>;

    /// Telemetry objects that were announced and never became a request; before this process writes any, they are an earlier
    /// process's. Scope: all projects.
    async fn unfinished_telemetry(&self) -> Result<Vec<ObjectKey>>;

    /// Whether a piece of upkeep that is done once for a data directory was done. Scope: all projects.
    async fn is_done_once(&self, name: &str) -> Result<bool>;

    /// Notes that such a piece of upkeep was done. Scope: all projects.
    async fn done_once(&self, name: &str, now: WallTime) -> Result<()>;

    /// Hashes the Idempotency-Keys that earlier versions stored as text, and then rewrites the database without the free pages
    /// that may hold what was deleted. Scope: all projects.
    async fn rewrite(&self) -> Result<()>;
}

impl Erasure {
    /// Its form in a task's payload.
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
