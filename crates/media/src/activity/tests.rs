//! Tests of `activity`.

use super::*;
use proptest::prelude::*;

#[test]
fn levels_are_decibels() {
    let full: Vec<i16> = (0..STEP).flat_map(|_| [i16::MIN, 0]).collect();
    assert_eq!((level(&full, 0), level(&full, 1)), (100, SILENCE));
    let faint: Vec<i16> = (0..STEP).flat_map(|_| [6, 6]).collect();
    assert_eq!(level(&faint, 0), 25);
}

#[test]
fn speech_over_noise_with_a_pause() {
    let mut levels = vec![25; 1000];
    levels[100..200].fill(75);
    levels[210..300].fill(70);
    levels[400..402].fill(80);
    levels[500..600].fill(65);
    let spans = detect(&levels, Settings::default()).spans;
    let step = STEP as u64;
    assert_eq!(spans, [100 * step..300 * step, 500 * step..600 * step]);
    let apart = detect(&levels, Settings { bridge: 3, ..Settings::default() }).spans;
    assert_eq!(apart.len(), 3);
}

#[test]
fn noise_alone_is_nobody() {
    assert!(detect(&[25; 500], Settings::default()).spans.is_empty());
    assert!(detect(&[SILENCE; 500], Settings::default()).spans.is_empty());
    // A hum of any loudness, also of a microphone that is all the way up.
    for level in SILENCE..=100 {
        assert!(detect(&[level; 2_000], Settings::default()).spans.is_empty(), "{level}");
    }
    assert!(detect(&[], Settings::default()).spans.is_empty());
}

/// A channel with speech of a wide range of levels over noise of a level, after `muted` silent steps.
fn speech_over(noise: u8, muted: usize) -> Vec<u8> {
    let mut levels = vec![SILENCE; muted];
    levels.extend((0..3000_usize).map(|n| {
        let noise = noise + (n * 7 % 5) as u8 - 2;
        let speech = 58 + (n * 13 % 27) as u8;
        if (400..700).contains(&n) || (1500..1900).contains(&n) { speech.max(noise) } else { noise }
    }));
    levels
}

#[test]
fn a_noisy_microphone_does_not_speak_all_the_time() {
    let step = STEP as u64;
    for (noise, muted) in [(25, 0), (40, 0), (45, 600), (50, 0), (50, 600), (55, 2000), (58, 600)] {
        let spans = detect(&speech_over(noise, muted), Settings::default()).spans;
        let from = muted as u64;
        assert_eq!(spans.len(), 2, "{noise} {muted}: {spans:?}");
        for (span, wanted) in spans.iter().zip([from + 400..from + 700, from + 1500..from + 1900]) {
            assert!(span.start.abs_diff(wanted.start * step) <= 2 * step, "{noise} {muted}: {span:?}");
            assert!(span.end.abs_diff(wanted.end * step) <= 2 * step, "{noise} {muted}: {span:?}");
        }
    }
}

#[test]
fn noise_that_is_muted_at_times_is_nobody() {
    for noise in [30, 45, 55] {
        let mut levels: Vec<u8> = (0..2000_usize).map(|n| noise + (n * 7 % 5) as u8).collect();
        levels[300..900].fill(SILENCE);
        assert!(detect(&levels, Settings::default()).spans.is_empty(), "{noise}");
    }
}

proptest! {
    #[test]
    fn spans_are_ordered_and_inside(levels in prop::collection::vec(0_u8..=255, 0..600)) {
        let spans = detect(&levels, Settings::default()).spans;
        let mut last = 0;
        for span in &spans {
            prop_assert!(span.start >= last && span.end > span.start);
            last = span.end;
        }
        prop_assert!(last <= (levels.len() * STEP) as u64);
    }
}
