//! Assembles a recording's segment index from its captures: which capture is heard when, and what is missing.

use std::collections::HashMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::lifecycle::{Content, Reason};
use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, CaptureStatus, Gap};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;

use super::capture_input::CaptureInput;
use crate::rendering::aac;

/// How much a capture may overlap the end of the one before and still follow it, in nanoseconds (0.5 s). One that overlaps more is
/// not listed: what is heard in two captures at once is not listed twice.
const SLACK: i64 = 500_000_000;

/// The segment index that captures amount to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SegmentIndex {
    /// The segments.
    pub segments: Vec<Segment>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// The length of the media.
    pub duration: MediaTime,
    /// When the first sample was.
    pub started_at: Option<WallTime>,
    /// When the last sample was.
    pub ended_at: Option<WallTime>,
}

/// The segments that need not be rendered again, by capture and place in it.
type Stored<'s> = HashMap<(CaptureId, u32), &'s Segment>;

/// Assembles captures in a row. `current` is the segment index so far: its order stays, because media time zero never changes,
/// and its stored segments are carried over.
pub fn compose(inputs: &[CaptureInput], current: &[Segment]) -> SegmentIndex {
    let stored: Stored<'_> = current
        .iter()
        .filter(|segment| !matches!(segment.state, SegmentState::Renderable))
        .map(|segment| ((segment.capture, segment.capture_index), segment))
        .collect();
    let mut index = SegmentIndex::default();
    for input in in_order(inputs, current) {
        match &input.capture.audio {
            Some(Audio { master: Master::Segments, .. }) => append_given(&mut index, input, current),
            Some(audio) => append(&mut index, input, audio, &stored),
            None => {}
        }
    }
    index
}

fn started(input: &CaptureInput) -> WallTime {
    input.capture.started_at.unwrap_or(WallTime::from_nanos(0))
}

fn length(audio: &Audio) -> MediaTime {
    MediaTime::from_samples_48k(i64::try_from(audio.samples).unwrap_or(i64::MAX))
}

fn is_audible(input: &CaptureInput) -> bool {
    let lost = matches!(input.capture.status, CaptureStatus::Superseded | CaptureStatus::Failed);
    input.capture.audio.is_some() && !lost
}

/// The captures that are heard: those of the room if there are any, else those of one job: the one that is heard already, else the
/// one with the longest capture. Those of the current index come first, then whatever begins after them.
fn in_order<'p>(inputs: &'p [CaptureInput], current: &[Segment]) -> Vec<&'p CaptureInput> {
    let mut rest: Vec<&CaptureInput> = inputs.iter().filter(|input| is_audible(input)).collect();
    if rest.iter().any(|input| input.capture.is_of_room()) {
        rest.retain(|input| input.capture.is_of_room());
    } else {
        let heard = current.iter().find_map(|segment| rest.iter().find(|input| input.capture.id == segment.capture));
        let samples = |input: &&&CaptureInput| input.capture.audio.as_ref().map_or(0, |audio| audio.samples);
        let longest = || rest.iter().rev().max_by_key(samples);
        let Some(first) = heard.or_else(longest).copied() else { return Vec::new() };
        rest.retain(|input| first.capture.is_same_job(&input.capture));
    }
    rest.sort_by_key(|input| started(input));
    let mut order: Vec<&CaptureInput> = Vec::new();
    for segment in current {
        if let Some(at) = rest.iter().position(|input| input.capture.id == segment.capture) {
            order.push(rest.remove(at));
        }
    }
    for input in rest {
        let end = order.last().and_then(|last| {
            let audio = last.capture.audio.as_ref()?;
            Some(started(last).plus_nanos(length(audio).as_nanos()))
        });
        if end.is_none_or(|end| started(input).since(end) >= -SLACK) {
            order.push(input);
        }
    }
    order
}

/// Where a frame of the grid begins, in its capture's own media time.
pub fn media_time(frame: u64) -> MediaTime {
    MediaTime::from_samples_48k(i64::try_from(frame.saturating_mul(FRAME as u64)).unwrap_or(i64::MAX))
}

/// Appends segments that somebody else made, as they are: those that are given with the capture, or that are listed already.
fn append_given(index: &mut SegmentIndex, input: &CaptureInput, current: &[Segment]) {
    let listed = current.iter().filter(|segment| segment.capture == input.capture.id);
    let given: Vec<&Segment> = if input.given.is_empty() { listed.collect() } else { input.given.iter().collect() };
    let Some(first) = given.first() else { return };
    let (start, begins_with) = (index.duration, index.segments.last().map_or(0, |last| last.discontinuity + 1));
    for segment in &given {
        index.segments.push(Segment {
            index: index.segments.len() as u32,
            discontinuity: begins_with + segment.discontinuity.saturating_sub(first.discontinuity),
            media_start: start + (segment.media_start - first.media_start),
            ..(*segment).clone()
        });
    }
    conclude(index, input, start);
}

/// What follows from the segments of a capture that were appended, the first of them at `start`.
fn conclude(index: &mut SegmentIndex, input: &CaptureInput, start: MediaTime) {
    let moved = input.gaps.iter().map(|gap| Gap { start: gap.start + start, ..gap.clone() });
    index.gaps.extend(moved);
    // The timeline goes on where the last frame ends: it is filled up with silence.
    index.duration = index.segments.last().map_or(start, |last| last.media_start + last.duration);
    index.started_at.get_or_insert(started(input));
    let length = input.capture.audio.as_ref().map_or(MediaTime::ZERO, length);
    index.ended_at = Some(started(input).plus_nanos(length.as_nanos()));
}

fn append(index: &mut SegmentIndex, input: &CaptureInput, audio: &Audio, stored: &Stored<'_>) {
    let (start, wall) = (index.duration, started(input));
    let first = index.segments.last().map_or(0, |last| last.discontinuity + 1);
    let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
    let codecs = aac().codecs;
    for capture_index in 0..grid.segments() {
        let frames = grid.segment(capture_index);
        let (into, end) = (media_time(frames.start), media_time(frames.end));
        let is_improved = input.improved.iter().any(|stretch| stretch.start < end && stretch.end > into);
        let known = stored.get(&(input.capture.id, capture_index));
        // The last segment of a room that has ended is shorter, or longer, than it looked while the room went on.
        let known = known.filter(|known| !is_improved && known.duration == end - into);
        let restarts = input.restarts.iter().filter(|restart| **restart <= into).count() as u32;
        index.segments.push(Segment {
            capture: input.capture.id,
            capture_index,
            index: index.segments.len() as u32,
            discontinuity: first + restarts,
            media_start: start + into,
            duration: end - into,
            wall_start: wall.plus_nanos(into.as_nanos()),
            codecs: codecs.clone(),
            state: known.map_or(SegmentState::Renderable, |known| known.state.clone()),
        });
    }
    conclude(index, input, start);
}

/// What a recording's captures amount to. `silent` is why there is no sound, if there is none.
pub fn content(index: &SegmentIndex, inputs: &[CaptureInput], silent: Reason) -> Content {
    let counted = inputs.iter().filter(|input| input.capture.status != CaptureStatus::Superseded);
    let partial = counted.into_iter().any(|input| {
        let is_cut = matches!(input.capture.status, CaptureStatus::Partial | CaptureStatus::Failed);
        is_cut && !input.is_end_filled || !input.gaps.is_empty()
    });
    if index.segments.is_empty() { Content::Silent { reason: silent, partial } } else { Content::Playable { partial } }
}

#[cfg(test)]
mod tests;
