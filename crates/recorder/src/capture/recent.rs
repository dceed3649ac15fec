//! Keeps the most recent chunks of a capture in memory, for live rendering.

use std::collections::VecDeque;

use bytes::Bytes;

/// The most that is kept of one room, in bytes: what 50 speakers say in 10 s. When rendering falls further behind it reads what storage has.
const MOST: usize = 4 << 20;

struct Recent {
    number: u32,
    /// When its last entry was received, in nanoseconds since the Unix epoch.
    until: i64,
    bytes: Bytes,
}

/// The chunks of the last seconds, in their order. Bounded in time and in bytes.
pub(super) struct RecentChunks {
    window: i64,
    chunks: VecDeque<Recent>,
    bytes: usize,
}

impl RecentChunks {
    /// Keeps chunks for `window` nanoseconds; none at all for 0.
    pub(super) fn new(window: i64) -> Self {
        Self { window, chunks: VecDeque::new(), bytes: 0 }
    }

    /// Adds the next chunk, whose last entry was received then.
    pub(super) fn push(&mut self, number: u32, bytes: Bytes, until: i64) {
        if self.window == 0 {
            return;
        }
        self.bytes += bytes.len();
        self.chunks.push_back(Recent { number, until, bytes });
        let from = until.saturating_sub(self.window);
        while self.bytes > MOST || self.chunks.front().is_some_and(|first| first.until < from) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(gone) = self.chunks.pop_front() {
            self.bytes -= gone.bytes.len();
        }
    }

    /// Drops the chunks before this number.
    pub(super) fn forget_before(&mut self, number: u32) {
        while self.chunks.front().is_some_and(|first| first.number < number) {
            self.pop();
        }
    }

    /// A chunk, if it is still there.
    pub(super) fn get(&self, number: u32) -> Option<Bytes> {
        self.chunks.iter().find(|chunk| chunk.number == number).map(|chunk| chunk.bytes.clone())
    }

    pub(super) fn held(&self) -> usize {
        self.bytes + self.chunks.capacity() * size_of::<Recent>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(recent: &RecentChunks) -> Vec<u32> {
        (0..1_000).filter(|number| recent.get(*number).is_some()).collect()
    }

    #[test]
    fn it_stays_small() {
        let mut recent = RecentChunks::new(1_000);
        for number in 0..1_000 {
            recent.push(number, vec![0; 100].into(), i64::from(number) * 200);
        }
        assert_eq!(numbers(&recent), [994, 995, 996, 997, 998, 999]);
        assert!(recent.held() < 2_000, "{}", recent.held());
        recent.forget_before(998);
        assert_eq!(numbers(&recent), [998, 999]);
    }

    #[test]
    fn many_bytes_at_once_are_bounded_too() {
        let mut recent = RecentChunks::new(i64::MAX);
        for number in 0..100 {
            recent.push(number, vec![0; MOST / 3].into(), 0);
        }
        assert_eq!(numbers(&recent), [97, 98, 99]);
    }

    #[test]
    fn without_live_rendering_nothing_is_kept() {
        let mut recent = RecentChunks::new(0);
        recent.push(0, vec![0; 100].into(), 0);
        assert_eq!((recent.get(0), recent.held()), (None, 0));
    }
}
