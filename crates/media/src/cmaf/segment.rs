//! A media segment: one fragment of a track.

use super::boxes::{boxed, full, words};

/// A packet in a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its bytes.
    pub data: Vec<u8>,
    /// How long it lasts, in samples of 48 kHz; less than the packet says where it is cut off.
    pub duration: u32,
}

/// The media segment with this number (from 1), whose first packet has this decode time, in samples of 48 kHz.
pub fn segment(number: u32, decode_time: u64, samples: &[Sample]) -> Vec<u8> {
    let payload: usize = samples.iter().map(|sample| sample.data.len()).sum();
    let mut out = Vec::with_capacity(160 + 8 * samples.len() + payload);
    let mut data_offset_at = 0;
    boxed(&mut out, *b"moof", |out| {
        full(out, *b"mfhd", 0, 0, |out| words(out, [number]));
        boxed(out, *b"traf", |out| {
            data_offset_at = fragment(out, decode_time, samples);
        });
    });
    // The data begin after the head of `mdat`.
    let data_offset = out.len() as u32 + 8;
    out[data_offset_at..data_offset_at + 4].copy_from_slice(&data_offset.to_be_bytes());
    boxed(&mut out, *b"mdat", |out| samples.iter().for_each(|sample| out.extend_from_slice(&sample.data)));
    out
}

/// Writes what a fragment says of its samples; returns where the place of their data is to be written.
fn fragment(out: &mut Vec<u8>, decode_time: u64, samples: &[Sample]) -> usize {
    let usual = samples.first().map_or(960, |sample| sample.duration);
    let is_even = samples.iter().all(|sample| sample.duration == usual);
    // Places count from the beginning of `moof`; a duration that samples have unless they say otherwise.
    full(out, *b"tfhd", 0, 0x02_0008, |out| words(out, [1, usual]));
    full(out, *b"tfdt", 1, 0, |out| out.extend_from_slice(&decode_time.to_be_bytes()));
    let mut data_offset_at = 0;
    // The place of the data, a size for each sample, and a duration where they differ.
    full(out, *b"trun", 0, if is_even { 0x201 } else { 0x301 }, |out| {
        words(out, [samples.len() as u32]);
        data_offset_at = out.len();
        words(out, [0]);
        for sample in samples {
            if !is_even {
                words(out, [sample.duration]);
            }
            words(out, [sample.data.len() as u32]);
        }
    });
    full(out, *b"sbgp", 0, 0, |out| {
        out.extend_from_slice(b"roll");
        words(out, [1, samples.len() as u32, 1]);
    });
    data_offset_at
}
