//! The trait `SegmentRows`: reads and writes the rows of renditions and segments.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::rendition::{Rendition, RenditionId};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::WallTime;

use crate::{Result, StoredSegment};

/// The rows of segments.
#[async_trait]
pub(crate) trait SegmentRows {
    /// Inserts a rendition, after those that there are; one that is known gets these values.
    async fn put_rendition(&mut self, recording: RecordingId, rendition: &Rendition) -> Result<()>;

    /// Inserts segments of a revision.
    async fn insert_segments(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        segments: &[Segment],
    ) -> Result<()>;

    /// Stores where a segment is, unless it is stored somewhere else; false then, or when there is no such segment.
    async fn set_stored(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        stored: &StoredSegment,
    ) -> Result<bool>;

    /// Stores that a segment of a revision is missing; returns the segment unless it was missing already.
    async fn set_missing(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        index: u32,
        reason: &str,
    ) -> Result<Option<Segment>>;

    /// Stores that segments of these captures are not stored any more which are in objects of ours that became live before a time; returns
    /// these objects.
    async fn set_renderable(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        captures: &[CaptureId],
        before: WallTime,
    ) -> Result<Vec<ObjectKey>>;

    /// Deletes the segments of a rendition; returns the objects of ours that they were stored in.
    async fn delete_segments(&mut self, recording: RecordingId, rendition: &RenditionId) -> Result<Vec<ObjectKey>>;

    /// Deletes the segments of a capture; returns the objects of ours that they were stored in.
    async fn delete_segments_of(&mut self, recording: RecordingId, capture: CaptureId) -> Result<Vec<ObjectKey>>;

    /// Whether a segment is in an object.
    async fn has_segment(&mut self, key: &ObjectKey) -> Result<bool>;
}
