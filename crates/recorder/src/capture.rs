//! A capture that is growing: numbers what happens, writes it to the journal, and has it ready for chunks and live segments.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use echosphere_media::tracks::Track;
use uuid::Uuid;

use crate::log::journal::Journal;
use crate::log::{Body, Entry, chunk};
use crate::sound::{Assembler, Layout};
use crate::words::Words;

/// Packets that live rendering may still need: those of the last 30 s.
const RECENT: i64 = 30_000_000_000;

/// A wall clock that does not jump: read once, then counted on by the machine's own clock.
#[derive(Debug, Clone, Copy)]
pub struct Timepiece {
    started: Instant,
    wall: i64,
}

impl Timepiece {
    /// A clock that says `wall` (nanoseconds since the Unix epoch) at `started`.
    pub fn new(started: Instant, wall: i64) -> Self {
        Self { started, wall }
    }

    /// The wall clock at a moment.
    pub fn at(&self, moment: Instant) -> i64 {
        let after = moment.saturating_duration_since(self.started).as_nanos() as i64;
        let before = self.started.saturating_duration_since(moment).as_nanos() as i64;
        self.wall + after - before
    }
}

/// Entries of a capture on their way into object storage.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// Its number.
    pub number: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The number of the first entry behind it.
    pub before: u64,
}

/// A capture that is growing.
pub struct Capture {
    id: Uuid,
    clock: Timepiece,
    journal: Arc<Journal>,
    next: u64,
    /// Frames that are in no chunk yet.
    pending: Vec<u8>,
    chunk: u32,
    assembler: Assembler,
    words: Words,
    recent: VecDeque<Entry>,
    last_packet: i64,
}

impl Capture {
    /// A capture that begins now.
    pub fn new(id: Uuid, clock: Timepiece, journal: Arc<Journal>, layout: Layout, lag: i64) -> Self {
        Self {
            id,
            clock,
            journal,
            next: 0,
            pending: Vec::new(),
            chunk: 0,
            assembler: Assembler::new(layout, lag),
            words: Words::default(),
            recent: VecDeque::new(),
            last_packet: 0,
        }
    }

    /// Takes what an earlier process logged: entries that are in chunks, each with its chunk's number, then those that its
    /// journal alone has. What is missing of the numbers in between is lost.
    pub fn recover(&mut self, stored: impl IntoIterator<Item = (u32, Entry)>, journalled: Vec<Entry>) {
        for (chunk, entry) in stored {
            self.chunk = self.chunk.max(chunk + 1);
            self.remember(entry, chunk);
        }
        for entry in journalled {
            if entry.number >= self.next {
                self.journal.append(self.id, &entry);
                chunk::append(&mut self.pending, &entry);
                self.remember(entry, self.chunk);
            }
        }
    }

    fn remember(&mut self, entry: Entry, chunk: u32) {
        self.next = self.next.max(entry.number + 1);
        self.assembler.take(&entry, chunk);
        self.words.take(&entry);
        if matches!(entry.body, Some(Body::Packet(_))) {
            self.last_packet = self.last_packet.max(entry.at);
            self.recent.push_back(entry);
        }
        while self.recent.front().is_some_and(|first| first.at < self.last_packet - RECENT) {
            self.recent.pop_front();
        }
    }

    /// Something happened.
    pub fn take(&mut self, at: Instant, body: Body) {
        let entry = Entry { number: self.next, at: self.clock.at(at), body: Some(body) };
        self.journal.append(self.id, &entry);
        chunk::append(&mut self.pending, &entry);
        self.remember(entry, self.chunk);
    }

    /// The clock.
    pub fn clock(&self) -> Timepiece {
        self.clock
    }

    /// What the log amounts to so far.
    pub fn assembler(&self) -> &Assembler {
        &self.assembler
    }

    /// What was said so far.
    pub fn words(&self) -> &Words {
        &self.words
    }

    /// The next chunk, if there is anything to put into it. It counts as kept when [`Capture::kept`] says so.
    pub fn cut(&mut self) -> Option<Chunk> {
        if self.pending.is_empty() {
            return None;
        }
        let bytes = chunk::encode(self.id, self.chunk, &std::mem::take(&mut self.pending));
        self.chunk += 1;
        Some(Chunk { number: self.chunk - 1, bytes, before: self.next })
    }

    /// A chunk is in object storage: the journal may forget its entries.
    pub fn kept(&self, chunk: &Chunk) {
        self.journal.kept(self.id, chunk.before);
    }

    /// Follows the streams' clocks for everything from this sample on, and logs what changed.
    pub fn follow_clocks(&mut self, sample: i64, now: Instant) {
        for placed in self.assembler.follow_clocks(sample) {
            self.take(now, Body::Placed(placed));
        }
    }

    /// The tracks of a range of samples, of what came lately.
    pub fn live_tracks(&self, samples: &Range<i64>) -> Vec<Track> {
        self.assembler.live_tracks(&self.recent, samples)
    }
}
