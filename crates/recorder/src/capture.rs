//! A live capture: numbers each event, writes it to the journal, and keeps it ready for chunks and live segments.

mod recent;

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use uuid::Uuid;

use self::recent::RecentChunks;
use crate::log::journal::{Journal, Lane};
use crate::log::{Body, Entry, chunk};
use crate::room_transcript::RoomTranscript;
use crate::sound::{Assembler, Layout, LiveSound};

/// The largest chunk, in bytes. A chunk is cut every few seconds, long before it is this large, unless there is nowhere to put it.
const LARGEST_CHUNK: usize = 4 << 20;

/// A wall clock that does not jump: read once, then advanced by the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Timepiece {
    started: Instant,
    wall: i64,
}

impl Timepiece {
    /// A clock that shows `wall` (nanoseconds since the Unix epoch) at `started`.
    pub fn new(started: Instant, wall: i64) -> Self {
        Self { started, wall }
    }

    /// The wall clock at a moment, in nanoseconds since the Unix epoch.
    pub fn at(&self, moment: Instant) -> i64 {
        let after = moment.saturating_duration_since(self.started).as_nanos() as i64;
        let before = self.started.saturating_duration_since(moment).as_nanos() as i64;
        self.wall + after - before
    }
}

/// A part of a capture's log that is to be stored as one object.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its number.
    pub number: u32,
    /// Its bytes.
    pub bytes: Bytes,
    /// The number of the first entry after the chunk.
    pub before: u64,
}

/// What live rendering needs of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// How long rendering of a segment waits after the segment's end, in nanoseconds.
    pub lag: i64,
    /// How much time the chunks kept in memory have to span, in nanoseconds: the segments that are made at once, the warm-up before them, the lag
    /// after them, and how late rendering may get. Anything earlier is read from storage. 0 when nothing is rendered live.
    pub window: i64,
}

/// A capture in progress. The memory that it takes is bounded: the open chunk ([`LARGEST_CHUNK`]), the chunks that live rendering
/// needs next, and the state derived from the log, which grows with events and not with packets.
pub struct Capture {
    id: Uuid,
    clock: Timepiece,
    lane: Lane,
    next: u64,
    /// The open chunk.
    filling: Vec<u8>,
    number: u32,
    assembler: Assembler,
    words: RoomTranscript,
    recent: RecentChunks,
    /// Whether entries were dropped from the open chunk because it is full.
    is_full: bool,
}

impl Capture {
    /// A capture that begins now.
    pub fn new(id: Uuid, clock: Timepiece, journal: &Journal, layout: Layout, live: Live) -> Self {
        Self {
            id,
            clock,
            lane: journal.lane(id),
            next: 0,
            filling: chunk::begin(id, 0, 0),
            number: 0,
            assembler: Assembler::new(layout, live.lag),
            words: RoomTranscript::default(),
            recent: RecentChunks::new(live.window),
            is_full: false,
        }
    }

    /// Replays a chunk of an earlier process. To be called for each chunk, in order, and before [`Capture::recover`].
    pub fn replay(&mut self, chunk: u32, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.remember(&entry, chunk);
        }
        self.number = self.number.max(chunk + 1);
        self.filling = chunk::begin(self.id, self.number, 0);
    }

    /// Replays what only the earlier process's journal has. Entries whose numbers are missing in between are lost.
    pub fn recover(&mut self, journalled: Vec<Entry>) {
        for entry in journalled {
            if entry.number >= self.next {
                let start = self.filling.len();
                chunk::append(&mut self.filling, &entry);
                self.lane.take_over(&self.filling[start..], entry.number);
                self.remember(&entry, self.number);
            }
        }
    }

    fn remember(&mut self, entry: &Entry, chunk: u32) {
        self.next = self.next.max(entry.number + 1);
        self.assembler.take(entry, chunk);
        if !matches!(entry.body, Some(Body::Packet(_)) | None) {
            self.words.take(entry);
        }
    }

    /// Logs an event.
    pub fn take(&mut self, at: Instant, body: Body) {
        let entry = Entry { number: self.next, at: self.clock.at(at), body: Some(body) };
        let start = self.filling.len();
        chunk::append(&mut self.filling, &entry);
        self.lane.append(&self.filling[start..], entry.number);
        if self.filling.len() > LARGEST_CHUNK {
            self.filling.truncate(start);
            if !std::mem::replace(&mut self.is_full, true) {
                tracing::error!(capture = %self.id, "neither storage nor disk takes chunks: what is heard from now on is lost until one does");
            }
        }
        self.remember(&entry, self.number);
    }

    /// The capture's wall clock.
    pub fn clock(&self) -> Timepiece {
        self.clock
    }

    /// The state of the tracks as derived from the log so far.
    pub fn assembler(&self) -> &Assembler {
        &self.assembler
    }

    /// The room's transcript so far.
    pub fn words(&self) -> &RoomTranscript {
        &self.words
    }

    /// The number of the open chunk.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The size of the open chunk in bytes; 0 when it has no entries.
    pub fn filling(&self) -> usize {
        if chunk::is_empty(&self.filling) { 0 } else { self.filling.len() }
    }

    /// Closes the open chunk and returns it, unless it is empty. It counts as stored only when [`Capture::kept`] is called.
    pub fn cut(&mut self) -> Option<Chunk> {
        if chunk::is_empty(&self.filling) {
            return None;
        }
        self.is_full = false;
        let number = self.number;
        self.number += 1;
        // The next chunk will be about as large.
        let next = chunk::begin(self.id, self.number, self.filling.len());
        let mut bytes = std::mem::replace(&mut self.filling, next);
        bytes.shrink_to_fit();
        let bytes = Bytes::from(bytes);
        self.recent.push(number, bytes.clone(), self.assembler.last_at());
        Some(Chunk { number, bytes, before: self.next })
    }

    /// The entries before this number are in object storage or in the spool: the journal may drop them.
    pub fn kept(&self, before: u64) {
        self.lane.kept(before);
    }

    /// Updates the placement of the streams from this sample on, and logs the changes.
    pub fn follow_clocks(&mut self, sample: i64, now: Instant) {
        for placed in self.assembler.follow_clocks(sample) {
            self.take(now, Body::Placed(placed));
        }
    }

    /// A chunk that is in memory: the one that is being filled, or one that was cut lately.
    pub fn chunk_in_memory(&self, number: u32) -> Option<Bytes> {
        let is_open = number == self.number;
        if is_open { Some(Bytes::copy_from_slice(&self.filling)) } else { self.recent.get(number) }
    }

    /// The sound of a range of samples, from the chunks in memory; `None` when some are no longer there: then they are in storage.
    pub fn live_sound(&self, samples: &Range<i64>) -> Option<LiveSound> {
        let chunks = self.assembler.live_chunks(samples).into_iter().map(|number| self.chunk_in_memory(number));
        Some(self.assembler.live_sound(chunks.collect::<Option<_>>()?))
    }

    /// Live rendering no longer needs anything before this sample.
    pub fn rendered(&mut self, sample: i64) {
        self.recent.forget_before(self.assembler.first_live_chunk(sample).unwrap_or(self.number));
    }

    /// About how much memory this takes in bytes, without participants and transcript.
    pub fn held(&self) -> usize {
        self.filling.capacity() + self.recent.held() + self.assembler.held()
    }
}

#[cfg(test)]
mod tests;
