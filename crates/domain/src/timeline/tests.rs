//! Tests of `timeline`.

use super::*;
use proptest::prelude::*;

fn span(wall_ms: i64, media_ms: i64, duration_ms: i64) -> Span {
    Span {
        wall_start: WallTime::from_millis(wall_ms),
        media_start: MediaTime::from_millis(media_ms),
        duration: MediaTime::from_millis(duration_ms),
    }
}

#[test]
fn a_pause_closes_up() {
    let timeline = Timeline::new([span(1_000, 0, 4_000), span(5_000, 4_000, 2_000), span(17_000, 6_000, 1_000)]);
    assert_eq!(timeline.spans().len(), 2);
    let at = |ms| timeline.locate(WallTime::from_millis(ms)).map(|p| (p.media.as_millis(), p.exact));
    assert_eq!(at(500), Some((0, false)));
    assert_eq!(at(1_000), Some((0, true)));
    assert_eq!(at(6_999), Some((5_999, true)));
    assert_eq!(at(12_000), Some((6_000, false)));
    assert_eq!(at(17_500), Some((6_500, true)));
    assert_eq!(at(99_000), Some((7_000, false)));
    assert_eq!(timeline.wall_at(MediaTime::from_millis(6_500)), Some(WallTime::from_millis(17_500)));
}

#[test]
fn no_media_has_no_media_time() {
    assert_eq!(Timeline::default().locate(WallTime::from_millis(1)), None);
}

proptest! {
    #[test]
    fn media_time_never_goes_backwards(
        pieces in prop::collection::vec((0_i64..10_000, 1_i64..5_000), 1..8),
        mut times in prop::collection::vec(0_i64..100_000, 2..20),
    ) {
        let (mut wall, mut media) = (0, 0);
        let timeline = Timeline::new(pieces.iter().map(|&(pause, duration)| {
            wall += pause;
            let piece = span(wall, media, duration);
            wall += duration;
            media += duration;
            piece
        }));
        times.sort_unstable();
        let mapped: Vec<_> =
            times.iter().filter_map(|&t| timeline.locate(WallTime::from_millis(t))).map(|p| p.media).collect();
        prop_assert!(mapped.is_sorted());
    }
}
