//! Keeps how loud the most recent packets of a capture are, as it is read when they come: so what nobody reads is measured without taking its packets
//! out of chunks again.

use std::collections::{BTreeMap, VecDeque};

use echosphere_media::loudness::{Loudness, PacketLevels};

use crate::clock;
use crate::log::Packet;

/// The most packets of a stream whose levels are kept: 40 s of the shortest ones.
const MOST: usize = 1 << 14;

/// How loud a packet is.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) sequence: u64,
    pub(super) rtp: u64,
    pub(super) levels: PacketLevels,
}

#[derive(Debug, Default)]
struct Stream {
    loudness: Loudness,
    /// The sequence number of the next packet.
    next: u64,
    newest: u64,
    packets: VecDeque<Level>,
    /// The highest RTP time whose level was given up.
    forgotten: Option<u64>,
}

/// The levels of the last seconds. Bounded in time and in number.
pub(super) struct RecentLevels {
    /// In samples.
    window: u64,
    streams: BTreeMap<u32, Stream>,
}

impl RecentLevels {
    /// Keeps levels for `window` nanoseconds; none at all for 0.
    pub(super) fn new(window: i64) -> Self {
        Self { window: clock::samples(window).unsigned_abs(), streams: BTreeMap::new() }
    }

    /// Reads the level of the packet that has come.
    pub(super) fn push(&mut self, packet: &Packet) {
        if self.window == 0 {
            return;
        }
        let stream = self.streams.entry(packet.stream).or_default();
        let mut levels = PacketLevels::new();
        if packet.sequence >= stream.next {
            if packet.sequence > stream.next {
                stream.loudness.reset();
            }
            stream.next = packet.sequence + 1;
            stream.loudness.push(&packet.payload, &mut levels);
        } else {
            // What comes late leans on packets that are long past.
            Loudness::default().push(&packet.payload, &mut levels);
        }
        stream.newest = stream.newest.max(packet.rtp);
        stream.packets.push_back(Level { sequence: packet.sequence, rtp: packet.rtp, levels });
        let from = stream.newest.saturating_sub(self.window);
        while stream.packets.len() > MOST || stream.packets.front().is_some_and(|first| first.rtp < from) {
            let gone = stream.packets.pop_front().map(|gone| gone.rtp);
            stream.forgotten = stream.forgotten.max(gone);
        }
    }

    /// The levels of a stream, in the order in which its packets came, and the highest RTP time whose level was given up.
    pub(super) fn of(&self, stream: u32) -> Option<(&VecDeque<Level>, Option<u64>)> {
        self.streams.get(&stream).map(|stream| (&stream.packets, stream.forgotten))
    }

    pub(super) fn held(&self) -> usize {
        self.streams.values().map(|stream| stream.packets.capacity() * size_of::<Level>()).sum()
    }
}
