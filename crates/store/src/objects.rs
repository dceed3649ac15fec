//! Objects: which bytes in storage are ours, and whether anything needs them.
//!
//! Each key has a row before its first PUT. The sweeper deletes only what has a row here and nothing that needs it;
//! what lies in storage without a row belongs to somebody else.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::Result;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The body of a session upload: the master.
    Upload,
    /// A chunk of a room's capture log: the master. Needed from its announcement on.
    Log,
    /// A media segment.
    Segment,
    /// Peaks and levels.
    Analysis,
    /// An OTLP request.
    Telemetry,
    /// An upload that could not be read.
    Quarantine,
}

/// An object that nothing needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepCandidate {
    /// Its key.
    pub key: ObjectKey,
}

/// Objects.
#[async_trait]
pub trait Objects {
    /// Announces keys that are about to be written, in one transaction. A key that is announced or live already is left
    /// as it is; a condemned one is announced anew (its age starts again). `Error::Deleted` when the recording's deletion was
    /// asked for.
    async fn announce(
        &self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        now: WallTime,
    ) -> Result<()>;

    /// Objects that no live row needs, oldest first: condemned before `condemned`, or announced before `announced` (which
    /// must be early enough that no write can still be under way). They stay listed until [`Objects::swept`].
    async fn sweepable(&self, condemned: WallTime, announced: WallTime, limit: u32) -> Result<Vec<SweepCandidate>>;

    /// Forgets keys whose bytes are gone; a key that became live in the meantime is kept and reported by not being in
    /// the returned list.
    async fn swept(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>>;
}
