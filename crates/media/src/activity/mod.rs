//! Voice activity detection: finds when somebody speaks in a channel.
//!
//! One level for each half frame (512 samples, 10.67 ms) is measured while rendering; spans of speech are found in the levels,
//! against a threshold that follows the noise and the loudness shortly before and after. What is further away does not matter:
//! whether a line is detected depends neither on where it is nor on how long the recording is.

mod echo;
mod threshold;

use std::ops::Range;

pub use echo::Echo;

/// Samples per level.
pub const STEP: usize = 512;
/// The level of silence: everything at or below -100 dB of full scale.
pub const SILENCE: u8 = 0;

/// The level of one channel over a stretch of interleaved stereo samples, in decibels above -100 dB of full scale.
pub fn level(samples: &[i16], channel: usize) -> u8 {
    level_of(samples.iter().skip(channel).step_by(2).copied())
}

/// The level of some samples, in decibels above -100 dB of full scale.
pub fn level_of(samples: impl Iterator<Item = i16>) -> u8 {
    let (mut energy, mut count) = (0_u64, 0_u64);
    for sample in samples {
        energy += u64::from(i32::from(sample).unsigned_abs()).pow(2);
        count += 1;
    }
    if energy == 0 {
        return SILENCE;
    }
    let mean = energy as f64 / count as f64 / (32_768.0 * 32_768.0);
    (10.0 * mean.log10() + 100.0).round().clamp(0.0, 100.0) as u8
}

/// The levels of interleaved stereo samples: of each half frame the first channel's, then the second's.
pub fn levels(stereo: &[i16]) -> impl Iterator<Item = u8> + '_ {
    stereo.chunks_exact(2 * STEP).flat_map(|half| [level(half, 0), level(half, 1)])
}

/// How speech is distinguished from the rest.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Pauses up to this many steps do not end a span.
    pub bridge: usize,
    /// Spans shorter than this many steps are noise.
    pub shortest: usize,
}

impl Default for Settings {
    /// Pauses of up to 120 ms, which occur within words, are bridged; 60 ms is the shortest speech.
    fn default() -> Self {
        Self { bridge: 11, shortest: 6 }
    }
}

/// What is heard in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// The spans of speech, in samples of 48 kHz: in order, without overlap.
    pub spans: Vec<Range<u64>>,
    /// Whether most of it has noise that hides faint sounds.
    pub is_noisy: bool,
}

/// From this level on noise hides faint sounds.
const HIDES: u8 = 45;
/// How far below the threshold a voice may die away before it counts as ended, in decibels.
const DYING_AWAY: u8 = 6;

/// Finds out when somebody speaks in one channel.
pub fn detect(levels: &[u8], settings: Settings) -> Activity {
    let thresholds = threshold::of(levels);
    let noises = thresholds.iter().filter(|threshold| threshold.noise >= HIDES);
    let is_noisy = 2 * noises.count() > thresholds.len();
    let threshold = |at: usize| thresholds[at / threshold::BLOCK].level;
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < levels.len() {
        if levels[at] < threshold(at) {
            at += 1;
            continue;
        }
        let mut end = at;
        while end < levels.len() && levels[end].saturating_add(DYING_AWAY) >= threshold(end) {
            end += 1;
        }
        match spans.last_mut() {
            Some(last) if at - last.end <= settings.bridge => last.end = end,
            _ => spans.push(at..end),
        }
        at = end;
    }
    spans.retain(|span| span.len() >= settings.shortest);
    let spans = spans.into_iter().map(|span| (span.start * STEP) as u64..(span.end * STEP) as u64).collect();
    Activity { spans, is_noisy }
}

#[cfg(test)]
mod tests;
