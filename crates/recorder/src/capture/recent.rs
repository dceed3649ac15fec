//! Keeps the most recent packets of a capture in memory, for live rendering.

use std::collections::VecDeque;

use crate::log::Packet;

/// The most payload of one room that is kept, in bytes: 50 simultaneous speakers. When rendering falls further behind it reads
/// chunks.
const MOST: usize = 4 << 20;

struct Came {
    at: i64,
    packet: Packet,
}

/// The packets of the last seconds, in order of arrival. Bounded in time and in bytes.
pub(super) struct Recent {
    window: i64,
    packets: VecDeque<Came>,
    bytes: usize,
    newest: i64,
    /// When the newest packet arrived that was dropped though it may still be needed.
    forgotten: Option<i64>,
}

impl Recent {
    /// Keeps packets for `window` nanoseconds; none at all for 0.
    pub(super) fn new(window: i64) -> Self {
        Self { window, packets: VecDeque::new(), bytes: 0, newest: i64::MIN, forgotten: None }
    }

    pub(super) fn push(&mut self, mut packet: Packet, at: i64) {
        if self.window == 0 {
            return;
        }
        packet.payload.shrink_to_fit();
        self.newest = self.newest.max(at);
        self.bytes += packet.payload.len();
        self.packets.push_back(Came { at, packet });
        let from = self.newest.saturating_sub(self.window);
        while self.bytes > MOST || self.packets.front().is_some_and(|first| first.at < from) {
            let Some(gone) = self.pop() else { break };
            self.forgotten = self.forgotten.max(Some(gone));
        }
    }

    fn pop(&mut self) -> Option<i64> {
        let gone = self.packets.pop_front()?;
        self.bytes -= gone.packet.payload.len();
        Some(gone.at)
    }

    /// Drops packets, from the oldest on, as long as they are no longer needed.
    pub(super) fn forget_while(&mut self, is_over: impl Fn(&Packet) -> bool) {
        while self.packets.front().is_some_and(|first| is_over(&first.packet)) {
            self.pop();
        }
        if self.packets.capacity() > 2 * self.packets.len() + 256 {
            self.packets.shrink_to(self.packets.len() + 128);
        }
    }

    /// When the newest packet arrived that was dropped though it may still be needed.
    pub(super) fn forgotten(&self) -> Option<i64> {
        self.forgotten
    }

    pub(super) fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter().map(|came| &came.packet)
    }

    pub(super) fn held(&self) -> usize {
        // An allocation costs 16 bytes besides its contents.
        self.bytes + self.packets.len() * 16 + self.packets.capacity() * size_of::<Came>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64) -> Packet {
        Packet { stream: 0, sequence, rtp: sequence * 960, payload: vec![0; 100] }
    }

    #[test]
    fn it_stays_small_and_tells_what_it_lost() {
        let mut recent = Recent::new(1_000);
        for n in 0..100_000 {
            recent.push(packet(n), n as i64 * 20);
        }
        assert_eq!(recent.packets().count(), 51);
        assert_eq!(recent.forgotten(), Some(99_999 * 20 - 1_020));
        assert!(recent.held() < 20_000, "{}", recent.held());
        recent.forget_while(|packet| packet.sequence < 99_990);
        assert_eq!(recent.packets().count(), 10);
        assert_eq!(recent.forgotten(), Some(99_999 * 20 - 1_020), "what was not needed is not missing");
    }

    #[test]
    fn many_bytes_at_once_are_bounded_too() {
        let mut recent = Recent::new(i64::MAX);
        for n in 0..100_000 {
            recent.push(packet(n), 0);
        }
        assert!(recent.bytes <= MOST && recent.forgotten() == Some(0));
    }

    #[test]
    fn without_live_rendering_nothing_is_kept() {
        let mut recent = Recent::new(0);
        recent.push(packet(0), 0);
        assert_eq!(recent.held(), 0);
    }
}
