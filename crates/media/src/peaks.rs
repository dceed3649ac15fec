//! Waveform peaks in the form of the audiowaveform tool's JSON format (version 2): for each pixel the lowest and the highest sample
//! of each channel, in 8 bits.

use crate::aac::FRAME;

/// Channels of everything that is rendered: agent, user.
pub const CHANNELS: usize = 2;
/// Bytes of one frame's peaks: lowest and highest of each channel.
pub const BYTES_PER_FRAME: usize = 2 * CHANNELS;

/// Appends the peaks of one frame of interleaved samples: `min, max` of the first channel, then of the second. The
/// range always includes zero.
pub fn of_frame(samples: &[i16], out: &mut Vec<i8>) {
    for channel in 0..CHANNELS {
        let (mut low, mut high) = (0_i16, 0_i16);
        for &sample in samples.iter().skip(channel).step_by(CHANNELS) {
            low = low.min(sample);
            high = high.max(sample);
        }
        out.extend([(low >> 8) as i8, (high >> 8) as i8]);
    }
}

/// Peaks at a lower resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waveform {
    /// Samples of 48 kHz in one pixel.
    pub samples_per_pixel: u32,
    /// `min, max` of the first channel, then of the second, for each pixel.
    pub data: Vec<i8>,
}

impl Waveform {
    /// Reduces the peaks of frames to at most `pixels` pixels (at least 1), each of a whole number of frames.
    pub fn new(frames: &[i8], pixels: usize) -> Self {
        Self::of_peaks(frames, 1, pixels)
    }

    /// The same for peaks that cover `frames` frames each.
    pub fn of_peaks(peaks: &[i8], frames: usize, pixels: usize) -> Self {
        let count = peaks.len() / BYTES_PER_FRAME;
        let group = count.div_ceil(pixels.max(1)).max(1);
        Self { samples_per_pixel: (group * frames * FRAME) as u32, data: joined(peaks, group) }
    }

    /// The number of pixels.
    pub fn length(&self) -> usize {
        self.data.len() / BYTES_PER_FRAME
    }
}

/// Joins each `group` peaks into one: their lowest and highest values.
pub fn joined(peaks: &[i8], group: usize) -> Vec<i8> {
    let mut data = Vec::with_capacity(peaks.len() / group + BYTES_PER_FRAME);
    for pixel in peaks.chunks(group * BYTES_PER_FRAME) {
        for value in 0..BYTES_PER_FRAME {
            let column = pixel.iter().skip(value).step_by(BYTES_PER_FRAME).copied();
            let peak = if value % 2 == 0 { column.min() } else { column.max() };
            data.push(peak.unwrap_or(0));
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_keeps_the_extremes_of_its_frames() {
        let mut frames = Vec::new();
        let mut samples = vec![0_i16; 2 * FRAME];
        (samples[0], samples[3]) = (-32_768, 32_767);
        of_frame(&samples, &mut frames);
        (samples[0], samples[2]) = (512, 1024);
        of_frame(&samples, &mut frames);
        assert_eq!(frames, [-128, 0, 0, 127, 0, 4, 0, 127]);
        let waveform = Waveform::new(&frames, 1);
        assert_eq!((waveform.samples_per_pixel, waveform.data), (2048, vec![-128, 4, 0, 127]));
        assert_eq!(Waveform::new(&[], 100).length(), 0);
    }
}
