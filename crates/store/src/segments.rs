//! The segment index: which media segments a recording's current revision consists of, and where the bytes of each are.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::location::Location;
use echosphere_domain::rendition::{Rendition, RenditionId};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::WallTime;

use crate::Result;

/// A segment whose bytes are durable now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSegment {
    /// Its position in the playlist.
    pub index: u32,
    /// Where it is; its object was announced before it was written.
    pub location: Location,
}

/// The segment index.
#[async_trait]
pub trait Segments {
    /// The renditions of a recording, the one that its timeline is made from first. Scope: id.
    async fn renditions(&self, recording: RecordingId) -> Result<Vec<Rendition>>;

    /// The segment index of a recording: all segments of the current revision, in order, of the rendition that its timeline is made
    /// from. Scope: id.
    async fn segment_index(&self, recording: RecordingId) -> Result<Vec<Segment>>;

    /// All segments of a rendition of the current revision, in order. Scope: id.
    async fn segments(&self, recording: RecordingId, rendition: &RenditionId) -> Result<Vec<Segment>>;

    /// One segment of the current revision. Scope: id.
    async fn segment(&self, recording: RecordingId, rendition: &RenditionId, index: u32) -> Result<Option<Segment>>;

    /// Notes that segments are stored, and makes their objects live, in one transaction. A segment that is stored already keeps
    /// its first location, and the new object is condemned (unless it is the same key); if the revision is no longer current, or
    /// deletion was requested, all the objects are condemned. An object that some current segment is in is never condemned.
    /// Returns whether the revision is current. Scope: id.
    async fn segments_stored(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        stored: &[StoredSegment],
        now: WallTime,
    ) -> Result<bool>;

    /// Notes that a segment can neither be found nor rendered: its location becomes `Missing`, the recording steps by
    /// `Event::SegmentLost` and gains a gap of the segment's extent with that reason. Does nothing if it is missing already, or is
    /// of another revision. Scope: id.
    async fn segment_lost(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        index: u32,
        reason: &str,
    ) -> Result<()>;

    /// Recordings that have ended and have segments that were stored before a time, in the order of their ids, after one. Scope: all
    /// projects.
    async fn with_old_segments(
        &self,
        before: WallTime,
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<(ProjectId, RecordingId)>>;

    /// Gives up the stored segments of a rendition that were stored before a time, and are of one of these captures: they become
    /// `Renderable`, and their objects condemned since `gone`, which may be later than now. Returns how many. Scope: id.
    async fn give_up_segments(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        captures: &[CaptureId],
        before: WallTime,
        gone: WallTime,
    ) -> Result<u64>;
}
