//! One stream: which of its packets came, and where its clock stands.

use std::collections::BTreeMap;
use std::ops::Range;

use echosphere_media::ogg::packet_duration;
use echosphere_media::tracks::CONCEALED;

use super::index::Extent;
use crate::clock::{Clock, Placement};
use crate::log::{Packet, Stream};

/// A hole in the sequence numbers that lasts shorter is concealed and not worth a mention.
pub(super) const SHORTEST_GAP: i64 = CONCEALED;
/// The packet that LiveKit sends when a track is muted or closed (livekit-server, pkg/sfu, `OpusSilenceFrame`).
pub(crate) const SERVER_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// The longest packet, in samples (120 ms).
pub(super) const LONGEST_PACKET: i64 = 5_760;

/// The lowest and highest RTP time of a stream's packets in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InChunk {
    number: u32,
    first: u64,
    last: u64,
}

impl InChunk {
    fn extent(&self, placement: &Placement) -> Option<Extent> {
        // A step of the clock may lie between two packets.
        let start = placement.sample(self.first)? - LONGEST_PACKET;
        Some(Extent { start, end: placement.sample(self.last)? + 2 * LONGEST_PACKET })
    }
}

/// A run of sequence numbers without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    end: u64,
    pub(super) start_rtp: u64,
    pub(super) end_rtp: u64,
}

/// A stream, as far as it came.
#[derive(Debug, Clone)]
pub(super) struct StreamState {
    pub(super) about: Stream,
    pub(super) clock: Clock,
    /// What live rendering used.
    pub(super) live: Placement,
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) newest_rtp: u64,
    pub(super) newest_at: i64,
    /// In the order of the chunks.
    pub(super) chunks: Vec<InChunk>,
}

impl StreamState {
    pub(super) fn take(&mut self, packet: &Packet, at: i64) {
        // Silence that the server makes itself (on mute and close) carries times that nobody's clock has given.
        if !packet.payload.starts_with(&SERVER_SILENCE) {
            self.clock.packet(packet.rtp, at);
        }
        let length = u64::from(packet_duration(&packet.payload).unwrap_or(0));
        if packet.rtp >= self.newest_rtp {
            self.newest_rtp = packet.rtp;
            self.newest_at = at;
        }
        let mut start = packet.sequence;
        let mut run =
            Run { end: packet.sequence + 1, start_rtp: packet.rtp, end_rtp: packet.rtp.saturating_add(length) };
        if let Some((&before, found)) = self.runs.range(..=packet.sequence).next_back()
            && found.end >= packet.sequence
        {
            if found.end > packet.sequence {
                return;
            }
            (start, run.start_rtp) = (before, found.start_rtp);
        }
        if let Some(behind) = self.runs.remove(&run.end) {
            (run.end, run.end_rtp) = (behind.end, behind.end_rtp);
        }
        self.runs.insert(start, run);
    }

    /// A packet lies in this chunk, which is the one of the packet before it or a later one.
    pub(super) fn in_chunk(&mut self, number: u32, rtp: u64) {
        match self.chunks.last_mut() {
            Some(last) if last.number >= number => (last.first, last.last) = (last.first.min(rtp), last.last.max(rtp)),
            _ => self.chunks.push(InChunk { number, first: rtp, last: rtp }),
        }
    }

    /// The chunks that a range of samples needs.
    pub(super) fn chunks_for(&self, placement: &Placement, samples: &Range<i64>) -> impl Iterator<Item = u32> {
        let overlaps = move |chunk: &&InChunk| {
            chunk.extent(placement).is_some_and(|extent| extent.start < samples.end && extent.end > samples.start)
        };
        self.chunks.iter().filter(overlaps).map(|chunk| chunk.number)
    }

    /// Widens the extents of all chunks by what this stream has in them.
    pub(super) fn extend_chunks(&self, placement: &Placement, all: &mut Vec<Extent>) {
        for chunk in &self.chunks {
            let at = chunk.number as usize;
            if all.len() <= at {
                all.resize(at + 1, Extent::default());
            }
            let Some(mine) = chunk.extent(placement) else { continue };
            let known = &mut all[at];
            *known = if known.end <= known.start {
                mine
            } else {
                Extent { start: known.start.min(mine.start), end: known.end.max(mine.end) }
            };
        }
    }

    /// About how many bytes of memory this holds.
    pub(super) fn held(&self) -> usize {
        // A node of a B-tree is half full at worst.
        let runs = self.runs.len() * 2 * size_of::<(u64, Run)>();
        let steps = self.live.steps.capacity() * size_of::<crate::clock::Step>();
        runs + steps + self.chunks.capacity() * size_of::<InChunk>() + self.clock.held()
    }

    /// Stretches of which all packets came.
    pub(super) fn extents(&self, placement: &Placement) -> Vec<Range<i64>> {
        let runs = self.runs.values();
        runs.filter_map(|run| Some(placement.sample(run.start_rtp)?..placement.sample(run.end_rtp)?)).collect()
    }

    /// Stretches whose packets were sent and did not come.
    pub(super) fn losses(&self, placement: &Placement) -> Vec<Range<i64>> {
        let runs: Vec<Run> = self.runs.values().copied().collect();
        let holes = runs
            .windows(2)
            .filter_map(|pair| Some(placement.sample(pair[0].end_rtp)?..placement.sample(pair[1].start_rtp)?));
        holes.filter(|hole| hole.end - hole.start >= SHORTEST_GAP).collect()
    }
}
