//! The state of one stream: which of its packets were received, and what its clock shows.

use std::collections::BTreeMap;
use std::ops::Range;

use echosphere_media::ogg::packet_duration;
use echosphere_media::tracks::CONCEALED;

use super::index::Extent;
use crate::clock::{self, Clock, Placement};
use crate::log::{Packet, Stream};

/// A gap in the sequence numbers that is shorter than this, in samples, is concealed and not reported.
pub(super) const SHORTEST_GAP: i64 = CONCEALED;
/// The packet that LiveKit sends when a track is muted or closed (livekit-server, pkg/sfu, `OpusSilenceFrame`).
pub(crate) const SERVER_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

/// The longest packet, in samples (120 ms).
pub(super) const LONGEST_PACKET: i64 = 5_760;

/// The most packets with wrong times that are remembered.
const MOST_AHEAD: usize = 4_096;
/// The server's own silence arrives all at once, with times up to this far ahead of the clock, in nanoseconds (1 s).
const SILENCE_AHEAD: i64 = 1_000_000_000;

/// The lowest and highest RTP time of a stream's packets in one chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InChunk {
    number: u32,
    first: u64,
    last: u64,
}

impl InChunk {
    fn extent(&self, placement: &Placement) -> Option<Extent> {
        // There may be a step of the clock between two packets.
        let start = placement.sample(self.first)? - LONGEST_PACKET;
        Some(Extent { start, end: placement.sample(self.last)? + 2 * LONGEST_PACKET })
    }
}

/// A run of sequence numbers without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    end: u64,
    pub(super) start_rtp: u64,
    pub(super) end_rtp: u64,
    /// The length of its last packet, in samples.
    packet: u32,
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    sequence: u64,
    rtp: u64,
    samples: u32,
    at: i64,
    chunk: u32,
}

/// A stream, as far as it was received.
#[derive(Debug, Clone)]
pub(super) struct StreamState {
    pub(super) about: Stream,
    pub(super) clock: Clock,
    /// The placement that live rendering used.
    pub(super) live: Placement,
    pub(super) runs: BTreeMap<u64, Run>,
    pub(super) newest_rtp: u64,
    pub(super) newest_at: i64,
    /// In the order of the chunks.
    chunks: Vec<InChunk>,
    /// Packets whose time counts as wrong, unless enough others follow them.
    ahead: Vec<Arrival>,
}

impl StreamState {
    pub(super) fn new(about: &Stream) -> Self {
        Self {
            about: about.clone(),
            clock: Clock::default(),
            live: Placement::default(),
            runs: BTreeMap::new(),
            newest_rtp: 0,
            newest_at: 0,
            chunks: Vec::new(),
            ahead: Vec::new(),
        }
    }

    /// Takes a packet that is in this chunk. Returns the RTP times of those before it that had counted as wrong and are right.
    pub(super) fn take(&mut self, packet: &Packet, at: i64, chunk: u32) -> Vec<u64> {
        let samples = packet_duration(&packet.payload).unwrap_or(0);
        let arrival = Arrival { sequence: packet.sequence, rtp: packet.rtp, samples, at, chunk };
        // Silence that the server generates itself (on mute and close) has timestamps from nobody's clock.
        let can_be_true = if packet.payload.starts_with(&SERVER_SILENCE) {
            !self.clock.is_ahead(packet.rtp, at.saturating_add(SILENCE_AHEAD))
        } else {
            self.clock.packet(packet.rtp, at)
        };
        if !can_be_true {
            if self.ahead.len() < MOST_AHEAD {
                self.ahead.push(arrival);
            }
            return Vec::new();
        }
        self.place(&arrival);
        if self.ahead.last().is_none_or(|last| self.clock.is_ahead(last.rtp, last.at)) {
            return Vec::new();
        }
        // They were right: the clock jumped there.
        let ahead = std::mem::take(&mut self.ahead).into_iter();
        let (ahead, right): (_, Vec<Arrival>) = ahead.partition(|ahead| self.clock.is_ahead(ahead.rtp, ahead.at));
        self.ahead = ahead;
        for arrival in &right {
            self.place(arrival);
        }
        right.iter().map(|arrival| arrival.rtp).collect()
    }

    fn place(&mut self, arrival: &Arrival) {
        let Arrival { sequence, rtp, samples, at, chunk } = *arrival;
        if rtp >= self.newest_rtp {
            self.newest_rtp = rtp;
            self.newest_at = at;
        }
        self.in_chunk(chunk, rtp);
        let mut start = sequence;
        let end_rtp = rtp.saturating_add(u64::from(samples));
        let mut run = Run { end: sequence + 1, start_rtp: rtp, end_rtp, packet: samples };
        if let Some((&before, found)) = self.runs.range(..=sequence).next_back()
            && found.end >= sequence
        {
            if found.end > sequence {
                return;
            }
            (start, run.start_rtp) = (before, found.start_rtp);
        }
        if let Some(after) = self.runs.remove(&run.end) {
            run = Run { start_rtp: run.start_rtp, ..after };
        }
        self.runs.insert(start, run);
    }

    fn in_chunk(&mut self, number: u32, rtp: u64) {
        let at = self.chunks.partition_point(|chunk| chunk.number < number);
        match self.chunks.get_mut(at) {
            Some(known) if known.number == number => {
                (known.first, known.last) = (known.first.min(rtp), known.last.max(rtp));
            }
            _ => self.chunks.insert(at, InChunk { number, first: rtp, last: rtp }),
        }
    }

    /// The sequence numbers of packets whose time counts as wrong, in order.
    pub(super) fn dropped(&self) -> Vec<u64> {
        let mut dropped: Vec<u64> = self.ahead.iter().map(|arrival| arrival.sequence).collect();
        dropped.sort_unstable();
        dropped
    }

    /// The chunks that a range of samples needs.
    pub(super) fn chunks_for(&self, placement: &Placement, samples: &Range<i64>) -> impl Iterator<Item = u32> {
        let overlaps = move |chunk: &&InChunk| {
            chunk.extent(placement).is_some_and(|extent| extent.start < samples.end && extent.end > samples.start)
        };
        self.chunks.iter().filter(overlaps).map(|chunk| chunk.number)
    }

    /// The first chunk that something is in from a sample on; the first one of all when nothing is placed yet.
    pub(super) fn first_chunk(&self, placement: &Placement, from: i64) -> Option<u32> {
        let is_after = |chunk: &&InChunk| chunk.extent(placement).is_none_or(|extent| extent.end > from);
        self.chunks.iter().find(is_after).map(|chunk| chunk.number)
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

    /// About how much memory this takes, in bytes.
    pub(super) fn held(&self) -> usize {
        // A B-tree node is half full at worst.
        let runs = self.runs.len() * 2 * size_of::<(u64, Run)>();
        let steps = self.live.steps.capacity() * size_of::<crate::clock::Step>();
        let ahead = self.ahead.capacity() * size_of::<Arrival>();
        runs + steps + ahead + self.chunks.capacity() * size_of::<InChunk>() + self.clock.held()
    }

    /// The RTP times from its first packet to the end of its last; `None` when none was received.
    pub(super) fn span(&self) -> Option<Range<u64>> {
        let edges = self.runs.values().flat_map(|run| [run.start_rtp, run.end_rtp]);
        let (from, to) = edges.fold((u64::MAX, 0), |(from, to), rtp| (from.min(rtp), to.max(rtp)));
        (from <= to).then_some(from..to)
    }

    /// From its first sample to one past its last. The server's own silence has timestamps in the future: nothing is taken to be
    /// spoken after the last packet arrived, except for the length of a packet.
    pub(super) fn samples(&self, placement: &Placement, zero: i64) -> Option<Range<i64>> {
        let span = self.span()?;
        let (start, end) = (placement.sample(span.start)?, placement.sample(span.end)?);
        let came = clock::samples(self.newest_at.saturating_sub(zero)).saturating_add(LONGEST_PACKET);
        Some(start..end.min(came).max(start))
    }

    /// Stretches of which all packets were received.
    pub(super) fn extents(&self, placement: &Placement) -> Vec<Range<i64>> {
        let runs = self.runs.values();
        let runs = runs.filter_map(|run| Some(placement.sample(run.start_rtp)?..placement.sample(run.end_rtp)?));
        runs.filter(|run| run.start < run.end).collect()
    }

    /// Stretches whose packets were sent and not received. A sender may be silent in between as well, so a loss is no longer than
    /// the missing packets, each as long as the last one before them.
    pub(super) fn losses(&self, placement: &Placement) -> Vec<Range<i64>> {
        let losses = self.runs.values().zip(self.runs.iter().skip(1)).filter_map(|(before, (&next, after))| {
            let start = placement.sample(before.end_rtp)?;
            let packets = i64::try_from(next - before.end).unwrap_or(i64::MAX);
            let missing = packets.saturating_mul(i64::from(before.packet));
            Some(start..placement.sample(after.start_rtp)?.min(start.saturating_add(missing)))
        });
        losses.filter(|loss| loss.end - loss.start >= SHORTEST_GAP).collect()
    }
}

#[cfg(test)]
mod tests;
