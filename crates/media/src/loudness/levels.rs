//! Puts the levels of frames on the grid of half frames on which speech is looked for ([`crate::activity`]).

use super::FrameLevel;
use crate::activity::{SILENCE, STEP};

/// The levels of a sound: of each half frame the first channel's, then the second's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    levels: Vec<u8>,
    /// Samples of frames, and of those whose level was not measured.
    heard: u64,
    unmeasured: u64,
}

impl Levels {
    /// Puts the frames of a packet that begins at this sample; where several are at the same time, the louder one counts.
    pub fn put(&mut self, start: i64, frames: &[FrameLevel]) {
        let step = STEP as i64;
        let mut at = start;
        for frame in frames {
            let end = at + i64::from(frame.samples);
            self.heard += u64::from(frame.samples);
            if !frame.is_measured {
                self.unmeasured += u64::from(frame.samples);
            }
            // The half frames whose middle is in it.
            let half = |sample: i64| (sample + step / 2 - 1).div_euclid(step).max(0) as usize;
            let halves = half(at)..half(end);
            if self.levels.len() < 2 * halves.end {
                self.levels.resize(2 * halves.end, SILENCE);
            }
            for levels in self.levels[2 * halves.start..].as_chunks_mut::<2>().0.iter_mut().take(halves.len()) {
                for (level, new) in levels.iter_mut().zip(frame.levels) {
                    *level = new.max(*level);
                }
            }
            at = end;
        }
    }

    /// The levels, for so many half frames.
    pub fn into_levels(mut self, halves: usize) -> Vec<u8> {
        self.levels.resize(2 * halves, SILENCE);
        self.levels
    }

    /// How much of what was sent has a level that was not measured, from 0 to 1.
    pub fn unmeasured(&self) -> f64 {
        self.unmeasured as f64 / self.heard.max(1) as f64
    }
}
