//! Tests of `offset`.

use super::*;
use proptest::prelude::*;

const WIDEST: usize = 1_500;

/// One word per pitch, 200 ms long at the beginning of 500 ms, on the left channel.
fn speech(pitches: &[u8], gain: f32) -> Vec<i16> {
    let word = |pitch: u8| {
        let hertz = 300.0 + 11.0 * f32::from(pitch);
        (0..24_000).map(move |n| {
            let sample = if n < 9_600 { (n as f32 * hertz * TAU / 48_000.0).sin() } else { 0.0 };
            (sample * 8_000.0 * gain) as i16
        })
    };
    pitches.iter().flat_map(|&pitch| word(pitch)).flat_map(|sample| [sample, 0]).collect()
}

/// Both in the form in which they are compared, when the second is `shift` milliseconds late.
fn pair(first: &[i16], second: &[i16], shift: i64) -> Pair {
    let (widest, length) = (WIDEST as i64, first.len() as i64 / 2);
    let at = |n: i64| usize::try_from(n - shift * 48).ok().and_then(|n| second.get(2 * n)).copied().unwrap_or(0);
    let second: Vec<i16> = (-widest * 48..length + widest * 48).flat_map(|n| [at(n), 0]).collect();
    Pair { first: Features::of(first, 0), second: Features::of(&second, 0) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_shift_is_found_though_the_rhythm_is_the_same_everywhere(
        words in prop::collection::hash_set(0_u8..20, 9..14),
        shift in -1_400_i64..1_400,
        gain in 0.2_f32..2.0,
    ) {
        let words: Vec<u8> = words.into_iter().map(|word| word * 12).collect();
        let found = find(&[pair(&speech(&words, 1.0), &speech(&words, gain), shift)], WIDEST);
        prop_assert!(matches!(found, Fit::Shift(found) if (found - shift).abs() <= 2), "{found:?}, {shift}");
    }

    #[test]
    fn any_samples(first in prop::collection::vec(any::<i16>(), 0..3_000), second in prop::collection::vec(any::<i16>(), 0..6_000)) {
        let pair = Pair { first: Features::of(&first, 0), second: Features::of(&second, 1) };
        let _ = find(&[pair], 10);
    }
}

#[test]
fn what_does_not_fit_is_not_believed() {
    let one = speech(&[0, 40, 80, 120, 160, 200, 20, 60, 100], 1.0);
    let other = speech(&[240, 140, 180, 230, 30, 250, 130, 170, 220], 1.0);
    assert_eq!(find(&[pair(&one, &other, 0)], WIDEST), Fit::Unlike);
    let silence = vec![0; one.len()];
    assert_eq!(find(&[pair(&one, &silence, 0)], WIDEST), Fit::Silent);
    assert_eq!(find(&[], WIDEST), Fit::Silent);
}
