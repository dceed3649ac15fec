//! The index of a capture: where the sound in its log is on the timeline, and what is missing. Stored next to the log.

use std::collections::BTreeMap;
use std::ops::Range;

use echosphere_media::ogg::packet_duration;
use echosphere_media::tracks::{Channel, PlacedPacket, Track};
use prost::Message as _;

use crate::clock::{LONGEST, Placement};
use crate::log::Packet;

/// A stretch of the timeline in which something is missing.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Gap {
    /// Its first sample.
    #[prost(int64, tag = "1")]
    pub start: i64,
    /// Its length in samples.
    #[prost(int64, tag = "2")]
    pub samples: i64,
    /// Why: `packets_lost`, `connection_lost`, `recorder_restarted`, `paused`.
    #[prost(string, tag = "3")]
    pub reason: String,
}

impl Gap {
    /// Its samples.
    pub fn range(&self) -> Range<i64> {
        self.start..self.start.saturating_add(self.samples)
    }
}

/// A stretch in which one side was unintentionally not recorded. Another source may have it.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct SideGap {
    /// Its first sample.
    #[prost(int64, tag = "1")]
    pub start: i64,
    /// Its length in samples.
    #[prost(int64, tag = "2")]
    pub samples: i64,
    /// Whether it is the agent's side, or everybody else's.
    #[prost(bool, tag = "3")]
    pub agent: bool,
    /// Whether several people were on that side around it: a source that has one of them does not have all of it.
    #[prost(bool, tag = "4")]
    pub several: bool,
}

impl SideGap {
    /// Its samples.
    pub fn range(&self) -> Range<i64> {
        self.start..self.start.saturating_add(self.samples)
    }
}

/// A stream with its place on the timeline.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PlacedStream {
    /// Its number in the log.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// LiveKit's track id.
    #[prost(string, tag = "2")]
    pub track_sid: String,
    /// LiveKit's participant id.
    #[prost(string, tag = "3")]
    pub participant_sid: String,
    /// Whether it is heard on the left.
    #[prost(bool, tag = "4")]
    pub left: bool,
    /// Whether it is heard on the right.
    #[prost(bool, tag = "5")]
    pub right: bool,
    /// The places of its packets.
    #[prost(message, optional, tag = "6")]
    pub placement: Option<Placement>,
    /// Sequence numbers of packets that are left out because their time is wrong, in order.
    #[prost(uint64, repeated, tag = "7")]
    pub dropped: Vec<u64>,
}

impl PlacedStream {
    /// Where a packet begins; `None` when it is left out.
    pub(super) fn sample(&self, packet: &Packet) -> Option<i64> {
        let is_dropped = self.dropped.binary_search(&packet.sequence).is_ok();
        self.placement.as_ref().filter(|_| !is_dropped)?.sample(packet.rtp)
    }
}

/// The samples covered by the packets of a chunk; empty when it has none.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Extent {
    /// The first sample.
    #[prost(sint64, tag = "1")]
    pub start: i64,
    /// One past the last sample.
    #[prost(sint64, tag = "2")]
    pub end: i64,
}

/// The index of a capture: where the sound in its log is on the timeline, and what is missing.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Index {
    /// The wall-clock time of sample 0: nanoseconds since the Unix epoch.
    #[prost(sfixed64, tag = "1")]
    pub zero: i64,
    /// The length in samples at 48 kHz.
    #[prost(uint64, tag = "2")]
    pub samples: u64,
    /// The streams.
    #[prost(message, repeated, tag = "3")]
    pub streams: Vec<PlacedStream>,
    /// What each chunk covers.
    #[prost(message, repeated, tag = "4")]
    pub chunks: Vec<Extent>,
    /// What is missing.
    #[prost(message, repeated, tag = "5")]
    pub gaps: Vec<Gap>,
    /// Samples at which another process took over.
    #[prost(int64, repeated, tag = "6")]
    pub restarts: Vec<i64>,
    /// Windows (ranges of samples) that live rendering rendered incompletely, or placed differently.
    #[prost(message, repeated, tag = "7")]
    pub improved: Vec<Extent>,
    /// What is unintentionally missing of each side. Includes what is after the end, if the sound was cut off there.
    #[prost(message, repeated, tag = "8")]
    pub side_gaps: Vec<SideGap>,
    /// Whether everybody is heard on both sides.
    #[prost(bool, tag = "9")]
    pub is_mixed: bool,
}

const MAGIC: &[u8; 4] = b"ESR1";

impl Index {
    /// Encodes the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.encode_raw(&mut out);
        out
    }

    /// Decodes what [`Index::to_bytes`] encoded; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let index = Self::decode(bytes.strip_prefix(MAGIC)?).ok()?;
        (index.samples <= LONGEST as u64).then_some(index)
    }

    /// The numbers of the chunks that a range of samples needs.
    pub fn chunks_for(&self, samples: &Range<i64>) -> Vec<u32> {
        let overlaps = |extent: &Extent| extent.start < samples.end && extent.end > samples.start;
        let chunks = self.chunks.iter().enumerate().filter(|(_, extent)| overlaps(extent));
        chunks.map(|(number, _)| number as u32).collect()
    }

    /// For each chunk, the first sample that it or any later chunk covers: nothing before that sample is still to come. There is
    /// one more than there are chunks; the last is [`i64::MAX`].
    pub fn horizons(&self) -> Vec<i64> {
        let mut horizons = vec![i64::MAX];
        for extent in self.chunks.iter().rev() {
            let after = horizons[horizons.len() - 1];
            let is_empty = extent.start >= extent.end;
            horizons.push(if is_empty { after } else { after.min(extent.start) });
        }
        horizons.reverse();
        horizons
    }

    /// The tracks in a range of samples, from the packets of its chunks.
    pub fn tracks(&self, packets: impl IntoIterator<Item = Packet>, samples: &Range<i64>) -> Vec<Track> {
        tracks(&self.streams, packets, samples)
    }
}

/// Sorts packets into tracks, and keeps those in a range of samples.
pub(super) fn tracks(
    streams: &[PlacedStream],
    packets: impl IntoIterator<Item = Packet>,
    samples: &Range<i64>,
) -> Vec<Track> {
    let mut found: BTreeMap<u32, Vec<Packet>> = BTreeMap::new();
    for packet in packets {
        found.entry(packet.stream).or_default().push(packet);
    }
    let tracks = found.into_iter().filter_map(|(number, mut packets)| {
        // Nearly in order; of a packet that came twice the first one counts.
        packets.sort_by_key(|packet| packet.sequence);
        packets.dedup_by_key(|packet| packet.sequence);
        let stream = streams.iter().find(|stream| stream.stream == number)?;
        let channel = match (stream.left, stream.right) {
            (true, true) => Channel::Both,
            (true, false) => Channel::Left,
            (false, true) => Channel::Right,
            (false, false) => return None,
        };
        let packets = place(stream, packets, samples);
        (!packets.is_empty()).then_some(Track { stream: number, channel, packets })
    });
    tracks.collect()
}

fn place(stream: &PlacedStream, packets: Vec<Packet>, samples: &Range<i64>) -> Vec<PlacedPacket> {
    let mut placed = Vec::with_capacity(packets.len());
    let mut before: Option<u64> = None;
    for packet in packets {
        let (Some(start), Some(length)) = (stream.sample(&packet), packet_duration(&packet.payload)) else {
            continue;
        };
        let after_loss = before.is_some_and(|before| packet.sequence > before + 1);
        before = Some(packet.sequence);
        let packet = PlacedPacket { start, samples: length, after_loss, data: packet.payload };
        if packet.is_heard_in(samples) {
            placed.push(packet);
        }
    }
    placed
}
