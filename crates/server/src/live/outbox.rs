//! A room's chunks on their way into object storage: in order, whatever the storage does.
//!
//! While storage takes them, a chunk goes there from memory. When it has not taken one by the time the next is cut, chunks
//! go to the disk first ([`Spool`](echosphere_recorder::log::spool::Spool)) and from there into storage when it is back. So
//! memory holds two chunks at most beside the one that is being filled: one that is being sent, one that the disk has not
//! taken yet.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use echosphere_recorder::capture::Chunk;
use echosphere_recorder::log::{Entry, chunk};
use echosphere_store::Purpose;
use tokio::sync::Notify;

use super::Session;
use crate::{clock, work};

/// Keys that are announced in one transaction.
const ANNOUNCED: u32 = 64;
/// The longest pause before storage is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A chunk in memory.
#[derive(Debug, Clone)]
struct Held {
    number: u32,
    before: u64,
    bytes: Bytes,
    on_disk: bool,
}

#[derive(Debug, Default)]
struct State {
    /// The first chunk that storage has not taken, and the one behind the last that was cut.
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
pub(super) struct Outbox {
    state: Mutex<State>,
    more: Notify,
    empty: Notify,
}

impl Outbox {
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

    /// Whether neither storage nor the disk has taken anything for so long.
    pub(super) fn failure_lasts(&self, for_so_long: Duration) -> bool {
        self.state().failing_since.is_some_and(|since| since.elapsed() >= for_so_long)
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
    fn add(&self, chunk: Chunk) {
        let mut state = self.state();
        let Chunk { number, bytes, before } = chunk;
        let held = Held { number, before, bytes: bytes.into(), on_disk: false };
        if state.waiting.is_empty() {
            (state.waiting, state.first) = (number..number + 1, Some(held));
        } else {
            (state.waiting.end, state.last) = (number + 1, Some(held));
        }
        drop(state);
        self.more.notify_one();
    }

    /// The next chunk that storage is to take; without bytes when it lies on the disk.
    fn next(&self) -> Option<(u32, Option<Held>)> {
        let mut state = self.state();
        let number = Some(state.waiting.start).filter(|_| !state.waiting.is_empty())?;
        if state.first.is_none() && state.last.as_ref().is_some_and(|last| last.number == number) {
            state.first = state.last.take();
        }
        Some((number, state.first.clone()))
    }

    /// Whether another chunk has no place in memory.
    fn is_full(&self) -> bool {
        self.state().last.is_some()
    }

    /// What the disk has not taken, in order.
    fn in_memory_only(&self) -> Vec<Held> {
        let state = self.state();
        state.first.iter().chain(&state.last).filter(|held| !held.on_disk).cloned().collect()
    }

    /// The disk has taken a chunk. False when storage has, too, by now.
    fn on_disk(&self, number: u32) -> bool {
        let mut state = self.state();
        state.failing_since = None;
        state.last.take_if(|last| last.number == number);
        if let Some(first) = state.first.as_mut().filter(|first| first.number == number) {
            first.on_disk = true;
        }
        state.waiting.contains(&number)
    }

    /// Storage has taken the first chunk.
    fn sent(&self) {
        let mut state = self.state();
        state.waiting.start += 1;
        (state.first, state.failing_since) = (None, None);
        if state.waiting.is_empty() {
            self.empty.notify_waiters();
        }
    }

    /// The bytes of a chunk, if they are in memory; false when storage has it.
    fn find(&self, number: u32) -> (Option<Bytes>, bool) {
        let state = self.state();
        let held = state.first.iter().chain(&state.last).find(|held| held.number == number);
        (held.map(|held| held.bytes.clone()), state.waiting.contains(&number))
    }
}

impl Session {
    /// Cuts a chunk, and puts it on its way. The error is the disk's.
    pub(super) async fn cut(&self) -> std::io::Result<()> {
        if self.outbox.is_full() {
            // Nothing is cut before the disk has what was cut before: this is what bounds the memory.
            self.spool().await?;
        }
        if let Some(chunk) = self.capture().cut() {
            self.outbox.add(chunk);
        }
        Ok(())
    }

    /// Puts what is in memory alone on the disk.
    pub(super) async fn spool(&self) -> std::io::Result<()> {
        for held in self.outbox.in_memory_only() {
            let Held { number, before, bytes, .. } = held;
            let (spool, capture) = (Arc::clone(&self.app.rooms.spool), self.capture_id.as_uuid());
            let put = tokio::task::spawn_blocking(move || spool.put(capture, number, &bytes));
            if let Err(error) = put.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                self.outbox.state().failing_since.get_or_insert_with(Instant::now);
                return Err(error);
            }
            if self.outbox.on_disk(number) {
                self.capture().kept(before);
            } else {
                self.unspool(number).await;
            }
        }
        Ok(())
    }

    async fn unspool(&self, number: u32) {
        let (spool, capture) = (Arc::clone(&self.app.rooms.spool), self.capture_id.as_uuid());
        // It logs what goes wrong; the next process removes what stays.
        let _ = tokio::task::spawn_blocking(move || spool.remove(capture, number)).await;
    }

    /// Puts what waits into object storage, in order, and goes on for ever. May be dropped at any moment: a chunk that was
    /// being sent is sent again.
    pub(super) async fn upload(&self) {
        let mut pause = Duration::ZERO;
        loop {
            let Some((number, held)) = self.outbox.next() else {
                self.outbox.more.notified().await;
                continue;
            };
            match self.send(number, held.as_ref()).await {
                // Of a recording that is deleted nothing more is kept.
                Ok(()) | Err(work::Error::Store(echosphere_store::Error::Deleted(_))) => {
                    if let Some(held) = held {
                        self.capture().kept(held.before);
                    }
                    self.outbox.sent();
                    if self.app.rooms.spool.has(self.capture_id.as_uuid(), number) {
                        self.unspool(number).await;
                    }
                    pause = Duration::ZERO;
                }
                Err(error) => {
                    if pause.is_zero() {
                        tracing::warn!(recording = %self.recording.id, chunk = number, %error, "object storage does not take what is heard; it waits on the disk");
                    }
                    metrics::counter!("echosphere_live_storage_failures_total").increment(1);
                    pause = (pause + Duration::from_secs(1)).min(LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn send(&self, number: u32, held: Option<&Held>) -> Result<(), work::Error> {
        let Self { app, recording, attempt, .. } = self;
        if number >= self.outbox.state().announced {
            let keys: Vec<_> =
                (number..number + ANNOUNCED).map(|number| recording.prefix.log_chunk(*attempt, number)).collect();
            app.store.announce(&recording.project, Some(recording.id), Purpose::Log, &keys, clock::now()).await?;
            self.outbox.state().announced = number + ANNOUNCED;
        }
        let key = recording.prefix.log_chunk(*attempt, number);
        let capture = self.capture_id.as_uuid();
        if let Some(held) = held {
            app.put(recording.id, &key, held.bytes.clone()).await?;
        } else if app.rooms.spool.has(capture, number) {
            app.put_file(recording.id, &key, &app.rooms.spool.path(capture, number)).await?;
        } else {
            // Somebody has removed it. Reading stops at a chunk that is missing, so an empty one takes its place.
            tracing::error!(recording = %recording.id, chunk = number, "a chunk that waited on the disk is gone");
            app.put(recording.id, &key, chunk::begin(capture, number, 0).into()).await?;
        }
        Ok(())
    }

    /// The entries of some chunks, wherever they are now.
    pub(super) async fn entries(&self, numbers: &[u32]) -> Result<Vec<Entry>, work::Error> {
        let mut entries = Vec::new();
        for &number in numbers {
            let bytes = match self.outbox.find(number) {
                (Some(bytes), _) => bytes,
                (None, true) => {
                    let (spool, capture) = (Arc::clone(&self.app.rooms.spool), self.capture_id.as_uuid());
                    let read = tokio::task::spawn_blocking(move || spool.get(capture, number)).await;
                    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                    read.map_err(|source| work::Error::Io { action: "read a chunk", source })?.into()
                }
                (None, false) => {
                    let key = self.recording.prefix.log_chunk(self.attempt, number);
                    self.app.objects.get_range(&key, 0..u64::MAX).await?
                }
            };
            // A damaged one was told of when it was written, or is when the room is settled.
            entries.extend(chunk::decode(&bytes).into_iter().flat_map(|chunk| chunk.entries));
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What may happen, in any order.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Cut,
        Spool,
        /// The disk takes a chunk while storage takes it, too.
        Send {
            spooled_meanwhile: bool,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => Just(Step::Cut),
            1 => Just(Step::Spool),
            2 => any::<bool>().prop_map(|spooled_meanwhile| Step::Send { spooled_meanwhile }),
        ]
    }

    proptest! {
        #[test]
        fn chunks_are_sent_in_order_each_once_and_memory_holds_two(
            left in 0..3_u32,
            steps in prop::collection::vec(step(), 0..200),
        ) {
            let outbox = Outbox::new(5..5 + left);
            let (mut cut, mut sent) = (5 + left, 5);
            let mut disk: std::collections::BTreeSet<u32> = (5..cut).collect();
            let spool = |disk: &mut std::collections::BTreeSet<u32>| {
                for held in outbox.in_memory_only() {
                    disk.insert(held.number);
                    assert!(outbox.on_disk(held.number));
                }
            };
            for step in steps {
                match step {
                    Step::Cut => {
                        if outbox.is_full() {
                            spool(&mut disk);
                        }
                        outbox.add(Chunk { number: cut, bytes: vec![cut as u8], before: u64::from(cut) });
                        cut += 1;
                    }
                    Step::Spool => spool(&mut disk),
                    Step::Send { spooled_meanwhile } => {
                        let Some((number, held)) = outbox.next() else {
                            prop_assert_eq!(sent, cut);
                            continue;
                        };
                        prop_assert_eq!(number, sent);
                        prop_assert!(held.is_some() || disk.contains(&number), "chunk {number} is nowhere");
                        outbox.sent();
                        sent += 1;
                        disk.remove(&number);
                        if spooled_meanwhile {
                            prop_assert!(!outbox.on_disk(number), "it is not needed on the disk any more");
                        }
                    }
                }
                let state = outbox.state();
                let held: Vec<u32> = state.first.iter().chain(&state.last).map(|held| held.number).collect();
                prop_assert_eq!(&state.waiting, &(sent..cut));
                prop_assert!((sent..cut).all(|number| disk.contains(&number) || held.contains(&number)));
            }
        }
    }
}
