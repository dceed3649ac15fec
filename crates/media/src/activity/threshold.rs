//! The threshold of voice activity: the level from which on a channel counts as speaking, well above the noise around it, and not
//! too far below the speech around it.

use std::sync::LazyLock;

use super::SILENCE;

/// Steps in a block (107 ms), for which one threshold holds, and in which noise is measured.
pub(super) const BLOCK: usize = 10;
/// The highest level, that of full scale.
const LOUDEST: u8 = 100;
/// Speech is never fainter than this (-60 dB of full scale).
const FAINTEST: u8 = 40;
/// Speech stays within this many decibels of its loud parts.
const RANGE: u8 = 35;
/// A voice is at least this many decibels above the noise.
const ABOVE_NOISE: u8 = 6;
/// Noise is looked for this many blocks before and after (10 s); the loudness of speech, in three times that.
const NEAR: usize = 94;
const AROUND: usize = 3 * NEAR;
/// Noise stays within this many decibels for at least this many blocks on end, which speech does not: its syllables are
/// shorter.
const STEADY: u8 = 3;
const ON_END: usize = 5;
/// At least this many steady blocks nearby are a noise (0.9 s).
const ENOUGH: u32 = 8;
/// What is steady and this far below the loudest is noise; nearer to it, it may be a voice that holds its tone ...
const BELOW_SPEECH: u8 = 8;
/// ... unless it is faint, and so is everything else, ...
const FAINT: u8 = 60;
/// ... or goes on for at least this many blocks (5 s), each of which then counts this many times.
const LONG: usize = 47;
const HUM: u32 = 10;

/// The threshold of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Threshold {
    /// 255, which nothing reaches, where nobody is heard.
    pub level: u8,
    /// The level of the noise; 0 without one.
    pub noise: u8,
}

/// The threshold of each block.
pub(super) fn of(levels: &[u8]) -> Vec<Threshold> {
    let blocks: Vec<Option<u8>> = levels.chunks(BLOCK).map(mean).collect();
    let steady = steady(&blocks);
    let (mut heard, mut noise) = (Counts::default(), Counts::default());
    let of_block = |at: usize| {
        heard.move_to(at, AROUND, blocks.len(), |block, change| {
            levels[block * BLOCK..levels.len().min((block + 1) * BLOCK)].iter().for_each(|&level| change(level, 1));
        });
        noise.move_to(at, NEAR, steady.len(), |block, change| {
            if let Some((level, weight)) = steady[block] {
                change(level, weight);
            }
        });
        threshold(&heard, &noise)
    };
    (0..blocks.len()).map(of_block).collect()
}

fn threshold(heard: &Counts, steady: &Counts) -> Threshold {
    let (heard, steady) = (heard.up_to(), steady.up_to());
    let noise = loudest_noise(&heard, &steady);
    let voices = usize::from(FAINTEST.max(noise.saturating_add(ABOVE_NOISE)).min(LOUDEST));
    let Some(loud) = percentile(&heard, voices, 0.85) else { return Threshold { level: u8::MAX, noise } };
    // Near the noise the margin shrinks, but not so far that a voice's end drowns in it.
    let margin = (loud.saturating_sub(noise) / 2).clamp(10, 15);
    let threshold = noise.saturating_add(margin).max(loud.saturating_sub(RANGE)).max(FAINTEST);
    Threshold { level: if loud >= threshold { threshold } else { u8::MAX }, noise }
}

/// The level of the loudest steady noise that is not a voice; 0 without one.
fn loudest_noise(heard: &UpTo, steady: &UpTo) -> u8 {
    if steady[100] < ENOUGH {
        return 0;
    }
    let width = usize::from(STEADY);
    let loudest = percentile(heard, 1, 0.98).unwrap_or(0);
    let is_noise = |low: &usize| {
        let top = (low + width) as u8;
        let is_apart = top.saturating_add(BELOW_SPEECH) <= loudest || top <= FAINT;
        // Little is fainter than a noise that is there: a quarter at most.
        let is_floor = heard[low.saturating_sub(width).max(1)] * 4 <= heard[100];
        steady[low + width] - steady[low - 1] >= if is_apart && is_floor { ENOUGH } else { ENOUGH * HUM }
    };
    (1..=100 - width).rev().find(is_noise).map_or(0, |low| (low + width / 2) as u8)
}

/// How often levels from 1 up to each level occur.
type UpTo = [u32; 101];

/// The lowest level at or below which more than this share of what is counted from the level `least` on is; `None` when nothing is counted there.
fn percentile(counts: &UpTo, least: usize, share: f64) -> Option<u8> {
    let below = counts[least - 1];
    let wanted = (f64::from(counts[100] - below) * share) as u32;
    let above = counts[least..].partition_point(|count| count - below <= wanted);
    (least + above <= 100).then_some((least + above) as u8)
}

/// The energy of each level.
static ENERGIES: LazyLock<[f32; 101]> = LazyLock::new(|| std::array::from_fn(|level| 10_f32.powf(level as f32 / 10.0)));

/// The mean level of a block by its energy; `None` when it is incomplete, or a part of it is digital silence, which no
/// noise is.
fn mean(block: &[u8]) -> Option<u8> {
    if block.len() < BLOCK || block.contains(&SILENCE) {
        return None;
    }
    let energy: f32 = block.iter().map(|&level| ENERGIES[usize::from(level.min(100))]).sum();
    Some((10.0 * (energy / block.len() as f32).log10()).round() as u8)
}

/// The blocks that keep their level for long enough, each with its weight: 1, or [`HUM`] where the level goes on like that for
/// seconds.
fn steady(blocks: &[Option<u8>]) -> Vec<Option<(u8, u32)>> {
    let mut steady = vec![None; blocks.len()];
    for (length, weight) in [(ON_END, 1), (LONG, HUM)] {
        for (start, window) in blocks.windows(length).enumerate() {
            let levels = || window.iter().flatten();
            let (Some(low), Some(high)) = (levels().min(), levels().max()) else { continue };
            if high - low <= STEADY && levels().count() == length {
                let places = steady[start..start + length].iter_mut().zip(window);
                places.for_each(|(place, level)| *place = level.map(|level| (level, weight)));
            }
        }
    }
    steady
}

/// How often each level occurs in a moving window.
struct Counts {
    levels: [u32; 101],
    /// The blocks that are counted.
    from: usize,
    to: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self { levels: [0; 101], from: 0, to: 0 }
    }
}

impl Counts {
    /// Counts the blocks that are at most `reach` away from this one. `count` reports the levels of a block, and how often each
    /// counts.
    fn move_to(&mut self, at: usize, reach: usize, blocks: usize, count: impl Fn(usize, &mut dyn FnMut(u8, u32))) {
        let (from, to) = (at.saturating_sub(reach), (at + reach + 1).min(blocks));
        let levels = &mut self.levels;
        for block in self.to..to {
            count(block, &mut |level, weight| levels[usize::from(level.min(100))] += weight);
        }
        for block in self.from..from {
            count(block, &mut |level, weight| levels[usize::from(level.min(100))] -= weight);
        }
        (self.from, self.to) = (from, to);
    }

    fn up_to(&self) -> UpTo {
        let mut counts = self.levels;
        counts[0] = 0;
        for level in 1..=100 {
            counts[level] += counts[level - 1];
        }
        counts
    }
}
