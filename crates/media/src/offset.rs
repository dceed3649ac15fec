//! Finds the time offset between two recordings of the same sound, by shifting one against the other until they fit.
//!
//! The two may have gone through different codecs, buffers and gains, so their samples are not compared. First the pitches are,
//! every 10 ms: they distinguish words of the same rhythm. Then, near the best fit, the loudness of every millisecond.

use std::f32::consts::TAU;

use crate::SAMPLE_RATE;

/// Samples of one millisecond.
const MS: usize = 48;
/// Milliseconds per value of each pitch.
const COARSE: usize = 10;
/// The pitches that are measured: this many, from the lowest on, this far apart (Hz). Most of what distinguishes speech is there.
const BANDS: usize = 24;
const LOWEST: f32 = 200.0;
const APART: f32 = 150.0;
/// The correlation of the pitches, 1 at most, from which on a fit is believed. Speech that went through two codecs has 0.9; another
/// sound stays below 0.4.
const BELIEVED: f32 = 0.6;
/// Sound of nearly constant loudness (up to this standard deviation of the logarithm) says nothing about the offset.
const FLAT: f32 = 0.3;
/// Of shifts that fit equally well the smaller one is taken: the widest has to fit better by this.
const FAR: f32 = 0.02;

/// The features of a sound that are compared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// The loudness of each millisecond.
    loudness: Vec<f32>,
    /// The loudness of each pitch, every 10 ms, relative to the other pitches at that time and to its own mean.
    pitches: Vec<f32>,
}

impl Features {
    /// One channel (0 or 1) of interleaved stereo samples; a remainder of less than 10 ms is left out.
    pub fn of(stereo: &[i16], channel: usize) -> Self {
        let samples: Vec<f32> = stereo.iter().skip(channel).step_by(2).map(|&sample| f32::from(sample)).collect();
        let whole = &samples[..samples.len() / (MS * COARSE) * (MS * COARSE)];
        let loudness = whole.chunks_exact(MS).map(|ms| logarithm(ms.iter().map(|s| s.abs()).sum::<f32>() / MS as f32));
        let mut features = Self { loudness: loudness.collect(), pitches: Vec::new() };
        for frame in whole.chunks_exact(MS * COARSE) {
            let pitches: [f32; BANDS] = std::array::from_fn(|band| pitch(frame, LOWEST + APART * band as f32));
            let mean = pitches.iter().sum::<f32>() / BANDS as f32;
            features.pitches.extend(pitches.map(|value| value - mean));
        }
        let frames = features.pitches.len() / BANDS;
        for band in 0..BANDS {
            let mean = features.pitches.iter().skip(band).step_by(BANDS).sum::<f32>() / frames.max(1) as f32;
            for value in features.pitches.iter_mut().skip(band).step_by(BANDS) {
                *value -= mean;
            }
        }
        features
    }
}

fn logarithm(amplitude: f32) -> f32 {
    (1.0 + amplitude).ln()
}

/// How loud one frequency is in a frame (Goertzel's algorithm).
fn pitch(frame: &[f32], hertz: f32) -> f32 {
    let turn = 2.0 * (TAU * hertz / SAMPLE_RATE as f32).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in frame {
        (last, before) = (sample + turn * last - before, last);
    }
    let power: f32 = last * last + before * before - turn * last * before;
    logarithm(2.0 * power.max(0.0).sqrt() / frame.len() as f32)
}

/// A stretch of sound that both recordings have.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// The first.
    pub first: Features,
    /// The second, longer on either side by the widest shift.
    pub second: Features,
}

/// How two recordings fit each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// What is heard in the first is this many milliseconds later in the second.
    Shift(i64),
    /// There is too little to compare.
    Silent,
    /// They are not the same sound.
    Unlike,
}

/// Finds how far apart two recordings are, at most `widest` milliseconds (a multiple of 10) either way.
pub fn find(pairs: &[Pair], widest: usize) -> Fit {
    let whole = |pair: &&Pair| pair.second.loudness.len() == pair.first.loudness.len() + 2 * widest;
    let pairs = || pairs.iter().filter(whole);
    let loudness: Vec<Lists<'_>> = pairs().map(|pair| (&*pair.first.loudness, &*pair.second.loudness)).collect();
    let pitches: Vec<Lists<'_>> = pairs().map(|pair| (&*pair.first.pitches, &*pair.second.pitches)).collect();
    if is_flat(loudness.iter().map(|pair| pair.0)) || is_flat(loudness.iter().map(|pair| pair.1)) {
        return Fit::Silent;
    }
    let middle = widest / COARSE;
    let far = |shift: usize| FAR * shift.abs_diff(middle) as f32 / middle.max(1) as f32;
    let scored = (0..=2 * middle).map(|shift| (correlation(&pitches, shift * BANDS), shift));
    let best = scored.max_by(|a, b| (a.0 - far(a.1)).total_cmp(&(b.0 - far(b.1))));
    let Some((_, coarse)) = best.filter(|(score, _)| *score >= BELIEVED) else { return Fit::Unlike };
    let near = (coarse * COARSE).saturating_sub(2 * COARSE)..=(coarse * COARSE + 2 * COARSE).min(2 * widest);
    let fine = near.max_by(|a, b| correlation(&loudness, *a).total_cmp(&correlation(&loudness, *b)));
    Fit::Shift(fine.unwrap_or(coarse * COARSE) as i64 - widest as i64)
}

/// The same feature of both recordings.
type Lists<'l> = (&'l [f32], &'l [f32]);

fn is_flat<'l>(lists: impl Iterator<Item = &'l [f32]> + Clone) -> bool {
    let values = || lists.clone().flatten();
    let count = values().count().max(1) as f32;
    let mean = values().sum::<f32>() / count;
    values().map(|value| (value - mean).powi(2)).sum::<f32>() <= FLAT * FLAT * count
}

/// The correlation coefficient of the two, when the second is read from value `shift` on.
fn correlation(pairs: &[Lists<'_>], shift: usize) -> f32 {
    let values = || pairs.iter().flat_map(|(first, second)| first.iter().zip(second.iter().skip(shift)));
    let count = pairs.iter().map(|pair| pair.0.len()).sum::<usize>().max(1) as f32;
    let (a, b) = values().fold((0.0, 0.0), |(a, b), (first, second)| (a + first, b + second));
    let (a, b) = (a / count, b / count);
    let (mut both, mut first_alone, mut second_alone) = (0.0, 0.0, 0.0);
    for (first, second) in values() {
        let (first, second) = (first - a, second - b);
        both += first * second;
        first_alone += first * first;
        second_alone += second * second;
    }
    both / (first_alone * second_alone).sqrt().max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests;
