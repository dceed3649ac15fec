//! A room's chunks that object storage has not taken yet: which of them are in memory, which on the disk, and which is next.
//!
//! While storage takes them, a chunk goes there from memory. When it has not taken one by the time the next is cut, chunks
//! go to the disk first ([`Spool`](echosphere_recorder::log::spool::Spool)) and from there into storage when it is back. So
//! memory has two chunks at most besides the one that is being filled: one that is being sent, one that the disk has not
//! taken yet.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use echosphere_recorder::capture::Chunk;
use tokio::sync::Notify;

/// A chunk in memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) number: u32,
    pub(super) before: u64,
    pub(super) bytes: Bytes,
    on_disk: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The first chunk that storage has not taken, and the one after the last that was cut.
    waiting: Range<u32>,
    /// The first of them, when it was cut while nothing else waited.
    first: Option<Held>,
    /// The last of them, as long as the disk has not taken it.
    last: Option<Held>,
    /// The keys of chunks below this number are announced.
    announced: u32,
    /// Since when the disk does not take what storage does not take either.
    failing_since: Option<Instant>,
}

/// Chunks on their way into object storage.
#[derive(Debug)]
pub(super) struct ChunkOutbox {
    state: Mutex<State>,
    more: Notify,
    empty: Notify,
}

impl ChunkOutbox {
    /// An outbox for which an earlier process left these chunks in the spool.
    pub(super) fn new(waiting: Range<u32>) -> Self {
        let announced = waiting.start;
        let state = State { waiting, announced, ..State::default() };
        Self { state: Mutex::new(state), more: Notify::new(), empty: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each critical section leaves it whole; a panic elsewhere does not make it wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether neither storage nor the disk has taken anything for at least this long.
    pub(super) fn failure_lasts(&self, for_so_long: Duration) -> bool {
        self.state().failing_since.is_some_and(|since| since.elapsed() >= for_so_long)
    }

    /// Neither storage nor the disk takes anything now.
    pub(super) fn failed(&self) {
        self.state().failing_since.get_or_insert_with(Instant::now);
    }

    /// Waits until there may be something to send.
    pub(super) async fn filled(&self) {
        self.more.notified().await;
    }

    /// Whether the key of a chunk is announced.
    pub(super) fn is_announced(&self, number: u32) -> bool {
        number < self.state().announced
    }

    /// The keys of chunks below this number are announced.
    pub(super) fn announced(&self, below: u32) {
        self.state().announced = below;
    }

    /// Whether storage has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.state().waiting.is_empty()
    }

    /// Waits until storage has taken everything.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Adds the next chunk.
    pub(super) fn add(&self, chunk: Chunk) {
        let mut state = self.state();
        let Chunk { number, bytes, before } = chunk;
        let held = Held { number, before, bytes, on_disk: false };
        if state.waiting.is_empty() {
            (state.waiting, state.first) = (number..number + 1, Some(held));
        } else {
            (state.waiting.end, state.last) = (number + 1, Some(held));
        }
        drop(state);
        self.more.notify_one();
    }

    /// The next chunk that storage is to take; without bytes when it lies on the disk.
    pub(super) fn next(&self) -> Option<(u32, Option<Held>)> {
        let mut state = self.state();
        let number = Some(state.waiting.start).filter(|_| !state.waiting.is_empty())?;
        if state.first.is_none() && state.last.as_ref().is_some_and(|last| last.number == number) {
            state.first = state.last.take();
        }
        Some((number, state.first.clone()))
    }

    /// Whether memory has no place for another chunk.
    pub(super) fn is_full(&self) -> bool {
        self.state().last.is_some()
    }

    /// What the disk has not taken, in order.
    pub(super) fn in_memory_only(&self) -> Vec<Held> {
        let state = self.state();
        state.first.iter().chain(&state.last).filter(|held| !held.on_disk).cloned().collect()
    }

    /// The disk has taken a chunk. False when storage has, too, by now.
    pub(super) fn on_disk(&self, number: u32) -> bool {
        let mut state = self.state();
        state.failing_since = None;
        state.last.take_if(|last| last.number == number);
        if let Some(first) = state.first.as_mut().filter(|first| first.number == number) {
            first.on_disk = true;
        }
        state.waiting.contains(&number)
    }

    /// Storage has taken the first chunk.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        state.waiting.start += 1;
        (state.first, state.failing_since) = (None, None);
        if state.waiting.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// The bytes of a chunk, if they are in memory; false when storage has it.
    pub(super) fn find(&self, number: u32) -> (Option<Bytes>, bool) {
        let state = self.state();
        let held = state.first.iter().chain(&state.last).find(|held| held.number == number);
        (held.map(|held| held.bytes.clone()), state.waiting.contains(&number))
    }
}

#[cfg(test)]
mod tests;
