//! MPEG-TS segments for HLS (ISO/IEC 13818-1): writes ours, and reads those that somebody else wrote ([`read`]).

pub mod read;
mod write;

pub use write::{Frames, PTS_BASE, segment};

/// The length of a packet (section 2.4.3.2).
const PACKET: usize = 188;
/// What each packet begins with.
const SYNC: u8 = 0x47;
/// Timestamps count modulo 2^33 (section 2.4.3.7).
const PTS_MASK: u64 = (1 << 33) - 1;
/// AAC in ADTS (table 2-34).
const STREAM_TYPE_ADTS: u8 = 0x0f;
