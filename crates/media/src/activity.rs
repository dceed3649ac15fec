//! Voice activity: when a channel is heard.
//!
//! One level for each half frame (512 samples, 10.67 ms) is measured while rendering; spans of speech are found in the
//! levels of the whole recording, against a threshold that follows its noise and its loudness.

use std::ops::Range;

/// Samples behind one level.
pub const STEP: usize = 512;
/// The level of silence: everything at or below -100 dB of full scale.
pub const SILENCE: u8 = 0;

/// The level of one channel over a stretch of interleaved stereo samples, in decibels above -100 dB of full scale.
pub fn level(samples: &[i16], channel: usize) -> u8 {
    let (mut energy, mut count) = (0_u64, 0_u64);
    for &sample in samples.iter().skip(channel).step_by(2) {
        energy += u64::from(i32::from(sample).unsigned_abs()).pow(2);
        count += 1;
    }
    if energy == 0 {
        return SILENCE;
    }
    let mean = energy as f64 / count as f64 / (32_768.0 * 32_768.0);
    (10.0 * mean.log10() + 100.0).round().clamp(0.0, 100.0) as u8
}

/// How speech is told from the rest.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Pauses up to this many steps do not end a span.
    pub bridge: usize,
    /// Spans shorter than this many steps are noise.
    pub shortest: usize,
}

impl Default for Settings {
    /// Pauses of 250 ms are bridged; 60 ms is the shortest speech.
    fn default() -> Self {
        Self { bridge: 23, shortest: 6 }
    }
}

/// Finds the spans of speech of one channel, in samples of 48 kHz.
pub fn detect(levels: &[u8], settings: Settings) -> Vec<Range<u64>> {
    let Some(threshold) = threshold(levels) else { return Vec::new() };
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < levels.len() {
        if levels[at] < threshold {
            at += 1;
            continue;
        }
        let mut end = at;
        // A voice dies away below the level at which it is believed to begin.
        while end < levels.len() && levels[end].saturating_add(6) >= threshold {
            end += 1;
        }
        match spans.last_mut() {
            Some(last) if at - last.end <= settings.bridge => last.end = end,
            _ => spans.push(at..end),
        }
        at = end;
    }
    spans.retain(|span| span.len() >= settings.shortest);
    spans.into_iter().map(|span| (span.start * STEP) as u64..(span.end * STEP) as u64).collect()
}

/// The level from which on a channel is believed to speak: well above its noise, and not too far below its speech. `None`
/// for a channel on which nobody is heard.
fn threshold(levels: &[u8]) -> Option<u8> {
    const LOUDEST_NOISE: u8 = 45;
    let mut counts = [0_usize; 101];
    let heard = levels.iter().filter(|&&level| level > SILENCE);
    heard.clone().for_each(|&level| counts[usize::from(level.min(100))] += 1);
    let total = heard.count();
    let percentile = |share: f64| {
        let wanted = (total as f64 * share) as usize;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        found.unwrap_or(100) as u8
    };
    if total == 0 {
        return None;
    }
    // Digital silence says that whatever else there is was sent on purpose: then there is no noise to stay above.
    let mostly_silent = total * 10 < levels.len() * 9;
    let noise = if mostly_silent { 0 } else { percentile(0.10).min(LOUDEST_NOISE) };
    let loud = percentile(0.95);
    let threshold = (noise.saturating_add(15)).max(loud.saturating_sub(35)).max(40);
    (loud >= threshold).then_some(threshold)
}

#[cfg(test)]
mod tests {
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
        let spans = detect(&levels, Settings::default());
        let step = STEP as u64;
        assert_eq!(spans, [100 * step..300 * step, 500 * step..600 * step]);
    }

    #[test]
    fn noise_alone_is_nobody() {
        assert!(detect(&[25; 500], Settings::default()).is_empty());
        assert!(detect(&[SILENCE; 500], Settings::default()).is_empty());
        assert!(detect(&[], Settings::default()).is_empty());
    }

    proptest! {
        #[test]
        fn spans_are_ordered_and_inside(levels in prop::collection::vec(0_u8..=255, 0..600)) {
            let spans = detect(&levels, Settings::default());
            let mut last = 0;
            for span in &spans {
                prop_assert!(span.start >= last && span.end > span.start);
                last = span.end;
            }
            prop_assert!(last <= (levels.len() * STEP) as u64);
        }
    }
}
