//! A call of two hours in simulated time, through everything that a packet goes through between the socket and the index:
//! two clocks that drift apart, jitter, loss with packets that come again late, mutes, an outage, a process that is killed.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use echosphere_media::cmaf::{on_grid, voices_stretch};
use echosphere_media::render::voices_range;
use echosphere_recorder::capture::{Capture, Live, Timepiece};
use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::journal::{self, Journal};
use echosphere_recorder::log::{Body, Joined, Link, Packet, Stream, chunk};
use echosphere_recorder::sound::{Assembler, Index, Layout};
use uuid::Uuid;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MS;
const T0: i64 = 1_795_439_500_000 * MS;
const PACKETS: u32 = 2 * 3600 * 50;
const CAPTURE: Uuid = Uuid::from_u128(7);
const LIVE: Live = Live { lag: SECOND, window: 11 * SECOND };
/// What a room of two tracks may hold in memory.
const MOST_HELD: usize = 512 << 10;
/// The one who records dies at this second, and the next is in the room three seconds later.
const KILLED: (i64, i64) = (4_200, 4_203);
/// How long a packet takes at least (ms).
const LEAST_DELAY: f64 = 5.0;
/// Nothing gets through.
const OUTAGE: (i64, i64) = (3_000, 3_030);

/// A track: when its packets were spoken, and what its SFU stream looks like.
struct Track {
    ppm: f64,
    /// Seconds in which it is muted: nothing is sent, and the RTP clock goes on.
    mutes: &'static [(i64, i64)],
    /// Where sequence numbers and RTP times begin, for each process that listens.
    begins: [(u64, u64); 2],
}

const TRACKS: [Track; 2] = [
    Track { ppm: 100.0, mutes: &[(1_200, 1_500), (6_000, 6_001)], begins: [(65_000, 4_294_000_000), (12, 77)] },
    Track { ppm: -100.0, mutes: &[(100, 130), (2_000, 2_600)], begins: [(0, 1_000), (400_000, 9_000_000_000)] },
];

impl Track {
    fn spoken(&self, n: u32) -> i64 {
        T0 + (f64::from(n) * 20e6 * (1.0 + self.ppm * 1e-6)) as i64
    }

    fn is_muted(&self, n: u32) -> bool {
        self.mutes.iter().any(|(from, to)| (from * 50..to * 50).contains(&i64::from(n)))
    }
}

/// A packet that arrives.
struct Arrival {
    at: i64,
    track: u8,
    n: u32,
    /// Its place among those that were sent.
    sent: u32,
}

/// Numbers that look random, the same in each run.
fn random(seed: &mut u64) -> f64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    (*seed >> 11) as f64 / (1_u64 << 53) as f64
}

/// What arrives, in order: 3 % are lost, most of which come again, a few of them after seconds; some are lost for good, and
/// some come twice.
fn arrivals() -> Vec<Arrival> {
    let mut seed = 0x00C0_FFEE;
    let mut all = Vec::with_capacity(2 * PACKETS as usize);
    for (track, about) in TRACKS.iter().enumerate() {
        for (sent, n) in (0..PACKETS).filter(|n| !about.is_muted(*n)).enumerate() {
            let here = Arrival { at: 0, track: track as u8, n, sent: sent as u32 };
            let arrive = |delay_ms: f64| about.spoken(n) + (delay_ms * 1e6) as i64;
            let jitter = LEAST_DELAY + random(&mut seed) * 60.0;
            let delay = match random(&mut seed) {
                luck if luck < 0.001 => continue,
                luck if luck < 0.002 => 1_500.0 + random(&mut seed) * 3_000.0,
                luck if luck < 0.03 => 90.0 + random(&mut seed) * 300.0,
                luck if luck < 0.031 => {
                    all.push(Arrival { at: arrive(jitter + 40.0), ..here });
                    jitter
                }
                _ => jitter,
            };
            all.push(Arrival { at: arrive(delay), ..here });
        }
    }
    let reaches_us = |at: i64| {
        let second = |(from, to): (i64, i64)| (T0 + from * SECOND..T0 + to * SECOND).contains(&at);
        !second(OUTAGE) && !second(KILLED)
    };
    all.retain(|arrival| reaches_us(arrival.at));
    all.sort_unstable_by_key(|arrival| arrival.at);
    all
}

/// A process that records.
struct Process {
    capture: Capture,
    journal: Journal,
    began: Instant,
    /// Which one it is, 0 or 1.
    number: usize,
    cut_at: i64,
    segment: i64,
    flushed_at: i64,
    most_held: usize,
}

impl Process {
    fn start(folder: &Path, number: usize, now: i64, chunks: &[Bytes]) -> Self {
        let recovered = journal::recover(folder, |_| Some(0)).unwrap();
        let journal = Journal::start(folder, Uuid::from_u128(number as u128)).unwrap();
        let began = Instant::now();
        let mut capture = Capture::new(CAPTURE, Timepiece::new(began, now), &journal, Layout::AgentLeft, LIVE);
        for bytes in chunks {
            let chunk = chunk::decode(bytes).unwrap();
            capture.replay(chunk.number, chunk.entries);
        }
        for entries in recovered.captures.into_values() {
            capture.recover(entries);
        }
        let mut process = Self {
            capture,
            journal,
            began,
            number,
            cut_at: now,
            segment: (now - T0) / (4 * SECOND),
            flushed_at: now,
            most_held: 0,
        };
        let streams = process.capture.assembler().streams();
        assert_eq!(streams, 2 * number as u32, "the streams of the process before are known");
        process.take(
            now,
            now,
            Body::Joined(Joined { room_sid: "RM".into(), room_name: "r".into(), resumed: number > 0 }),
        );
        for stream in streams..streams + 2 {
            let sid = format!("TR_{}", stream % 2);
            process.take(
                now,
                now,
                Body::Stream(Stream { stream, track_sid: sid, clock_rate: 48_000, ..Stream::default() }),
            );
        }
        process
    }

    fn take(&mut self, started: i64, at: i64, body: Body) {
        self.capture.take(self.began + Duration::from_nanos((at - started) as u64), body);
    }

    fn packet(&mut self, started: i64, arrival: &Arrival) {
        let Arrival { at, track, n, sent } = *arrival;
        let (sequence, rtp) = TRACKS[track as usize].begins[self.number];
        // 0x78 is the head of an Opus packet of 20 ms.
        let mut payload = vec![0x78, track];
        payload.extend(n.to_le_bytes());
        payload.resize(70, 0);
        let packet = Packet {
            stream: 2 * self.number as u32 + u32::from(track),
            sequence: sequence + u64::from(sent),
            rtp: rtp + u64::from(n) * 960,
            payload: payload.into(),
        };
        self.take(started, at, Body::Packet(packet));
    }

    /// Every two seconds a chunk, every four a segment.
    fn tick(&mut self, started: i64, now: i64, chunks: &mut Vec<Bytes>) {
        if now - self.cut_at >= 2 * SECOND {
            self.cut_at = now;
            if let Some(chunk) = self.capture.cut() {
                assert_eq!(chunk.number as usize, chunks.len());
                self.capture.kept(chunk.before);
                chunks.push(chunk.bytes);
            }
        }
        // The disk goes by real time, of which the whole call takes seconds: it would be thought to stand still.
        if now - self.flushed_at >= 30 * SECOND {
            self.flushed_at = now;
            self.journal.flush().unwrap();
        }
        let Some(zero) = self.capture.assembler().zero() else { return };
        let samples = |segment: i64| segment * 4 * 48_000..(segment + 1) * 4 * 48_000;
        if now >= zero + nanos(samples(self.segment).end) + LIVE.lag {
            let range = samples(self.segment);
            let moment = self.began + Duration::from_nanos((now - started) as u64);
            self.capture.follow_clocks(range.start, moment);
            let sound = self.capture.live_sound(&(range.start - 12_000..range.end));
            assert!(sound.is_some() || self.segment * 4 < KILLED.1 + 8, "segment {} is not in memory", self.segment);
            self.segment += 1;
            self.most_held = self.most_held.max(self.capture.held());
            self.capture.rendered(samples(self.segment).start - 12_000);
        }
    }
}

/// The call: what came, the chunks, and the most that was held in memory.
fn call(folder: &Path) -> (Vec<Arrival>, Vec<Bytes>, usize) {
    let arrivals = arrivals();
    let mut chunks = Vec::new();
    let mut started = T0;
    let mut process = Process::start(folder, 0, started, &[]);
    let (mut is_outage_logged, mut most_held) = (false, 0);
    for arrival in &arrivals {
        let second = (arrival.at - T0) / SECOND;
        if process.number == 0 && second >= KILLED.1 {
            let Process { journal, capture, most_held: held, .. } = process;
            most_held = held;
            drop((capture, journal));
            started = T0 + KILLED.1 * SECOND;
            process = Process::start(folder, 1, started, &chunks);
        }
        if !is_outage_logged && second >= OUTAGE.1 {
            is_outage_logged = true;
            let link = |up, since| Body::Link(Link { up, since, reason: "silence".to_owned() });
            process.take(started, arrival.at, link(false, T0 + OUTAGE.0 * SECOND));
            process.take(started, arrival.at, link(true, arrival.at));
        }
        process.packet(started, arrival);
        process.tick(started, arrival.at, &mut chunks);
    }
    let last = process.capture.cut().unwrap();
    process.capture.kept(last.before);
    chunks.push(last.bytes);
    process.journal.flush().unwrap();
    (arrivals, chunks, most_held.max(process.most_held))
}

fn index(chunks: &[Bytes]) -> Index {
    let mut assembler = Assembler::new(Layout::AgentLeft, LIVE.lag);
    let mut numbers = 0;
    for (number, bytes) in chunks.iter().enumerate() {
        let chunk = chunk::decode(bytes).unwrap();
        assert!(!chunk.is_torn);
        for entry in &chunk.entries {
            assert_eq!(entry.number, numbers, "no entry is missing or doubled");
            numbers += 1;
            assembler.take(entry, number as u32);
        }
    }
    assembler.index().unwrap()
}

/// The packets of the whole call: for each that is heard, which it is and where it lies.
fn heard(index: &Index, chunks: &[Bytes]) -> BTreeMap<(u8, u32), i64> {
    let mut found = BTreeMap::new();
    let window = 60 * 48_000;
    for start in (0..index.samples as i64 + window).step_by(window as usize) {
        let range = start..start + window;
        let numbers = index.chunks_for(&range);
        let packets = numbers.iter().flat_map(|number| chunk::packets(&chunks[*number as usize]).unwrap());
        for packet in index.tracks(packets, &range).iter().flat_map(|track| &track.packets) {
            if range.contains(&packet.start) {
                let n = u32::from_le_bytes(packet.data[2..6].try_into().unwrap());
                let before = found.insert((packet.data[1], n), packet.start);
                assert_eq!(before, None, "packet {n} of track {} is heard twice", packet.data[1]);
            }
        }
    }
    found
}

/// Where the packets lie in Opus, segment by segment, and how many are left out because another one lies at their place.
fn in_opus(index: &Index, chunks: &[Bytes]) -> (BTreeMap<(u8, u32), i64>, usize) {
    let (mut found, mut left_out) = (BTreeMap::new(), 0);
    let end = index.samples as i64;
    let window = 4 * 48_000;
    for start in (0..end).step_by(window as usize) {
        let stretch = voices_stretch(&(start..(start + window).min(end)), end);
        let needed = voices_range(&stretch);
        let numbers = index.chunks_for(&needed);
        let packets = numbers.iter().flat_map(|number| chunk::packets(&chunks[*number as usize]).unwrap());
        for track in index.tracks(packets, &needed) {
            let mut places = BTreeSet::new();
            for packet in on_grid(track, &stretch).packets.iter().filter(|packet| stretch.contains(&packet.start)) {
                let n = u32::from_le_bytes(packet.data[2..6].try_into().unwrap());
                if places.insert(packet.start) {
                    let before = found.insert((packet.data[1], n), packet.start);
                    assert_eq!(before, None, "packet {n} of track {} is heard twice", packet.data[1]);
                } else {
                    left_out += 1;
                }
            }
        }
    }
    (found, left_out)
}

#[test]
fn two_hours_lie_where_they_were_spoken_and_cost_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (arrivals, chunks, most_held) = call(folder.path());
    let index = index(&chunks);
    let heard = heard(&index, &chunks);
    let came: BTreeSet<(u8, u32)> = arrivals.iter().map(|arrival| (arrival.track, arrival.n)).collect();
    assert!(came.iter().eq(heard.keys()), "what came is heard, each once");
    // How long the network takes at least nobody can know.
    let off = |(&(track, n), &start): (&(u8, u32), &i64)| {
        (index.zero + nanos(start) - TRACKS[track as usize].spoken(n)) as f64 / 1e6 - LEAST_DELAY
    };
    let farthest = |places: &BTreeMap<(u8, u32), i64>| {
        let all = || places.iter().map(off);
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
    };
    let (earliest, latest) = farthest(&heard);
    println!(
        "{} of {} packets heard, {earliest:.1} to {latest:.1} ms off; {} chunks; {} KiB held at most",
        heard.len(),
        2 * PACKETS,
        chunks.len(),
        most_held >> 10
    );
    assert!(earliest > -20.0 && latest < 20.0);
    let (in_opus, left_out) = in_opus(&index, &chunks);
    let (earliest, latest) = farthest(&in_opus);
    println!("in Opus {} of them, {left_out} left out, {earliest:.1} to {latest:.1} ms off", in_opus.len());
    assert!(earliest > -20.0 && latest < 20.0);
    // Each track drifts by 0.72 s, 36 places of the grid; one of them backwards, over packets of its own.
    assert!(heard.len() - in_opus.len() < 60 && left_out < 60, "{left_out}");
    assert!(most_held < MOST_HELD, "{most_held} bytes");
    let reasons = |reason| index.gaps.iter().filter(|gap| gap.reason == reason).map(|gap| gap.samples / 48_000).max();
    assert_eq!((reasons("connection_lost"), reasons("recorder_restarted")), (Some(30), Some(3)));
    assert_eq!(index.restarts.len(), 1);
}
