//! The segment index: segments that are stored, and segments that are lost.

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::Event;
use echosphere_domain::recording::Gap;
use echosphere_domain::rendition::RenditionId;
use echosphere_domain::segment::Segment;
use echosphere_domain::time::WallTime;

use super::{captures, lifecycle, objects};
use crate::rows::Rows;
use crate::{Result, StoredSegment};

/// Notes that segments are stored; returns whether the revision is current.
pub(crate) async fn stored(
    rows: &mut dyn Rows,
    recording: RecordingId,
    rendition: &RenditionId,
    revision: u32,
    stored: &[StoredSegment],
    now: WallTime,
) -> Result<bool> {
    let found = rows.find_recording(recording).await?;
    let state = found.as_ref().map(|recording| &recording.state);
    let is_current = state.is_some_and(|state| state.revision == revision && !state.deletion.is_requested());
    let since = match &found {
        // The segments of uploads have the same keys in every revision: another rendering may be storing them.
        Some(found) if !is_current && rows.captured_room(recording).await? => {
            captures::condemned_since(rows, found, now).await?
        }
        _ => now,
    };
    for segment in stored {
        let is_taken = is_current && rows.set_stored(recording, rendition, segment).await?;
        // What somebody else wrote has no row of ours.
        let Some(key) = segment.location.own() else { continue };
        if is_taken {
            objects::make_live(rows, key, now).await?;
        } else {
            condemn_unless_needed(rows, key, since).await?;
        }
    }
    Ok(is_current)
}

/// Makes the objects live that segments are stored in.
pub(crate) async fn make_live(rows: &mut dyn Rows, segments: &[Segment], now: WallTime) -> Result<()> {
    for segment in segments {
        if let Some(key) = segment.state.own() {
            objects::make_live(rows, key, now).await?;
        }
    }
    Ok(())
}

/// Condemns an object unless a segment of some current revision is in it.
pub(crate) async fn condemn_unless_needed(rows: &mut dyn Rows, key: &ObjectKey, since: WallTime) -> Result<()> {
    let is_needed = rows.has_segment(key).await?;
    if is_needed { Ok(()) } else { objects::condemn(rows, key, since).await }
}

/// Gives up segments that were stored before a time: they are rendered again when somebody asks for them. Their objects stay until `gone`.
pub(crate) async fn give_up(
    rows: &mut dyn Rows,
    recording: RecordingId,
    rendition: &RenditionId,
    captures: &[CaptureId],
    before: WallTime,
    gone: WallTime,
) -> Result<u64> {
    let given_up = rows.set_renderable(recording, rendition, captures, before).await?;
    for key in &given_up {
        condemn_unless_needed(rows, key, gone).await?;
    }
    Ok(given_up.len() as u64)
}

/// Notes that a segment can neither be found nor rendered.
pub(crate) async fn lost(
    rows: &mut dyn Rows,
    recording: RecordingId,
    rendition: &RenditionId,
    revision: u32,
    index: u32,
    reason: &str,
) -> Result<()> {
    let segment = rows.set_missing(recording, rendition, revision, index, reason).await?;
    let Some(segment) = segment else { return Ok(()) };
    let mut recording = rows.recording(recording).await?;
    lifecycle::step(rows, &mut recording, Event::SegmentLost, segment.wall_start).await?;
    let gap = Gap { start: segment.media_start, duration: segment.duration, reason: reason.to_owned() };
    recording.gaps.push(gap);
    recording.gaps.sort_by_key(|gap| gap.start);
    rows.set_gaps(recording.id, &recording.gaps).await
}
