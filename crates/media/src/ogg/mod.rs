//! Ogg/Opus without decoding: an index of where each stretch of sound is, a writer, and a rewriter that silences
//! stretches (RFC 3533, RFC 7845).

#[cfg(test)]
mod bounded;
mod build;
#[cfg(test)]
mod complete;
#[cfg(test)]
mod damaged_files;
mod granules;
mod index;
mod joiner;
mod link;
mod opus_packet;
mod others;
mod page;
mod place;
mod silence;
mod stored;
#[cfg(test)]
pub(crate) mod testing;
mod write;

pub use build::{Error, IndexBuilder};
pub use index::{Gap, Link, OpusIndex, PRE_ROLL, Packet};
pub use opus_packet::duration as packet_duration;
pub use place::LONGEST;
pub use silence::Silencer;
pub use stored::Corrupt;
pub use write::{About, Writer, serial};
