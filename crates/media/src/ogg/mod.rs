//! Ogg/Opus, without decoding: an index of where each stretch of sound lies, and a writer (RFC 3533, RFC 7845).

mod build;
mod crc;
mod index;
mod opus_packet;
mod page;
mod silence;
mod stored;
#[cfg(test)]
pub(crate) mod testing;
mod write;

pub use build::{Error, IndexBuilder, LONGEST};
pub use index::{Gap, OpusIndex, PRE_ROLL, Packet};
pub use opus_packet::duration as packet_duration;
pub use silence::Silencer;
pub use stored::Corrupt;
pub use write::{About, Writer, serial};
