//! Reads the coarse energy of the bands of CELT frames (RFC 6716 section 4.3.2.1).

use std::sync::LazyLock;

use super::range_decoder::RangeDecoder;

/// The bands of a fullband frame.
const BANDS: usize = 21;
/// The edges of the bands, in units of 200 Hz (RFC 6716 table 55).
const EDGES: [u16; BANDS + 1] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 34, 40, 48, 60, 78, 100];
/// What a band's energy is usually, in units of 6 dB (libopus, `eMeans`).
const MEANS: [f32; BANDS] = [
    6.4375, 6.25, 5.75, 5.3125, 5.0625, 4.8125, 4.5, 4.375, 4.875, 4.6875, 4.5625, 4.4375, 4.875, 4.625, 4.3125, 4.5,
    4.375, 4.625, 4.75, 4.4375, 3.75,
];
/// How much of a band's energy is predicted from the frame before, by the length of frames (libopus, `pred_coef`).
const FROM_BEFORE: [f32; 4] = [29_440.0 / 32_768.0, 26_112.0 / 32_768.0, 21_248.0 / 32_768.0, 16_384.0 / 32_768.0];
/// How much of it is not predicted from the band below (libopus, `beta_coef`); in frames that lean on none before, the last one.
const NOT_FROM_BELOW: [f32; 5] =
    [30_147.0 / 32_768.0, 22_282.0 / 32_768.0, 12_124.0 / 32_768.0, 6_554.0 / 32_768.0, 4_915.0 / 32_768.0];
/// What a band's energy is taken for before the first frame, and in silence.
const NOTHING: f32 = -28.0;
/// Energies from before are taken for this at least.
const LEAST: f32 = -9.0;
/// What makes levels of energies those of samples, in decibels above -100 dB of full scale (measured: tests.rs prints what is left).
const FULL_SCALE: f32 = 7.6;

/// The probabilities of an energy that is as predicted, and how fast those of others fall, of each band (libopus, `e_prob_model`): by the length of
/// frames, and whether they lean on none before.
const MODEL: [[[u8; 2 * BANDS]; 2]; 4] = [
    [
        [
            72, 127, 65, 129, 66, 128, 65, 128, 64, 128, 62, 128, 64, 128, 64, 128, 92, 78, 92, 79, 92, 78, 90, 79,
            116, 41, 115, 40, 114, 40, 132, 26, 132, 26, 145, 17, 161, 12, 176, 10, 177, 11,
        ],
        [
            24, 179, 48, 138, 54, 135, 54, 132, 53, 134, 56, 133, 55, 132, 55, 132, 61, 114, 70, 96, 74, 88, 75, 88,
            87, 74, 89, 66, 91, 67, 100, 59, 108, 50, 120, 40, 122, 37, 97, 43, 78, 50,
        ],
    ],
    [
        [
            83, 78, 84, 81, 88, 75, 86, 74, 87, 71, 90, 73, 93, 74, 93, 74, 109, 40, 114, 36, 117, 34, 117, 34, 143,
            17, 145, 18, 146, 19, 162, 12, 165, 10, 178, 7, 189, 6, 190, 8, 177, 9,
        ],
        [
            23, 178, 54, 115, 63, 102, 66, 98, 69, 99, 74, 89, 71, 91, 73, 91, 78, 89, 86, 80, 92, 66, 93, 64, 102, 59,
            103, 60, 104, 60, 117, 52, 123, 44, 138, 35, 133, 31, 97, 38, 77, 45,
        ],
    ],
    [
        [
            61, 90, 93, 60, 105, 42, 107, 41, 110, 45, 116, 38, 113, 38, 112, 38, 124, 26, 132, 27, 136, 19, 140, 20,
            155, 14, 159, 16, 158, 18, 170, 13, 177, 10, 187, 8, 192, 6, 175, 9, 159, 10,
        ],
        [
            21, 178, 59, 110, 71, 86, 75, 85, 84, 83, 91, 66, 88, 73, 87, 72, 92, 75, 98, 72, 105, 58, 107, 54, 115,
            52, 114, 55, 112, 56, 129, 51, 132, 40, 150, 33, 140, 29, 98, 35, 77, 42,
        ],
    ],
    [
        [
            42, 121, 96, 66, 108, 43, 111, 40, 117, 44, 123, 32, 120, 36, 119, 33, 127, 33, 134, 34, 139, 21, 147, 23,
            152, 20, 158, 25, 154, 26, 166, 21, 173, 16, 184, 13, 184, 10, 150, 13, 139, 15,
        ],
        [
            22, 178, 63, 114, 74, 82, 84, 83, 92, 82, 103, 62, 96, 72, 96, 67, 101, 73, 107, 72, 113, 55, 118, 52, 125,
            52, 118, 52, 117, 55, 135, 49, 137, 39, 157, 32, 145, 29, 97, 33, 77, 40,
        ],
    ],
];

/// The power of each band whose energy is as usual, as it is heard: without the encoder's pre-emphasis, which is taken for what it is in the middle
/// of the band (RFC 6716 section 4.3.1: the coefficient is 0.85).
static USUAL_POWER: LazyLock<[f32; BANDS]> = LazyLock::new(|| {
    std::array::from_fn(|band| {
        let hertz = f32::from(EDGES[band] + EDGES[band + 1]) * 100.0;
        let turn = std::f32::consts::TAU * hertz / 48_000.0;
        (2.0 * MEANS[band]).exp2() / (1.0 + 0.85_f32.powi(2) - 2.0 * 0.85 * turn.cos())
    })
});

/// The energies of a stream's bands, in units of 6 dB beside their means: left, right.
#[derive(Debug, Clone)]
pub(super) struct CoarseEnergy {
    bands: [[f32; BANDS]; 2],
}

impl Default for CoarseEnergy {
    fn default() -> Self {
        Self { bands: [[NOTHING; BANDS]; 2] }
    }
}

impl CoarseEnergy {
    /// Reads the next frame, of a packet of this kind and of this length in samples; returns the levels of both channels, as
    /// [`crate::activity::level`] measures them.
    pub(super) fn read(&mut self, kind: u8, samples: u32, frame: &[u8]) -> [u8; 2] {
        let channels = if kind & 4 == 0 { 1 } else { 2 };
        // Configurations 16 to 31: narrowband, wideband, super-wideband, fullband.
        let end = [13, 17, 19, 21][usize::from(kind >> 5 & 3)];
        let length = match samples {
            120 => 0,
            240 => 1,
            480 => 2,
            _ => 3,
        };
        let bits = frame.len() as i32 * 8;
        let mut decoder = RangeDecoder::new(frame);
        if decoder.tell() >= bits || decoder.bit(15) {
            *self = Self::default();
            return [0; 2];
        }
        if decoder.tell() + 16 <= bits && decoder.bit(1) {
            skip_post_filter(&mut decoder, bits);
        }
        if length > 0 && decoder.tell() + 3 <= bits {
            // Whether it is a transient.
            decoder.bit(3);
        }
        let is_intra = decoder.tell() + 3 <= bits && decoder.bit(3);
        self.read_bands(&mut decoder, length, is_intra, channels, end, bits);
        let left = level(&self.bands[0], end);
        [left, if channels == 1 { left } else { level(&self.bands[1], end) }]
    }

    fn read_bands(
        &mut self,
        decoder: &mut RangeDecoder<'_>,
        length: usize,
        is_intra: bool,
        channels: usize,
        end: usize,
        bits: i32,
    ) {
        let (from_before, not_from_below) =
            if is_intra { (0.0, NOT_FROM_BELOW[4]) } else { (FROM_BEFORE[length], NOT_FROM_BELOW[length]) };
        let model = &MODEL[length][usize::from(is_intra)];
        let mut below = [0.0; 2];
        for band in 0..end {
            for (energies, below) in self.bands.iter_mut().zip(&mut below).take(channels) {
                let left = bits - decoder.tell();
                let step = if left >= 15 {
                    let at = 2 * band.min(20);
                    laplace(decoder, u32::from(model[at]) << 7, u32::from(model[at + 1]) << 6)
                } else if left >= 2 {
                    let symbol = decoder.symbol(&[2, 1, 0], 2) as i32;
                    symbol >> 1 ^ -(symbol & 1)
                } else if left >= 1 {
                    -i32::from(decoder.bit(1))
                } else {
                    -1
                };
                let step = step as f32;
                energies[band] = from_before * energies[band].max(LEAST) + *below + step;
                *below += step - not_from_below * step;
            }
        }
        if channels == 1 {
            self.bands[1] = self.bands[0];
        }
    }
}

/// The level of a channel whose frames have bands up to `end`.
fn level(bands: &[f32; BANDS], end: usize) -> u8 {
    let mut powers = [0.0; BANDS];
    for ((power, energy), usual) in powers.iter_mut().zip(bands).zip(USUAL_POWER.iter()) {
        // A unit of energy is a factor of two in loudness, and of four in power.
        *power = usual * power_of_two(2.0 * energy);
    }
    let power: f32 = powers[..end].iter().sum();
    (10.0 * power.max(1e-12).log10() + FULL_SCALE).round().clamp(0.0, 100.0) as u8
}

/// 2 to this power, from 2^-120 up to 2^120, to 1 part in 5,000: several at once on processors that can, other than [`f32::exp2`].
fn power_of_two(power: f32) -> f32 {
    let power = power.clamp(-120.0, 120.0);
    let whole = (power + 127.0) as u32;
    let part = power + 127.0 - whole as f32;
    // A polynomial that is 1 at 0 and 2 at 1, with the least error in between.
    let mantissa = 1.0 + part * (0.695_97 + part * (0.224_94 + part * 0.079_09));
    f32::from_bits(whole << 23) * mantissa
}

/// Section 4.3.7.1.
fn skip_post_filter(decoder: &mut RangeDecoder<'_>, bits: i32) {
    let octave = decoder.uniform(6) as i32;
    decoder.skip_raw(4 + octave);
    decoder.skip_raw(3);
    if decoder.tell() + 2 <= bits {
        decoder.symbol(&[2, 1, 0], 2);
    }
}

/// A number around zero (section 4.3.2.1, `ec_laplace_decode`): 0 has this probability, of 1 << 15, and each next one `decay` of it, of 1 << 14.
fn laplace(decoder: &mut RangeDecoder<'_>, zero: u32, decay: u32) -> i32 {
    const LEAST_PROBABLE: u32 = 1;
    const GUARANTEED: u32 = 16;
    let unit = decoder.unit();
    if !decoder.is_from(unit, zero) {
        decoder.update(unit, 0, zero);
        return 0;
    }
    let rest = (1 << 15) - LEAST_PROBABLE * (2 * GUARANTEED) - zero;
    let (mut value, mut low, mut width) = (1, zero, ((rest * ((1 << 14) - decay)) >> 15) + LEAST_PROBABLE);
    while width > LEAST_PROBABLE && decoder.is_from(unit, low + 2 * width) {
        width *= 2;
        low += width;
        width = (((width - 2 * LEAST_PROBABLE) * decay) >> 15) + LEAST_PROBABLE;
        value += 1;
    }
    if width <= LEAST_PROBABLE {
        let farther = (decoder.place(unit) - low) >> 1;
        value += farther as i32;
        low += 2 * farther * LEAST_PROBABLE;
    }
    if decoder.is_from(unit, low + width) {
        low += width;
    } else {
        value = -value;
    }
    decoder.update(unit, low, (low + width).min(1 << 15));
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn powers_of_two_are_near(power in -119.0_f32..119.0) {
            let (found, right) = (super::power_of_two(power), power.exp2());
            prop_assert!((found / right - 1.0).abs() < 2e-4, "{found} for {right}");
        }
    }
}
