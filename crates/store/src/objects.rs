//! Objects: which objects in object storage are ours, and whether anything still needs them.
//!
//! Each key has a row before its first PUT. The sweeper deletes only what has a row here and is needed by nothing; an object
//! in storage without a row belongs to somebody else.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::Result;

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A session upload, whole or a part of it: the master.
    Upload,
    /// A chunk of a room's capture log: the master. Live from its announcement on.
    Log,
    /// A part of a room's capture log, divided: the master.
    LogPart,
    /// A media segment.
    Segment,
    /// Peaks and levels.
    Analysis,
    /// A recording's rows. Live from its announcement on.
    Sidecar,
    /// A note that a recording is deleted. Live from its announcement on.
    Deletion,
    /// An OTLP request.
    Telemetry,
    /// An upload that could not be read.
    Quarantine,
}

/// An object that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepCandidate {
    /// Its key, or that of a folder.
    pub key: ObjectKey,
    /// Whether it is a folder: all that is in it, and has no row of its own, is needed by nothing.
    pub is_folder: bool,
}

/// The rows of objects: announced, live, condemned.
#[async_trait]
pub trait Objects {
    /// Announces keys that are about to be written, in one transaction. A key that is live already is left as it is; an
    /// announced or condemned one is announced anew (its age starts again). `Error::Deleted` when the recording's deletion was
    /// requested. Scope: id (the project is only stored).
    async fn announce(
        &self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        now: WallTime,
    ) -> Result<()>;

    /// Announces a folder in which somebody else writes for us, in one transaction: inside it, and nowhere else, objects may be listed and
    /// deleted that have no row. It is announced anew like a key. Scope: id (the project is only stored).
    async fn announce_folder(
        &self,
        project: &ProjectId,
        recording: RecordingId,
        purpose: Purpose,
        folder: &ObjectKey,
        now: WallTime,
    ) -> Result<()>;

    /// Those of these keys that have a row. Scope: id.
    async fn known_objects(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>>;

    /// Objects that nothing needs, oldest first: condemned before `condemned`, or announced before `announced` (which must be early
    /// enough that no write can still be under way). What is not to wait was condemned at time 0. They stay listed until [`Objects::swept`]. Scope: all projects.
    async fn sweepable(&self, condemned: WallTime, announced: WallTime, limit: u32) -> Result<Vec<SweepCandidate>>;

    /// Deletes the rows of keys whose bytes are gone, and returns these keys; a key that became live in the meantime is kept and
    /// is not among them. Scope: id.
    async fn swept(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>>;
}
