//! Tests of `segment_index`.

use super::*;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::recording::{Capture, Source};
use uuid::Uuid;

fn input(id: u128, start_s: i64, seconds: u64) -> CaptureInput {
    let audio = Audio {
        master: Master::Ogg(Location::part(ObjectKey::parse("k").unwrap(), 0, 1)),
        samples: seconds * 48_000,
        segment_ms: 4_000,
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
    current[0].state = SegmentState::Stored(Location::part(ObjectKey::parse("x").unwrap(), 0, 9));
    let later = compose(&[input(2, 50, 8), input(1, 100, 8)], &current);
    assert_eq!(later.segments[0].capture.as_uuid().as_u128(), 1);
    assert_eq!(later.segments[0].state, current[0].state);
    assert_eq!(later.segments.len(), 2, "what lies before zero is not put after it");
}

#[test]
fn what_hindsight_improves_is_rendered_again_and_a_restart_is_a_discontinuity() {
    let mut current = compose(&[input(1, 100, 16)], &[]).segments;
    for segment in &mut current {
        segment.state = SegmentState::Stored(Location::part(ObjectKey::parse("x").unwrap(), 0, 9));
    }
    let mut better = input(1, 100, 18);
    better.improved = vec![MediaTime::from_millis(5_000)..MediaTime::from_millis(5_100)];
    better.restarts = vec![MediaTime::from_millis(7_000)];
    let after = compose(&[better], &current).segments;
    let again: Vec<bool> = after.iter().map(|segment| segment.state == SegmentState::Renderable).collect();
    assert_eq!(again, [false, true, false, false, true], "the second, and the one that is new");
    let discontinuities: Vec<u32> = after.iter().map(|segment| segment.discontinuity).collect();
    assert_eq!(discontinuities, [0, 0, 1, 1, 1]);
}

#[test]
fn segments_that_somebody_else_made_are_listed_as_they_are_and_stay_at_the_next_publication() {
    let mut room = of_room(input(1, 100, 10));
    room.capture.audio.as_mut().unwrap().master = Master::Segments;
    let lengths = [6_000, 3_500, 700];
    let starts = [90_000, 96_000, 99_500];
    let discontinuities = [4, 4, 5];
    let given = |n: usize| Segment {
        capture: room.capture.id,
        capture_index: n as u32,
        index: 70 + n as u32,
        discontinuity: discontinuities[n],
        media_start: MediaTime::from_millis(starts[n]),
        duration: MediaTime::from_millis(lengths[n]),
        wall_start: WallTime::from_millis(100_000 + starts[n] - starts[0]),
        codecs: "opus".to_owned(),
        state: SegmentState::Stored(Location::part(ObjectKey::parse("theirs").unwrap(), n as u64, 9)),
    };
    let segments: Vec<Segment> = (0..3).map(given).collect();
    let first = compose(&[CaptureInput { given: segments.clone(), ..room.clone() }], &[]);
    let kept: Vec<_> = first.segments.iter().map(|s| (s.state.clone(), s.duration, s.codecs.clone())).collect();
    let same: Vec<_> = segments.iter().map(|s| (s.state.clone(), s.duration, s.codecs.clone())).collect();
    assert_eq!(kept, same);
    let places: Vec<_> = first.segments.iter().map(|s| (s.index, s.media_start.as_millis(), s.discontinuity)).collect();
    assert_eq!(places, [(0, 0, 0), (1, 6_000, 0), (2, 9_500, 1)]);
    assert_eq!(first.duration, MediaTime::from_millis(10_200));
    // A session comes later: the room is still what is heard, and nobody gives its segments again.
    let session = of_job("AJ_1", input(2, 100, 8));
    assert_eq!(compose(&[room, session], &first.segments).segments, first.segments);
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
