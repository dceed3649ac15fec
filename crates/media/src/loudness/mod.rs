//! How loud packets are, without decoding them: enough to find when somebody speaks, for a hundredth of the cost.
//!
//! A CELT frame begins with the energy of each band (RFC 6716 section 4.3.2.1). The bands' coarse energies are read and added up; what follows them
//! in the frame is left alone. They are exact to 6 dB a band, and all 21 of them together to about a decibel. A frame with a SILK layer begins with
//! the gains of what excites the voice (section 4.2.7.4), which say how loud it is to about 6 dB; where something else comes before them (the frame
//! has more than 20 ms, is stereo, or repeats an earlier one), it says whether somebody speaks (section 4.2.3), and not how loud.

mod coarse_energy;
mod levels;
mod range_decoder;
mod silk_gain;
mod window;

pub use self::window::{of_file, of_tracks};

use self::coarse_energy::CoarseEnergy;
use self::range_decoder::RangeDecoder;
use self::silk_gain::SilkGain;
use crate::opus_frames::{Frames, is_celt};

/// How loud a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLevel {
    /// How long it lasts, in samples of 48 kHz.
    pub samples: u32,
    /// The level of both channels, as [`crate::activity::level`] measures it; of mono they are the same.
    pub levels: [u8; 2],
    /// Whether that was measured; else the frame only said whether somebody speaks.
    pub is_measured: bool,
}

/// What frames with a SILK layer are taken for in which somebody speaks: as loud as speech usually is, 30 dB below full scale.
const SPEECH: u8 = 70;

/// Measures the packets of one stream, in their order.
#[derive(Debug, Clone, Default)]
pub struct Loudness {
    energy: CoarseEnergy,
    gain: SilkGain,
}

impl Loudness {
    /// Appends the levels of a packet's frames; nothing for a packet that breaks RFC 6716's rules.
    pub fn push(&mut self, packet: &[u8], out: &mut Vec<FrameLevel>) {
        let Some(frames) = Frames::parse(packet) else { return };
        for frame in &frames.frames {
            let samples = frames.samples;
            let mut put = |samples, levels, is_measured| out.push(FrameLevel { samples, levels, is_measured });
            if frame.len() < 2 {
                // Nothing was sent: what is heard is made up by the decoder.
                put(samples, [0; 2], true);
            } else if is_celt(frames.kind) {
                self.gain = SilkGain::default();
                put(samples, self.energy.read(frames.kind, samples, frame), true);
            } else if let Some(levels) = self.gains(frames.kind, samples, frame) {
                for &level in levels.iter().take(samples as usize / 480) {
                    put(480, [level; 2], true);
                }
            } else {
                let speaks = says_speech(frames.kind, samples, frame);
                put(samples, speaks.map(|speaks| if speaks { SPEECH } else { 0 }), false);
            }
        }
    }

    /// The levels of each 10 ms of a frame with a SILK layer, if its gains can be read: of mono, up to 20 ms.
    fn gains(&mut self, kind: u8, samples: u32, frame: &[u8]) -> Option<[u8; 2]> {
        if kind & 4 == 0 && samples <= 960 { self.gain.read(samples, frame) } else { None }
    }

    /// Forgets what came before: packets are missing.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Whether a frame with a SILK layer says that somebody speaks in it (RFC 6716 section 4.2.3): one flag for each 20 ms of each channel, the
/// second channel's after the first one's. What the side channel of stereo says is of no side: either makes both speak.
fn says_speech(kind: u8, samples: u32, frame: &[u8]) -> [bool; 2] {
    let mut decoder = RangeDecoder::new(frame);
    let count = samples.div_ceil(960);
    let channels = if kind & 4 == 0 { 1 } else { 2 };
    let mut speaks = false;
    for _ in 0..channels {
        for _ in 0..count {
            speaks |= decoder.bit(1);
        }
        // Whether there is redundancy for an earlier packet.
        decoder.bit(1);
    }
    [speaks; 2]
}

#[cfg(test)]
mod tests;
