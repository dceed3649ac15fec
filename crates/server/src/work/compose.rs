//! From captures to a recording: which capture is heard when, and what is missing.

use std::collections::HashMap;

use echosphere_domain::id::CaptureId;
use echosphere_domain::lifecycle::{Content, Reason};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Gap, Source};
use echosphere_domain::segment::{Location, Segment};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;

use crate::render;

/// What is heard of two captures at once is not listed twice; a capture that begins this little before the end of the one
/// before is taken to follow it.
const SLACK: i64 = 500_000_000;
/// RFC 6381 of AAC-LC.
pub const CODECS: &str = "mp4a.40.2";

/// A capture with what its audio index says.
#[derive(Clone)]
pub struct Piece {
    /// The capture.
    pub capture: Capture,
    /// What is missing inside it, in its own media time.
    pub gaps: Vec<Gap>,
    /// Where another process took over, in its own media time: a discontinuity.
    pub restarts: Vec<MediaTime>,
    /// Stretches of which more is known than when they were rendered, in its own media time.
    pub improved: Vec<std::ops::Range<MediaTime>>,
    /// Its sound, to listen to.
    pub source: Option<render::Source>,
    /// Whether it was cut at its end, and another capture has the rest: then nothing is missing there.
    pub is_end_filled: bool,
}

impl Piece {
    /// A capture that came whole.
    pub fn new(capture: Capture, gaps: Vec<Gap>) -> Self {
        Self { capture, gaps, restarts: Vec::new(), improved: Vec::new(), source: None, is_end_filled: false }
    }
}

/// The segment index that captures amount to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Composition {
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

/// Puts captures in a row. `current` is the segment index so far: its order stays, because media time zero never changes,
/// and its stored segments are carried over.
pub fn compose(pieces: &[Piece], current: &[Segment]) -> Composition {
    let stored: Stored<'_> = current
        .iter()
        .filter(|segment| !matches!(segment.location, Location::Renderable))
        .map(|segment| ((segment.capture, segment.capture_index), segment))
        .collect();
    let mut composition = Composition::default();
    for piece in in_order(pieces, current) {
        append(&mut composition, piece, &stored);
    }
    composition
}

fn started(piece: &Piece) -> WallTime {
    piece.capture.started_at.unwrap_or(WallTime::from_nanos(0))
}

fn length(audio: &Audio) -> MediaTime {
    MediaTime::from_samples_48k(i64::try_from(audio.samples).unwrap_or(i64::MAX))
}

/// Whether a capture is one of the room, not of a session in it.
pub fn is_of_room(capture: &Capture) -> bool {
    matches!(capture.source, Source::Recorder | Source::Egress)
}

fn is_audible(piece: &Piece) -> bool {
    let lost = matches!(piece.capture.status, CaptureStatus::Superseded | CaptureStatus::Failed);
    piece.capture.audio.is_some() && !lost
}

/// Whether two uploads are of one job: only then may one be heard after the other.
pub fn is_same_job(one: &Capture, other: &Capture) -> bool {
    one.id == other.id || (one.job_id.is_some() && one.job_id == other.job_id)
}

/// The captures that are heard: those of the room where there are any, else those of one job: of the one that is heard already, or
/// has the most. Those of the current index come first, then whatever begins after them.
fn in_order<'p>(pieces: &'p [Piece], current: &[Segment]) -> Vec<&'p Piece> {
    let mut rest: Vec<&Piece> = pieces.iter().filter(|piece| is_audible(piece)).collect();
    if rest.iter().any(|piece| is_of_room(&piece.capture)) {
        rest.retain(|piece| is_of_room(&piece.capture));
    } else {
        let heard = current.iter().find_map(|segment| rest.iter().find(|piece| piece.capture.id == segment.capture));
        let samples = |piece: &&&Piece| piece.capture.audio.as_ref().map_or(0, |audio| audio.samples);
        let longest = || rest.iter().rev().max_by_key(samples);
        let Some(first) = heard.or_else(longest).copied() else { return Vec::new() };
        rest.retain(|piece| is_same_job(&first.capture, &piece.capture));
    }
    rest.sort_by_key(|piece| started(piece));
    let mut order: Vec<&Piece> = Vec::new();
    for segment in current {
        if let Some(at) = rest.iter().position(|piece| piece.capture.id == segment.capture) {
            order.push(rest.remove(at));
        }
    }
    for piece in rest {
        let end = order.last().and_then(|last| {
            let audio = last.capture.audio.as_ref()?;
            Some(started(last).plus_nanos(length(audio).as_nanos()))
        });
        if end.is_none_or(|end| started(piece).since(end) >= -SLACK) {
            order.push(piece);
        }
    }
    order
}

/// Where a frame of the grid begins, in its capture's own media time.
pub fn media_time(frame: u64) -> MediaTime {
    MediaTime::from_samples_48k(i64::try_from(frame.saturating_mul(FRAME as u64)).unwrap_or(i64::MAX))
}

fn append(composition: &mut Composition, piece: &Piece, stored: &Stored<'_>) {
    let Some(audio) = &piece.capture.audio else { return };
    let (start, wall) = (composition.duration, started(piece));
    let first = composition.segments.last().map_or(0, |last| last.discontinuity + 1);
    let grid = Grid::new(audio.samples, u64::from(audio.segment_ms));
    for capture_index in 0..grid.segments() {
        let frames = grid.segment(capture_index);
        let (into, end) = (media_time(frames.start), media_time(frames.end));
        let is_improved = piece.improved.iter().any(|stretch| stretch.start < end && stretch.end > into);
        let known = stored.get(&(piece.capture.id, capture_index));
        // The last segment of a room that has ended is shorter, or longer, than it looked while the room went on.
        let known = known.filter(|known| !is_improved && known.duration == end - into);
        let restarts = piece.restarts.iter().filter(|restart| **restart <= into).count() as u32;
        composition.segments.push(Segment {
            capture: piece.capture.id,
            capture_index,
            index: composition.segments.len() as u32,
            discontinuity: first + restarts,
            media_start: start + into,
            duration: end - into,
            wall_start: wall.plus_nanos(into.as_nanos()),
            codecs: CODECS.to_owned(),
            location: known.map_or(Location::Renderable, |known| known.location.clone()),
        });
    }
    let moved = piece.gaps.iter().map(|gap| Gap { start: gap.start + start, ..gap.clone() });
    composition.gaps.extend(moved);
    // The timeline goes on where the last frame ends: it is filled up with silence.
    composition.duration = composition.segments.last().map_or(start, |last| last.media_start + last.duration);
    composition.started_at.get_or_insert(wall);
    composition.ended_at = Some(wall.plus_nanos(length(audio).as_nanos()));
}

/// What a recording's captures amount to. `silent` is why there is no sound, should there be none.
pub fn content(composition: &Composition, pieces: &[Piece], silent: Reason) -> Content {
    let counted = pieces.iter().filter(|piece| piece.capture.status != CaptureStatus::Superseded);
    let partial = counted.into_iter().any(|piece| {
        let is_cut = matches!(piece.capture.status, CaptureStatus::Partial | CaptureStatus::Failed);
        is_cut && !piece.is_end_filled || !piece.gaps.is_empty()
    });
    if composition.segments.is_empty() {
        Content::Silent { reason: silent, partial }
    } else {
        Content::Playable { partial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use echosphere_domain::key::ObjectKey;
    use uuid::Uuid;

    fn piece(id: u128, start_s: i64, seconds: u64) -> Piece {
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
        Piece::new(capture, Vec::new())
    }

    #[test]
    fn one_capture_is_its_own_grid() {
        let composition = compose(&[piece(1, 100, 60)], &[]);
        assert_eq!(composition.segments.len(), 15);
        assert_eq!(composition.started_at, Some(WallTime::from_millis(100_000)));
        assert_eq!(composition.segments[1].media_start.ticks(), 187 * 1920);
    }

    fn of_job(job: &str, piece: Piece) -> Piece {
        Piece { capture: Capture { job_id: Some(job.to_owned()), ..piece.capture }, ..piece }
    }

    fn of_room(piece: Piece) -> Piece {
        Piece { capture: Capture { source: Source::Recorder, ..piece.capture }, ..piece }
    }

    fn heard(composition: &Composition) -> Vec<(u128, u32)> {
        composition.segments.iter().map(|s| (s.capture.as_uuid().as_u128(), s.discontinuity)).collect()
    }

    #[test]
    fn a_second_upload_of_one_job_follows_after_a_discontinuity_and_an_overlap_is_not_doubled() {
        let pieces = [piece(2, 200, 8), piece(1, 100, 8), piece(3, 202, 8)].map(|piece| of_job("AJ_1", piece));
        let composition = compose(&pieces, &[]);
        assert_eq!(heard(&composition), [(1, 0), (1, 0), (2, 1), (2, 1)]);
        assert_eq!(composition.segments[2].wall_start, WallTime::from_millis(200_000));
        let media: Vec<_> =
            composition.segments.windows(2).map(|w| w[0].media_start + w[0].duration == w[1].media_start).collect();
        assert_eq!(media, [true, true, true]);
    }

    #[test]
    fn sessions_of_two_jobs_are_not_put_in_a_row() {
        let pieces = [of_job("AJ_1", piece(1, 100, 8)), of_job("AJ_2", piece(2, 400, 12))];
        assert_eq!(heard(&compose(&pieces, &[])), [(2, 0), (2, 0), (2, 0)], "the longest");
        let current = compose(&pieces[..1], &[]).segments;
        assert_eq!(heard(&compose(&pieces, &current)), [(1, 0), (1, 0)], "what is heard already stays");
        // Uploads that do not say of which job they are.
        assert_eq!(heard(&compose(&[piece(1, 100, 8), piece(2, 400, 8)], &[])), [(1, 0), (1, 0)]);
    }

    #[test]
    fn where_the_room_was_captured_that_is_what_is_heard() {
        let room = of_room(piece(1, 100, 8));
        let before = of_job("AJ_1", piece(2, 40, 60));
        let after = of_job("AJ_2", piece(3, 300, 60));
        let pieces = [before, room, after];
        let composition = compose(&pieces, &[]);
        assert_eq!(heard(&composition), [(1, 0), (1, 0)]);
        assert_eq!(composition.started_at, Some(WallTime::from_millis(100_000)));
        // What was put in a row once is taken out again, and media time zero stays.
        let mut current = compose(&pieces[1..2], &[]).segments;
        current.extend(compose(&pieces[2..], &[]).segments);
        assert_eq!(compose(&pieces, &current).segments, composition.segments);
        // A recorder that kept nothing leaves it to the sessions.
        let mut failed = pieces.clone();
        (failed[1].capture.audio, failed[1].capture.status) = (None, CaptureStatus::Failed);
        assert_eq!(compose(&failed, &[]).segments.len(), 15);
    }

    #[test]
    fn media_time_zero_stays_and_stored_segments_are_kept() {
        let mut current = compose(&[piece(1, 100, 8)], &[]).segments;
        current[0].location = Location::Stored { key: ObjectKey::parse("x").unwrap(), offset: 0, length: 9 };
        let later = compose(&[piece(2, 50, 8), piece(1, 100, 8)], &current);
        assert_eq!(later.segments[0].capture.as_uuid().as_u128(), 1);
        assert_eq!(later.segments[0].location, current[0].location);
        assert_eq!(later.segments.len(), 2, "what lies before zero is not put behind it");
    }

    #[test]
    fn what_hindsight_improves_is_rendered_again_and_a_restart_is_a_discontinuity() {
        let mut current = compose(&[piece(1, 100, 16)], &[]).segments;
        for segment in &mut current {
            segment.location = Location::Stored { key: ObjectKey::parse("x").unwrap(), offset: 0, length: 9 };
        }
        let mut better = piece(1, 100, 18);
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
        let mut failed = piece(1, 100, 8);
        failed.capture.audio = None;
        failed.capture.status = CaptureStatus::Partial;
        let composition = compose(std::slice::from_ref(&failed), &[]);
        let content = content(&composition, &[failed], Reason::AudioMissing);
        assert_eq!(content, Content::Silent { reason: Reason::AudioMissing, partial: true });
    }
}
