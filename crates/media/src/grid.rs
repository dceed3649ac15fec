//! The frame grid: which AAC frames make up which segment.
//!
//! A frame of 1,024 samples at 48 kHz does not divide a second, so segments alternate in length (187 and 188 frames for 4 s) on one
//! grid that begins at media time zero and never drifts.

use std::ops::Range;

use crate::aac::FRAME;

/// The grid of one rendition of one capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    target_samples: u64,
    frames: u64,
}

/// A remainder of fewer frames (a fifth of a second) is not a segment of its own but part of the last one.
const SHORTEST_TAIL: u64 = 10;

/// Ticks of 90 kHz in a frame: 1,024 samples at 48 kHz are exactly 1,920.
pub const TICKS_PER_FRAME: u64 = 1_920;

/// The samples of a run of frames.
pub fn samples(frames: &Range<u64>) -> Range<i64> {
    let first = |frame: u64| i64::try_from(frame.saturating_mul(FRAME as u64)).unwrap_or(i64::MAX);
    first(frames.start)..first(frames.end)
}

impl Grid {
    /// The grid for `total_samples` of sound in segments of about `target_ms` (at least a frame: 22 ms).
    pub fn new(total_samples: u64, target_ms: u64) -> Self {
        let target_samples = target_ms.saturating_mul(48).max(FRAME as u64);
        Self { target_samples, frames: total_samples.div_ceil(FRAME as u64) }
    }

    /// The frames of a segment of a recording that is still growing: the same as later, except for the last one.
    pub fn live_segment(target_ms: u64, index: u32) -> Range<u64> {
        let grid = Self::new(0, target_ms);
        grid.first_frame(index)..grid.first_frame(index.saturating_add(1))
    }

    /// The number of frames; the last one is padded with silence.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The number of segments.
    pub fn segments(&self) -> u32 {
        let mut count = (self.frames.saturating_mul(FRAME as u64) / self.target_samples) as u32;
        while self.first_frame(count) < self.frames {
            count += 1;
        }
        while count > 1 && self.first_frame(count - 1) + SHORTEST_TAIL > self.frames {
            count -= 1;
        }
        count
    }

    /// The frames of a segment; empty past the end.
    pub fn segment(&self, index: u32) -> Range<u64> {
        let count = self.segments();
        if index >= count {
            return self.frames..self.frames;
        }
        let end = if index + 1 == count { self.frames } else { self.first_frame(index + 1) };
        self.first_frame(index)..end
    }

    fn first_frame(&self, index: u32) -> u64 {
        u64::from(index) * self.target_samples / FRAME as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn four_seconds_are_187_or_188_frames() {
        let grid = Grid::new(48_000 * 60, 4_000);
        assert_eq!(grid.segments(), 15);
        let lengths: Vec<_> = (0..4).map(|n| grid.segment(n)).map(|range| range.end - range.start).collect();
        assert_eq!(lengths, [187, 188, 187, 188]);
    }

    proptest! {
        #[test]
        fn segments_cover_every_frame_once(samples in 0_u64..48_000 * 4_000, target in 1_u64..31_000) {
            let grid = Grid::new(samples, target);
            let count = grid.segments();
            prop_assume!(count < 20_000);
            let mut next = 0;
            for index in 0..count {
                let range = grid.segment(index);
                prop_assert_eq!(range.start, next);
                prop_assert!(range.end > range.start);
                next = range.end;
            }
            prop_assert_eq!(next, grid.frames());
            prop_assert!(grid.segment(count).is_empty());
        }
    }
}
