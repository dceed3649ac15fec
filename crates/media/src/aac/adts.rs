//! AAC frames in ADTS (ISO/IEC 14496-3, Annex 1.A.3.2, and 13818-7, section 6.2), found without decoding.

use super::FRAME;

/// The length of a header without a checksum.
const SHORTEST: usize = 7;
/// Samples per second by their index; others are reserved (ISO/IEC 14496-3, table 1.18).
const SAMPLE_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a frame says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What is in its frames.
    pub format: Format,
    /// The length of the frame with its header, in bytes: 7 to 8,191.
    pub length: usize,
    /// Blocks of 1,024 samples in it: 1 to 4.
    pub blocks: u8,
    /// Whether checksums follow the header.
    pub has_checksum: bool,
}

/// What is the same in all frames of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The audio object type (ISO/IEC 14496-3, table 1.17): 1 to 4; 2 is AAC-LC. HE-AAC says 2 as well, and half of its sample rate.
    pub object_type: u8,
    /// Samples per second, 7,350 to 96,000.
    pub sample_rate: u32,
    /// The number of channels; `None` when only the frames themselves say how many.
    pub channels: Option<u8>,
}

impl Format {
    /// The `AudioSpecificConfig` of the same stream (ISO/IEC 14496-3, section 1.6.2.1); `None` when only its frames say how many
    /// channels they have.
    pub fn audio_specific_config(&self) -> Option<[u8; 2]> {
        let rate = SAMPLE_RATES.iter().position(|rate| *rate == self.sample_rate)? as u8;
        let channels = self.channels?.min(7);
        Some([self.object_type << 3 | rate >> 1, rate << 7 | channels << 3])
    }
}

impl Header {
    /// Reads the header at the beginning of some bytes; `None` when there is none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; SHORTEST] = bytes.first_chunk()?;
        // The sync word, and the layer, which is always 0.
        if bytes[0] != 0xff || bytes[1] & 0xf6 != 0xf0 {
            return None;
        }
        let sample_rate = *SAMPLE_RATES.get(usize::from(bytes[2] >> 2 & 0x0f))?;
        let channels = match (bytes[2] & 1) << 2 | bytes[3] >> 6 {
            0 => None,
            7 => Some(8),
            channels => Some(channels),
        };
        let length = usize::from(bytes[3] & 3) << 11 | usize::from(bytes[4]) << 3 | usize::from(bytes[5] >> 5);
        let blocks = (bytes[6] & 3) + 1;
        let has_checksum = bytes[1] & 1 == 0;
        let format = Format { object_type: (bytes[2] >> 6) + 1, sample_rate, channels };
        let header = Self { format, length, blocks, has_checksum };
        (length >= header.own_length()).then_some(header)
    }

    /// The length of the header itself with its checksums: the positions of all blocks but the first, and one sum.
    pub fn own_length(&self) -> usize {
        SHORTEST + if self.has_checksum { 2 * usize::from(self.blocks) } else { 0 }
    }

    /// The samples of the frame, per channel.
    pub fn samples(&self) -> usize {
        usize::from(self.blocks) * FRAME
    }
}

/// A piece of a stream, and where in it it is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole frame.
    Frame {
        /// Where it begins.
        at: usize,
        /// Its header.
        header: Header,
        /// All of it, the header too.
        bytes: &'a [u8],
    },
    /// Bytes that are no frame.
    Lost {
        /// Where they begin.
        at: usize,
        /// How many they are.
        length: usize,
    },
    /// A frame whose end is missing; nothing comes after it.
    Cut {
        /// Where it begins.
        at: usize,
    },
}

/// The pieces of a stream, in order.
pub fn pieces(stream: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let piece = piece(stream, at)?;
        at = match piece {
            Piece::Frame { at, header, .. } => at + header.length,
            Piece::Lost { at, length } => at + length,
            Piece::Cut { .. } => stream.len(),
        };
        Some(piece)
    })
}

fn piece(stream: &[u8], at: usize) -> Option<Piece<'_>> {
    let rest = stream.get(at..).filter(|rest| !rest.is_empty())?;
    let Some(header) = Header::parse(rest) else {
        if rest.len() < SHORTEST && is_sync(rest) {
            return Some(Piece::Cut { at });
        }
        let length = (1..rest.len()).find(|&next| begins(&rest[next..])).unwrap_or(rest.len());
        return Some(Piece::Lost { at, length });
    };
    Some(match rest.get(..header.length) {
        Some(bytes) => Piece::Frame { at, header, bytes },
        None => Piece::Cut { at },
    })
}

/// Whether bytes begin like a frame, or like the beginning of one.
fn is_sync(bytes: &[u8]) -> bool {
    bytes[0] == 0xff && bytes.get(1).is_none_or(|byte| byte & 0xf6 == 0xf0)
}

/// Whether a frame begins here that another one follows, or nothing: the sync word alone may be in any frame's middle.
fn begins(bytes: &[u8]) -> bool {
    let after = Header::parse(bytes).map(|header| bytes.get(header.length..).unwrap_or_default());
    after.is_some_and(|after| after.is_empty() || is_sync(after))
}

#[cfg(test)]
mod tests;
