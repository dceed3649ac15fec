//! Decides which packets may be kept, by when they were spoken and not by when they arrived: what is said in a pause may arrive
//! after it, because it was lost and is retransmitted, or because the path was slow.

use std::collections::HashMap;

use crate::clock;
use crate::log::Packet;
use crate::sound::SERVER_SILENCE;

/// How long the fastest packet is remembered, in nanoseconds: for this long to twice this long. It shows how long a packet is in
/// transit. After two to three times this long without a packet it is forgotten. No packet is later than that: retransmissions are
/// requested among the last hundred packets of a stream only (str0m, `MAX_MISORDER`), and a path on which nothing arrives for 5 s
/// is given up. Longer would not be better: a sender's clock may stall while nothing is sent, and what follows then looks late.
const WINDOW: i64 = 3_000_000_000;

/// The delay of the fastest packets of the last seconds: the least of arrival - RTP time, in nanoseconds.
#[derive(Debug, Default)]
struct Fastest {
    since: i64,
    now: Option<i64>,
    before: Option<i64>,
}

impl Fastest {
    /// Takes the delay of a packet that arrived at `at`, and returns the least one.
    fn take(&mut self, at: i64, delay: i64) -> i64 {
        let age = at.saturating_sub(self.since);
        if age >= WINDOW {
            let before = self.now.filter(|_| age < 3 * WINDOW);
            *self = Self { since: at, now: None, before };
        }
        let now = self.now.map_or(delay, |now| now.min(delay));
        self.now = Some(now);
        self.before.map_or(now, |before| before.min(now))
    }
}

/// A stream, as far as it matters here.
#[derive(Debug, Default)]
struct Stream {
    fastest: Fastest,
    /// The highest sequence number of a packet that was withheld.
    withheld: Option<u64>,
}

impl Stream {
    /// When a packet would have arrived on the fastest path, which stands for when it was spoken.
    fn spoken(&mut self, at: i64, packet: &Packet) -> i64 {
        // The timestamps of the server's own silence are from nobody's clock.
        if packet.payload.starts_with(&SERVER_SILENCE) {
            return at;
        }
        let rtp = clock::nanos(i64::try_from(packet.rtp).unwrap_or(i64::MAX));
        self.fastest.take(at, at.saturating_sub(rtp)).saturating_add(rtp)
    }
}

/// Decides for each packet whether it may be kept. Moments are nanoseconds since the Unix epoch.
#[derive(Debug, Default)]
pub struct SpokenTimeGate {
    /// When the last pause ended.
    resumed: Option<i64>,
    /// When participants who had been excluded were admitted again, by participant id.
    let_in: HashMap<String, i64>,
    streams: HashMap<u32, Stream>,
}

impl SpokenTimeGate {
    /// A pause ended.
    pub fn resumed(&mut self, at: i64) {
        self.resumed = Some(at);
    }

    /// A participant is no longer excluded.
    pub fn let_in(&mut self, participant_sid: &str, at: i64) {
        self.let_in.insert(participant_sid.to_owned(), at);
    }

    /// After a rejoin: nothing more arrives for the streams so far.
    pub fn reset(&mut self) {
        self.streams.clear();
    }

    /// Whether a packet that arrived at this moment may be kept; `is_open` says whether its participant is being recorded now.
    pub fn admits(&mut self, at: i64, participant_sid: &str, packet: &Packet, is_open: bool) -> bool {
        let stream = self.streams.entry(packet.stream).or_default();
        let spoken = stream.spoken(at, packet);
        if !is_open {
            stream.withheld = stream.withheld.max(Some(packet.sequence));
            return false;
        }
        let open_since = self.resumed.max(self.let_in.get(participant_sid).copied());
        stream.withheld < Some(packet.sequence) && open_since.is_none_or(|since| spoken >= since)
    }
}

#[cfg(test)]
mod tests;
