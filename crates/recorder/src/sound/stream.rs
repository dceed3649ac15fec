//! One stream: which of its packets came, and where its clock stands.

use std::collections::BTreeMap;
use std::ops::Range;

use echosphere_media::ogg::packet_duration;

use crate::clock::{Clock, Placement};
use crate::log::{Packet, Stream};

/// A hole in the sequence numbers that lasts shorter is concealed and not worth a mention (100 ms).
const SHORTEST_GAP: i64 = 4_800;
/// The packet that LiveKit sends when a track is muted or closed (livekit-server, pkg/sfu, `OpusSilenceFrame`).
const SERVER_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

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

    /// Stretches whose packets were sent and did not come.
    pub(super) fn losses(&self, placement: &Placement) -> Vec<Range<i64>> {
        let runs: Vec<Run> = self.runs.values().copied().collect();
        let holes = runs
            .windows(2)
            .filter_map(|pair| Some(placement.sample(pair[0].end_rtp)?..placement.sample(pair[1].start_rtp)?));
        holes.filter(|hole| hole.end - hole.start >= SHORTEST_GAP).collect()
    }
}
