//! HLS playlists (RFC 8216 and its successor draft): writes ours, and reads media playlists that somebody else wrote ([`read`]).

pub mod read;
mod write;

pub use write::{Address, Kind, Segment, Variant, media, multivariant};
