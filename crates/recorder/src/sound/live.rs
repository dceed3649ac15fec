//! The sound of a stretch of a room that goes on: what is needed of its log, apart from the capture that goes on meanwhile.

use std::ops::Range;

use bytes::Bytes;
use echosphere_media::tracks::Track;

use super::index::{self, PlacedStream};
use crate::log::chunk;

/// Chunks, and where live rendering placed the streams that are in them.
#[derive(Debug, Clone)]
pub struct LiveSound {
    pub(super) streams: Vec<PlacedStream>,
    pub(super) chunks: Vec<Bytes>,
}

impl LiveSound {
    /// The tracks in a range of samples. What a damaged chunk lacks is missing in them.
    pub fn tracks(&self, samples: &Range<i64>) -> Vec<Track> {
        let packets = self.chunks.iter().flat_map(chunk::packets).flatten();
        index::tracks(&self.streams, packets, samples)
    }
}
