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
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;
    /// The server's clock is far from ours.
    const RTP: u64 = (1 << 32) - 48_000;

    /// The packet that is spoken `number` times 20 ms after the first one.
    fn packet(stream: u32, number: i64) -> Packet {
        let rtp = RTP.saturating_add_signed(number * 960);
        Packet { stream, sequence: 65_500 + number as u64, rtp, payload: vec![0x78, 1, 2] }
    }

    /// When it arrives if nothing delays it.
    fn on_time(number: i64) -> i64 {
        1_000_000 * MS + number * 20 * MS
    }

    /// Takes packets that nothing delayed.
    fn hear(gate: &mut SpokenTimeGate, numbers: std::ops::Range<i64>, is_open: bool) {
        for number in numbers {
            assert_eq!(gate.admits(on_time(number), "PA_1", &packet(0, number), is_open), is_open, "packet {number}");
        }
    }

    #[test]
    fn what_was_lost_in_a_pause_is_not_kept_when_it_comes_again() {
        let mut gate = SpokenTimeGate::default();
        hear(&mut gate, 0..50, true);
        hear(&mut gate, 50..70, false);
        // 70 and 71 are lost, and nothing after them arrives before the end of the pause.
        gate.resumed(on_time(71) + MS);
        assert!(!gate.admits(on_time(72), "PA_1", &packet(0, 69), true), "below the highest of the pause");
        assert!(gate.admits(on_time(72), "PA_1", &packet(0, 72), true));
        for late in [70, 71] {
            assert!(!gate.admits(on_time(80), "PA_1", &packet(0, late), true), "packet {late}, spoken in the pause");
        }
        assert!(gate.admits(on_time(81), "PA_1", &packet(0, 74), true), "lost behind the pause, and come again");
        hear(&mut gate, 82..2_000, true);
    }

    #[test]
    fn what_a_slow_way_held_up_over_the_end_of_a_pause_is_not_kept() {
        let mut gate = SpokenTimeGate::default();
        hear(&mut gate, 0..300, true);
        // Nothing arrives during the pause; all of it arrives afterwards, in order.
        gate.resumed(on_time(500));
        let kept: Vec<i64> =
            (300..520).filter(|number| gate.admits(on_time(520), "PA_1", &packet(0, *number), true)).collect();
        assert_eq!(kept, (500..520).collect::<Vec<_>>());
    }

    #[test]
    fn what_came_after_it_in_a_pause_tells_of_a_packet_when_nothing_else_does() {
        let mut gate = SpokenTimeGate::default();
        hear(&mut gate, 0..50, false);
        gate.resumed(on_time(2_000));
        assert!(!gate.admits(on_time(2_000), "PA_1", &packet(0, 48), true));
        assert!(gate.admits(on_time(2_001), "PA_1", &packet(0, 2_001), true));
    }

    #[test]
    fn a_stream_that_is_new_behind_a_pause_is_kept_from_its_first_packet_on() {
        let mut gate = SpokenTimeGate::default();
        hear(&mut gate, 0..50, false);
        gate.resumed(on_time(60));
        assert!(gate.admits(on_time(60), "PA_1", &packet(1, 60), true));
        assert!(!gate.admits(on_time(61), "PA_1", &packet(1, 59), true), "it was overtaken");
        assert!(gate.admits(on_time(61), "PA_1", &packet(1, 61), true));
    }

    #[test]
    fn whoever_is_let_in_again_is_kept_from_there_on_and_others_all_the_time() {
        let mut gate = SpokenTimeGate::default();
        hear(&mut gate, 0..50, true);
        hear(&mut gate, 50..60, false);
        gate.let_in("PA_1", on_time(65));
        for number in 60..70 {
            let late = on_time(number) + 200 * MS;
            assert!(gate.admits(on_time(number), "PA_2", &packet(1, number), true));
            assert_eq!(gate.admits(late, "PA_1", &packet(0, number), true), number >= 65, "packet {number}");
        }
    }

    #[test]
    fn a_clock_that_drifts_stands_still_or_is_ahead_costs_nothing_or_little() {
        let mut gate = SpokenTimeGate::default();
        // An hour of a clock that is slow by 300 ppm.
        for number in 0..180_000 {
            gate.admits(on_time(number) + number * 6_000, "PA_1", &packet(0, number), true);
        }
        let end = on_time(180_000) + 180_000 * 6_000;
        gate.resumed(end);
        assert!(gate.admits(end + 20 * MS, "PA_1", &packet(0, 180_001), true));
        // The server's own silence is a second ahead of it.
        let silence = Packet { payload: SERVER_SILENCE.to_vec(), ..packet(0, 180_055) };
        assert!(gate.admits(end + 100 * MS, "PA_1", &silence, true));
        gate.resumed(end + 500 * MS);
        assert!(gate.admits(end + 520 * MS, "PA_1", &packet(0, 180_026), true));
        // Muted for 20 s, during which it stalled.
        gate.resumed(end + 20_000 * MS);
        assert!(gate.admits(end + 20_010 * MS, "PA_1", &packet(0, 180_030), true));
    }
}
