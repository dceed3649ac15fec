//! A live capture: numbers each event, writes it to the journal, and keeps it ready for chunks and live segments.

mod recent;

use std::ops::Range;
use std::time::Instant;

use echosphere_media::tracks::Track;
use uuid::Uuid;

use self::recent::Recent;
use crate::log::journal::{Journal, Lane};
use crate::log::{Body, Entry, Packet, chunk};
use crate::room_transcript::RoomTranscript;
use crate::sound::{Assembler, Layout};

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
    pub bytes: Vec<u8>,
    /// The number of the first entry after the chunk.
    pub before: u64,
}

/// What live rendering needs of a capture.
#[derive(Debug, Clone, Copy)]
pub struct Live {
    /// How long rendering of a segment waits after the segment's end, in nanoseconds.
    pub lag: i64,
    /// How much time the packets kept in memory have to span, in nanoseconds: a segment, the warm-up before it, the lag after it,
    /// and how late rendering may get. Anything earlier is read from chunks. 0 when nothing is rendered live.
    pub window: i64,
}

/// A capture in progress. The memory that it takes is bounded: the open chunk ([`LARGEST_CHUNK`]), the packets that live rendering
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
    recent: Recent,
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
            recent: Recent::new(live.window),
            is_full: false,
        }
    }

    /// Replays a chunk of an earlier process. To be called for each chunk, in order, and before [`Capture::recover`].
    pub fn replay(&mut self, chunk: u32, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.remember(entry, chunk);
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
                self.remember(entry, self.number);
            }
        }
    }

    fn remember(&mut self, entry: Entry, chunk: u32) {
        self.next = self.next.max(entry.number + 1);
        self.assembler.take(&entry, chunk);
        match entry.body {
            Some(Body::Packet(packet)) => self.recent.push(packet, entry.at),
            Some(_) => self.words.take(&entry),
            None => {}
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
        self.remember(entry, self.number);
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

    /// The tracks in a range of samples, from the packets in memory; `None` when some are no longer there: then they are in chunks.
    pub fn live_tracks(&self, samples: &Range<i64>) -> Option<Vec<Track>> {
        let forgotten = self.recent.forgotten().zip(self.assembler.zero());
        let whole = forgotten.is_none_or(|(at, zero)| crate::clock::samples(at.saturating_sub(zero)) <= samples.start);
        whole.then(|| self.assembler.live_tracks(self.recent.packets(), samples))
    }

    /// Live rendering no longer needs anything before this sample.
    pub fn rendered(&mut self, sample: i64) {
        let Self { recent, assembler, .. } = self;
        recent.forget_while(|packet: &Packet| assembler.live_end(packet).is_some_and(|end| end <= sample));
    }

    /// About how much memory this takes in bytes, without participants and transcript.
    pub fn held(&self) -> usize {
        self.filling.capacity() + self.recent.held() + self.assembler.held()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::journal::recover;
    use crate::log::{Packet, Stream};
    use crate::sound;

    const SECOND: i64 = 1_000_000_000;

    struct Call {
        folder: tempfile::TempDir,
        journal: Journal,
        capture: Capture,
        began: Instant,
        chunks: Vec<Chunk>,
    }

    impl Call {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let journal = Journal::start(folder.path(), Uuid::from_u128(1)).unwrap();
            let began = Instant::now();
            let live = Live { lag: SECOND, window: 8 * SECOND };
            let mut capture = Capture::new(Uuid::nil(), Timepiece::new(began, 0), &journal, Layout::AgentLeft, live);
            capture.take(began, Body::Stream(Stream { stream: 0, ..Stream::default() }));
            Self { folder, journal, capture, began, chunks: Vec::new() }
        }

        /// Takes one packet of 20 ms for each number; a chunk every two seconds.
        fn talk(&mut self, numbers: Range<u64>) {
            for n in numbers {
                let at = self.began + Duration::from_millis(n * 20);
                let packet = Packet { stream: 0, sequence: n, rtp: n * 960, payload: vec![0x78, n as u8, 0] };
                self.capture.take(at, Body::Packet(packet));
                if n % 100 == 99 {
                    self.chunks.extend(self.capture.cut());
                }
            }
        }
    }

    #[test]
    fn what_memory_does_not_have_any_more_is_the_same_from_chunks() {
        let mut call = Call::new();
        call.talk(0..300);
        let window = 0..4 * 48_000;
        call.capture.follow_clocks(0, call.began + Duration::from_secs(6));
        let on_time = call.capture.live_tracks(&window).unwrap();
        call.talk(300..1_000);
        assert_eq!(call.capture.live_tracks(&window), None, "it is gone, and that is known");
        let numbers = call.capture.assembler().live_chunks(&window);
        assert_eq!(numbers, [0, 1]);
        let chunks = numbers.iter().map(|number| &call.chunks[*number as usize]);
        let entries: Vec<Entry> = chunks.flat_map(|chunk| chunk::decode(&chunk.bytes).unwrap().entries).collect();
        let late = call.capture.assembler().live_tracks(sound::packets(&entries), &window);
        assert_eq!(late, on_time);
        assert!(call.capture.live_tracks(&(14 * 48_000..18 * 48_000)).is_some());
        call.capture.rendered(18 * 48_000);
        assert!(call.capture.recent.packets().count() <= 120);
    }

    #[test]
    fn a_chunk_has_a_largest_size_and_the_journal_has_the_rest() {
        let mut call = Call::new();
        for _ in 0..10 {
            call.capture.take(call.began, Body::Data(vec![0; 1_000_000]));
            call.journal.flush().unwrap();
        }
        assert!(call.capture.filling() <= LARGEST_CHUNK && call.capture.filling() > LARGEST_CHUNK - 1_100_000);
        let Call { folder, journal, capture, .. } = call;
        drop((capture, journal));
        let recovered = recover(folder.path(), |_| Some(0)).unwrap();
        assert_eq!(recovered.captures[&Uuid::nil()].len(), 11);
    }
}
