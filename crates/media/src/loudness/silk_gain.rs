//! Reads the gains of SILK frames (RFC 6716 section 4.2.7.4), by which what excites a voice is multiplied: they say how loud it is, but for what its
//! resonances add, and for how finely it is quantized.

use super::range_decoder::RangeDecoder;

/// The inverse of the distributions of what a frame is: where nobody speaks, and where somebody does (table 9; libopus, `silk_type_offset_*_iCDF`).
const QUIET_KIND: [u8; 2] = [230, 0];
const SPOKEN_KIND: [u8; 4] = [232, 158, 10, 0];
/// Of the upper half of the first gain, by what the frame is: nobody speaks, unvoiced, voiced (table 11).
const FIRST: [[u8; 8]; 3] =
    [[224, 112, 44, 15, 3, 2, 1, 0], [254, 237, 192, 132, 70, 23, 4, 0], [255, 252, 226, 155, 61, 11, 2, 0]];
/// Of its lower half (table 12).
const FIRST_LOW: [u8; 8] = [224, 192, 160, 128, 96, 64, 32, 0];
/// Of the steps from one gain to the next (table 13).
const STEP: [u8; 41] = [
    250, 245, 234, 203, 71, 50, 42, 38, 35, 33, 31, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13,
    12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0,
];
/// The highest gain, and that before the first frame (libopus, `silk_decoder_set_fs`).
const HIGHEST: i32 = 63;
const BEFORE: i32 = 10;

/// Decibels between one gain and the next.
const DECIBELS: f32 = 86.0 / 63.0;
/// What makes the lowest gain of a frame of 64 bytes a level in decibels above -100 dB of full scale, by what the frame is; and what is added for each
/// doubling of its length, with which what is multiplied becomes larger, and the gain less (measured: tests.rs prints what is left).
const LOWEST: [f32; 3] = [8.0, 12.0, 32.5];
const OCTAVE: f32 = 4.5;
/// A frame where nobody speaks whose level is no higher is taken for silence: the lowest gains are those of none at all.
const SILENT: f32 = 25.0;

/// The gains of a stream's frames.
#[derive(Debug, Clone)]
pub(super) struct SilkGain {
    last: i32,
}

impl Default for SilkGain {
    fn default() -> Self {
        Self { last: BEFORE }
    }
}

impl SilkGain {
    /// Reads a frame of mono of 10 or 20 ms; returns the level of each of its 10 ms, as [`crate::activity::level`] measures it; one of 10 ms has the first
    /// one only. `None` when the frame begins with what is sent again in case an earlier one is lost: its own gains come too late in it.
    pub(super) fn read(&mut self, samples: u32, frame: &[u8]) -> Option<[u8; 2]> {
        let mut decoder = RangeDecoder::new(frame);
        let (speaks, has_earlier) = (decoder.bit(1), decoder.bit(1));
        if has_earlier {
            return None;
        }
        let kind = if speaks {
            1 + decoder.symbol(&SPOKEN_KIND, 8) as usize / 2
        } else {
            decoder.symbol(&QUIET_KIND, 8);
            0
        };
        let first = decoder.symbol(&FIRST[kind], 8) << 3 | decoder.symbol(&FIRST_LOW, 8);
        self.last = (first as i32).max(self.last - 16);
        let lowest = LOWEST[kind] + OCTAVE * (frame.len() as f32 / 64.0).log2();
        // Each is that of 5 ms.
        let mut gains = [self.last, 0, 0, 0];
        for gain in gains.iter_mut().take(samples as usize / 240).skip(1) {
            let step = decoder.symbol(&STEP, 8) as i32;
            self.last = (2 * step - 16).max(self.last + step - 4).clamp(0, HIGHEST);
            *gain = self.last;
        }
        let level = |first: i32, second: i32| {
            let level = lowest + DECIBELS * first.max(second) as f32;
            if kind == 0 && level <= SILENT { 0 } else { level.round().clamp(0.0, 100.0) as u8 }
        };
        Some([level(gains[0], gains[1]), level(gains[2], gains[3])])
    }
}
