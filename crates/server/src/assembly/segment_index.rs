//! Assembles a recording's segment index from its captures: which capture is heard when, and what is missing.

use std::collections::HashMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::lifecycle::{Content, Reason};
use echosphere_domain::recording::{Audio, CaptureStatus, Gap};
use echosphere_domain::segment::{Location, Segment};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;

use super::capture_input::CaptureInput;

/// How much a capture may overlap the end of the one before and still follow it, in nanoseconds (0.5 s). One that overlaps more is
/// not listed: what is heard in two captures at once is not listed twice.
const SLACK: i64 = 500_000_000;
/// The RFC 6381 codec string of AAC-LC.
pub const CODECS: &str = "mp4a.40.2";

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
        .filter(|segment| !matches!(segment.location, Location::Renderable))
        .map(|segment| ((segment.capture, segment.capture_index), segment))
        .collect();
    let mut index = SegmentIndex::default();
    for input in in_order(inputs, current) {
        append(&mut index, input, &stored);
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

fn append(index: &mut SegmentIndex, input: &CaptureInput, stored: &Stored<'_>) {
    let Some(audio) = &input.capture.audio else { return };
    let (start, wall) = (index.duration, started(input));
    let first = index.segments.last().map_or(0, |last| last.discontinuity + 1);
    let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
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
            codecs: CODECS.to_owned(),
            location: known.map_or(Location::Renderable, |known| known.location.clone()),
        });
    }
    let moved = input.gaps.iter().map(|gap| Gap { start: gap.start + start, ..gap.clone() });
    index.gaps.extend(moved);
    // The timeline goes on where the last frame ends: it is filled up with silence.
    index.duration = index.segments.last().map_or(start, |last| last.media_start + last.duration);
    index.started_at.get_or_insert(wall);
    index.ended_at = Some(wall.plus_nanos(length(audio).as_nanos()));
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
mod tests {
    use super::*;
    use echosphere_domain::key::ObjectKey;
    use echosphere_domain::recording::{Capture, Source};
    use uuid::Uuid;

    fn input(id: u128, start_s: i64, seconds: u64) -> CaptureInput {
        let audio = Audio {
            key: ObjectKey::parse("k").unwrap(),
            chunks: 0,
            offset: 0,
            length: 1,
            samples: seconds * 48_000,
            segment_ms: 4_000,
            is_gone: false,
            fills: Vec::new(),
        };
        let capture = Capture {
            id: CaptureId::new(Uuid::from_u128(id)),
            recording: echosphere_domain::id::RecordingId::new(Uuid::from_u128(1)),
            attempt: id as u32,
            source: Source::Upload,
            status: CaptureStatus::Complete,
            started_at: Some(WallTime::from_millis(start_s * 1000)),
            ended_at: None,
            error: None,
            upload: None,
            job_id: None,
            audio: Some(audio),
        };
        CaptureInput::new(capture, Vec::new())
    }

    #[test]
    fn one_capture_is_its_own_grid() {
        let index = compose(&[input(1, 100, 60)], &[]);
        assert_eq!(index.segments.len(), 15);
        assert_eq!(index.started_at, Some(WallTime::from_millis(100_000)));
        assert_eq!(index.segments[1].media_start.ticks(), 187 * 1920);
    }

    fn of_job(job: &str, input: CaptureInput) -> CaptureInput {
        CaptureInput { capture: Capture { job_id: Some(job.to_owned()), ..input.capture }, ..input }
    }

    fn of_room(input: CaptureInput) -> CaptureInput {
        CaptureInput { capture: Capture { source: Source::Recorder, ..input.capture }, ..input }
    }

    fn heard(index: &SegmentIndex) -> Vec<(u128, u32)> {
        index.segments.iter().map(|s| (s.capture.as_uuid().as_u128(), s.discontinuity)).collect()
    }

    #[test]
    fn a_second_upload_of_one_job_follows_after_a_discontinuity_and_an_overlap_is_not_doubled() {
        let inputs = [input(2, 200, 8), input(1, 100, 8), input(3, 202, 8)].map(|input| of_job("AJ_1", input));
        let index = compose(&inputs, &[]);
        assert_eq!(heard(&index), [(1, 0), (1, 0), (2, 1), (2, 1)]);
        assert_eq!(index.segments[2].wall_start, WallTime::from_millis(200_000));
        let media: Vec<_> =
            index.segments.windows(2).map(|w| w[0].media_start + w[0].duration == w[1].media_start).collect();
        assert_eq!(media, [true, true, true]);
    }

    #[test]
    fn sessions_of_two_jobs_are_not_put_in_a_row() {
        let inputs = [of_job("AJ_1", input(1, 100, 8)), of_job("AJ_2", input(2, 400, 12))];
        assert_eq!(heard(&compose(&inputs, &[])), [(2, 0), (2, 0), (2, 0)], "the longest");
        let current = compose(&inputs[..1], &[]).segments;
        assert_eq!(heard(&compose(&inputs, &current)), [(1, 0), (1, 0)], "what is heard already stays");
        // Uploads that do not name their job.
        assert_eq!(heard(&compose(&[input(1, 100, 8), input(2, 400, 8)], &[])), [(1, 0), (1, 0)]);
    }

    #[test]
    fn where_the_room_was_captured_that_is_what_is_heard() {
        let room = of_room(input(1, 100, 8));
        let before = of_job("AJ_1", input(2, 40, 60));
        let after = of_job("AJ_2", input(3, 300, 60));
        let inputs = [before, room, after];
        let index = compose(&inputs, &[]);
        assert_eq!(heard(&index), [(1, 0), (1, 0)]);
        assert_eq!(index.started_at, Some(WallTime::from_millis(100_000)));
        // What was put in a row once is taken out again, and media time zero stays.
        let mut current = compose(&inputs[1..2], &[]).segments;
        current.extend(compose(&inputs[2..], &[]).segments);
        assert_eq!(compose(&inputs, &current).segments, index.segments);
        // A recorder that kept nothing leaves it to the sessions.
        let mut failed = inputs.clone();
        (failed[1].capture.audio, failed[1].capture.status) = (None, CaptureStatus::Failed);
        assert_eq!(compose(&failed, &[]).segments.len(), 15);
    }

    #[test]
    fn media_time_zero_stays_and_stored_segments_are_kept() {
        let mut current = compose(&[input(1, 100, 8)], &[]).segments;
        current[0].location = Location::Stored { key: ObjectKey::parse("x").unwrap(), offset: 0, length: 9 };
        let later = compose(&[input(2, 50, 8), input(1, 100, 8)], &current);
        assert_eq!(later.segments[0].capture.as_uuid().as_u128(), 1);
        assert_eq!(later.segments[0].location, current[0].location);
        assert_eq!(later.segments.len(), 2, "what lies before zero is not put behind it");
    }

    #[test]
    fn what_hindsight_improves_is_rendered_again_and_a_restart_is_a_discontinuity() {
        let mut current = compose(&[input(1, 100, 16)], &[]).segments;
        for segment in &mut current {
            segment.location = Location::Stored { key: ObjectKey::parse("x").unwrap(), offset: 0, length: 9 };
        }
        let mut better = input(1, 100, 18);
        better.improved = vec![MediaTime::from_millis(5_000)..MediaTime::from_millis(5_100)];
        better.restarts = vec![MediaTime::from_millis(7_000)];
        let after = compose(&[better], &current).segments;
        let again: Vec<bool> = after.iter().map(|segment| segment.location == Location::Renderable).collect();
        assert_eq!(again, [false, true, false, false, true], "the second, and the one that is new");
        let discontinuities: Vec<u32> = after.iter().map(|segment| segment.discontinuity).collect();
        assert_eq!(discontinuities, [0, 0, 1, 1, 1]);
    }

    #[test]
    fn silence_has_a_reason() {
        let mut failed = input(1, 100, 8);
        failed.capture.audio = None;
        failed.capture.status = CaptureStatus::Partial;
        let index = compose(std::slice::from_ref(&failed), &[]);
        let content = content(&index, &[failed], Reason::AudioMissing);
        assert_eq!(content, Content::Silent { reason: Reason::AudioMissing, partial: true });
    }
}
