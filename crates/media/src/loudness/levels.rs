//! Puts the levels of frames on the grid of half frames on which speech is looked for ([`crate::activity`]).

use super::FrameLevel;
use crate::activity::{SILENCE, STEP};

/// The levels of a sound: of each half frame the first channel's, then the second's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    levels: Vec<u8>,
    /// Whether the level of a frame was not measured.
    is_unsure: bool,
    /// Whether a level is that of a longer time than a half frame.
    is_coarse: bool,
}

impl Levels {
    /// Puts the frames of a packet that begins at this sample; where several are at the same time, the louder one counts.
    pub fn put(&mut self, start: i64, frames: &[FrameLevel]) {
        let step = STEP as i64;
        let mut at = start;
        for frame in frames {
            let end = at + i64::from(frame.samples);
            self.is_unsure |= !frame.is_measured;
            self.is_coarse |= frame.samples > STEP as u32;
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

    /// Whether a level is that of a longer time than a half frame: what is shorter is taken for longer than it is.
    pub fn is_coarse(&self) -> bool {
        self.is_coarse
    }

    /// Whether the level of a frame was not measured: it only said whether somebody speaks.
    pub fn is_unsure(&self) -> bool {
        self.is_unsure
    }
}
