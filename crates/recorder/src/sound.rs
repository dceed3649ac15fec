//! From the capture log to the recording's timeline: which packets are heard where, and what is missing.
//!
//! [`Assembler`] reads the log in its order, live or afterwards, and knows at any moment what it amounts to. [`Index`] is
//! that knowledge in a form that is kept: with it, any window can be rendered from the chunks that it names.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use echosphere_media::ogg::packet_duration;
use echosphere_media::tracks::{Channel, PlacedPacket, Track};
use prost::Message as _;

use crate::clock::{self, Clock, Placement, Step};
use crate::log::{Body, Entry, Joined, Packet, Participant, Stream};

/// The timeline begins this long before the first packet arrived, so that what was spoken before it but came behind it has a
/// place (200 ms).
const LEAD: i64 = 200_000_000;
/// Packets are rendered where they were once they moved less than this, in samples (5 ms).
const MOVED: i64 = 240;
/// A hole in the sequence numbers that lasts shorter is concealed and not worth a mention (100 ms).
const SHORTEST_GAP: i64 = 4_800;
/// The packet that LiveKit sends when a track is muted or closed (livekit-server, pkg/sfu, `OpusSilenceFrame`).
const SERVER_SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];
/// A recording is cut here (48 h): what lies further was not measured but made up.
pub const LONGEST: i64 = 48 * 3600 * 48_000;

/// Who is heard where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// Agents on the left, everybody else on the right.
    #[default]
    AgentLeft,
    /// Everybody on both sides.
    Mix,
}

/// A stretch of which something is missing.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Gap {
    /// Its first sample.
    #[prost(int64, tag = "1")]
    pub start: i64,
    /// Its length in samples.
    #[prost(int64, tag = "2")]
    pub samples: i64,
    /// Why: `packets_lost`, `connection_lost`, `recorder_restarted`, `paused`.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// A stream with its place on the timeline.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PlacedStream {
    /// Its number in the log.
    #[prost(uint32, tag = "1")]
    pub stream: u32,
    /// LiveKit's track id.
    #[prost(string, tag = "2")]
    pub track_sid: String,
    /// LiveKit's participant id.
    #[prost(string, tag = "3")]
    pub participant_sid: String,
    /// Whether it is heard on the left.
    #[prost(bool, tag = "4")]
    pub left: bool,
    /// Whether it is heard on the right.
    #[prost(bool, tag = "5")]
    pub right: bool,
    /// Where its packets lie.
    #[prost(message, optional, tag = "6")]
    pub placement: Option<Placement>,
}

/// The samples that the packets of a chunk cover; empty when it has none.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Extent {
    /// The first sample.
    #[prost(sint64, tag = "1")]
    pub start: i64,
    /// The sample behind the last.
    #[prost(sint64, tag = "2")]
    pub end: i64,
}

/// What is kept beside a capture log: where its sound lies.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Index {
    /// The wall-clock time of sample 0: nanoseconds since the Unix epoch.
    #[prost(sfixed64, tag = "1")]
    pub zero: i64,
    /// The length in samples of 48 kHz.
    #[prost(uint64, tag = "2")]
    pub samples: u64,
    /// The streams.
    #[prost(message, repeated, tag = "3")]
    pub streams: Vec<PlacedStream>,
    /// What each chunk covers.
    #[prost(message, repeated, tag = "4")]
    pub chunks: Vec<Extent>,
    /// What is missing.
    #[prost(message, repeated, tag = "5")]
    pub gaps: Vec<Gap>,
    /// Samples at which another process took over.
    #[prost(int64, repeated, tag = "6")]
    pub restarts: Vec<i64>,
    /// Windows (ranges of samples) that live rendering made of less, or placed otherwise.
    #[prost(message, repeated, tag = "7")]
    pub improved: Vec<Extent>,
}

const MAGIC: &[u8; 4] = b"ESR1";

impl Index {
    /// The index as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        self.encode_raw(&mut out);
        out
    }

    /// Takes back what [`Index::to_bytes`] made; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let index = Self::decode(bytes.strip_prefix(MAGIC)?).ok()?;
        (index.samples <= LONGEST as u64).then_some(index)
    }

    /// The chunks that a range of samples needs, by number.
    pub fn chunks_for(&self, samples: &Range<i64>) -> Vec<u32> {
        let overlaps = |extent: &Extent| extent.start < samples.end && extent.end > samples.start;
        let chunks = self.chunks.iter().enumerate().filter(|(_, extent)| overlaps(extent));
        chunks.map(|(number, _)| number as u32).collect()
    }

    /// The tracks of a range of samples, from the entries of its chunks.
    pub fn tracks<'e>(&self, entries: impl IntoIterator<Item = &'e Entry>, samples: &Range<i64>) -> Vec<Track> {
        tracks(&self.streams, entries, samples)
    }
}

/// Sorts packets into tracks.
fn tracks<'e>(
    streams: &[PlacedStream],
    entries: impl IntoIterator<Item = &'e Entry>,
    samples: &Range<i64>,
) -> Vec<Track> {
    let mut found: BTreeMap<u32, BTreeMap<u64, &Packet>> = BTreeMap::new();
    for entry in entries {
        if let Some(Body::Packet(packet)) = &entry.body {
            found.entry(packet.stream).or_default().entry(packet.sequence).or_insert(packet);
        }
    }
    let tracks = found.into_iter().filter_map(|(number, packets)| {
        let stream = streams.iter().find(|stream| stream.stream == number)?;
        let channel = match (stream.left, stream.right) {
            (true, true) => Channel::Both,
            (true, false) => Channel::Left,
            (false, true) => Channel::Right,
            (false, false) => return None,
        };
        let packets = place(stream.placement.as_ref()?, packets.into_values(), samples);
        (!packets.is_empty()).then_some(Track { channel, packets })
    });
    tracks.collect()
}

fn place<'p>(
    placement: &Placement,
    packets: impl Iterator<Item = &'p Packet>,
    samples: &Range<i64>,
) -> Vec<PlacedPacket> {
    let mut placed = Vec::new();
    let mut before: Option<u64> = None;
    for packet in packets {
        let after_loss = before.is_some_and(|before| packet.sequence > before + 1);
        before = Some(packet.sequence);
        let (Some(start), Some(length)) = (placement.sample(packet.rtp), packet_duration(&packet.payload)) else {
            continue;
        };
        if start < samples.end && start + i64::from(length) > samples.start {
            placed.push(PlacedPacket { start, samples: length, after_loss, data: packet.payload.clone() });
        }
    }
    placed
}

/// A run of sequence numbers without a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    end: u64,
    start_rtp: u64,
    end_rtp: u64,
}

#[derive(Debug, Clone)]
struct StreamState {
    about: Stream,
    clock: Clock,
    /// What live rendering used.
    live: Placement,
    runs: BTreeMap<u64, Run>,
    newest_rtp: u64,
    newest_at: i64,
}

impl StreamState {
    fn take(&mut self, packet: &Packet, at: i64) {
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
    fn losses(&self, placement: &Placement) -> Vec<Range<i64>> {
        let runs: Vec<Run> = self.runs.values().copied().collect();
        let holes = runs
            .windows(2)
            .filter_map(|pair| Some(placement.sample(pair[0].end_rtp)?..placement.sample(pair[1].start_rtp)?));
        holes.filter(|hole| hole.end - hole.start >= SHORTEST_GAP).collect()
    }
}

/// A stretch of wall-clock time in which nothing could be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Away {
    from: i64,
    to: Option<i64>,
    reason: &'static str,
}

/// Reads a capture log and knows what it amounts to.
#[derive(Debug, Clone, Default)]
pub struct Assembler {
    layout: Layout,
    zero: Option<i64>,
    streams: BTreeMap<u32, StreamState>,
    people: HashMap<String, Participant>,
    /// For each chunk the lowest and highest RTP time of each stream's packets.
    chunks: Vec<HashMap<u32, (u64, u64)>>,
    away: Vec<Away>,
    restarts: Vec<i64>,
    /// Packets that came when their place had been rendered: the RTP time, by stream.
    late: Vec<(u32, u64)>,
    last_at: i64,
    last_gone: Option<i64>,
    ended: Option<(i64, String)>,
    room: Option<Joined>,
    /// How long live rendering waits behind the end of a segment, in nanoseconds.
    lag: Option<i64>,
}

impl Assembler {
    /// An assembler that has read nothing.
    pub fn new(layout: Layout) -> Self {
        Self { layout, ..Self::default() }
    }

    /// Packets that come later than this behind their place (in nanoseconds) were not heard live: their windows are
    /// [`Index::improved`].
    pub fn rendered_live(&mut self, lag: i64) {
        self.lag = Some(lag);
    }

    /// Takes the next entry, which lies in this chunk.
    pub fn take(&mut self, entry: &Entry, chunk: u32) {
        self.last_at = self.last_at.max(entry.at);
        match &entry.body {
            Some(Body::Packet(packet)) => self.packet(packet, entry.at, chunk),
            Some(Body::Report(report)) => {
                if let Some(stream) = self.streams.get_mut(&report.stream) {
                    stream.clock.report(report.rtp, report.ntp);
                }
            }
            Some(Body::Stream(stream)) => self.stream(stream),
            Some(Body::Participant(participant)) => self.participant(participant, entry.at),
            Some(Body::Joined(joined)) => self.joined(joined, entry.at),
            Some(Body::Pause(pause)) => self.pause(pause.paused, entry.at),
            Some(Body::Link(link)) if link.up => self.back(link.since),
            Some(Body::Link(link)) => self.leave(link.since, "connection_lost"),
            Some(Body::Placed(placed)) => {
                if let Some(stream) = self.streams.get_mut(&placed.stream) {
                    stream.live.steps.push(Step { from_rtp: placed.from_rtp, offset: placed.offset });
                }
            }
            Some(Body::Ended(ended)) => self.ended = Some((entry.at, ended.reason.clone())),
            Some(Body::Data(_) | Body::Speakers(_)) | None => {}
        }
    }

    fn packet(&mut self, packet: &Packet, at: i64, chunk: u32) {
        let Some(stream) = self.streams.get_mut(&packet.stream) else { return };
        self.zero.get_or_insert(at - LEAD);
        stream.take(packet, at);
        if let (Some(lag), Some(zero)) = (self.lag, self.zero)
            && let Some(start) = stream.live.sample(packet.rtp)
            && at - zero > start * 62_500 / 3 + lag
        {
            self.late.push((packet.stream, packet.rtp));
        }
        let number = chunk as usize;
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, HashMap::new);
        }
        let extent = self.chunks[number].entry(packet.stream).or_insert((packet.rtp, packet.rtp));
        *extent = (extent.0.min(packet.rtp), extent.1.max(packet.rtp));
    }

    fn stream(&mut self, about: &Stream) {
        let state = StreamState {
            about: about.clone(),
            clock: Clock::default(),
            live: Placement::default(),
            runs: BTreeMap::new(),
            newest_rtp: 0,
            newest_at: 0,
        };
        self.streams.entry(about.stream).or_insert(state);
    }

    fn participant(&mut self, participant: &Participant, at: i64) {
        if participant.gone {
            self.last_gone = Some(at);
        }
        self.people.insert(participant.sid.clone(), participant.clone());
    }

    fn joined(&mut self, joined: &Joined, at: i64) {
        if joined.resumed && self.zero.is_some() {
            self.leave(self.newest_packet(), "recorder_restarted");
            self.restarts.push(at);
        }
        self.back(at);
        self.room.get_or_insert_with(|| joined.clone());
    }

    /// What is spoken reaches us again.
    fn back(&mut self, at: i64) {
        for away in self.away.iter_mut().filter(|away| away.to.is_none() && away.reason != "paused") {
            away.to = Some(at);
        }
    }

    /// Nothing reaches us from here on.
    fn leave(&mut self, from: i64, reason: &'static str) {
        if self.zero.is_some() && self.away.iter().all(|away| away.to.is_some() || away.reason == "paused") {
            self.away.push(Away { from, to: None, reason });
        }
    }

    fn pause(&mut self, paused: bool, at: i64) {
        let open = self.away.iter_mut().find(|away| away.to.is_none() && away.reason == "paused");
        match (paused, open) {
            (true, None) => self.away.push(Away { from: at, to: None, reason: "paused" }),
            (false, Some(open)) => open.to = Some(at),
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn newest_packet(&self) -> i64 {
        self.streams.values().map(|stream| stream.newest_at).max().unwrap_or(self.last_at)
    }

    /// The wall-clock time of sample 0, once there was a packet.
    pub fn zero(&self) -> Option<i64> {
        self.zero
    }

    /// The room, once it was joined.
    pub fn room(&self) -> Option<&Joined> {
        self.room.as_ref()
    }

    /// How many streams there were; the next one has this number.
    pub fn streams(&self) -> u32 {
        self.streams.keys().next_back().map_or(0, |last| last + 1)
    }

    /// How often another process took over before this sample.
    pub fn restarts_before(&self, sample: i64) -> u32 {
        let Some(zero) = self.zero else { return 0 };
        let at = |wall: i64| clock::samples(wall.saturating_sub(zero));
        self.restarts.iter().filter(|restart| at(**restart) <= sample).count() as u32
    }

    /// Everybody who took part.
    pub fn people(&self) -> impl Iterator<Item = &Participant> {
        self.people.values()
    }

    /// Whether the end was logged, and why it came.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_ref().map(|(_, reason)| reason.as_str())
    }

    /// When the last entry came.
    pub fn last_at(&self) -> i64 {
        self.last_at
    }

    /// The stretches of wall-clock time that were paused.
    pub fn pauses(&self) -> Vec<Range<i64>> {
        let pauses = self.away.iter().filter(|away| away.reason == "paused");
        pauses.map(|away| away.from..away.to.unwrap_or(i64::MAX)).collect()
    }

    /// What the streams' clocks say now, for what was not rendered before `sample`. Returns the changes, which belong into
    /// the log as [`Body::Placed`].
    pub fn follow_clocks(&self, sample: i64) -> Vec<crate::log::Placed> {
        let Some(zero) = self.zero else { return Vec::new() };
        let mut changes = Vec::new();
        for (&number, stream) in self.streams.iter().filter(|(_, stream)| !stream.runs.is_empty()) {
            let now = stream.clock.placement(zero);
            let (from, newest) = match stream.live.steps.last() {
                None => (0, stream.newest_rtp),
                Some(last) => (u64::try_from(sample - last.offset).unwrap_or(0), stream.newest_rtp),
            };
            if newest < from || (!stream.live.steps.is_empty() && stream.live.difference(&now, from, newest) <= MOVED) {
                continue;
            }
            let known = stream.live.steps.len();
            let followed = stream.live.followed_by(&now, from);
            let new = followed.steps.iter().skip(known.min(followed.steps.len()));
            changes.extend(new.map(|step| crate::log::Placed {
                stream: number,
                from_rtp: step.from_rtp,
                offset: step.offset,
            }));
        }
        changes
    }

    /// The streams as live rendering has them.
    pub fn live_tracks<'e>(&self, entries: impl IntoIterator<Item = &'e Entry>, samples: &Range<i64>) -> Vec<Track> {
        let streams: Vec<PlacedStream> =
            self.streams.values().map(|stream| self.placed(stream, stream.live.clone())).collect();
        tracks(&streams, entries, samples)
    }

    fn placed(&self, stream: &StreamState, placement: Placement) -> PlacedStream {
        let agent = self.people.get(&stream.about.participant_sid).is_some_and(|person| person.kind == "AGENT");
        let mix = self.layout == Layout::Mix;
        PlacedStream {
            stream: stream.about.stream,
            track_sid: stream.about.track_sid.clone(),
            participant_sid: stream.about.participant_sid.clone(),
            left: mix || agent,
            right: mix || !agent,
            placement: Some(placement),
        }
    }

    /// What the log amounts to; `None` when no packet came.
    pub fn index(&self) -> Option<Index> {
        let zero = self.zero?;
        let mut index = Index { zero, ..Index::default() };
        let mut end = 0;
        for stream in self.streams.values().filter(|stream| !stream.runs.is_empty()) {
            let hindsight = stream.clock.placement(zero);
            let span = stream
                .runs
                .values()
                .fold((u64::MAX, 0), |(from, to), run| (from.min(run.start_rtp), to.max(run.end_rtp)));
            // What was heard live stays where it was, unless hindsight knows much better.
            let keep = !stream.live.steps.is_empty() && stream.live.difference(&hindsight, span.0, span.1) <= MOVED;
            if !keep && !stream.live.steps.is_empty() {
                index.improved.push(Extent { start: 0, end: LONGEST });
            }
            let placement = if keep { stream.live.clone() } else { hindsight };
            end = end.max(placement.sample(span.1).unwrap_or(0));
            index.gaps.extend(stream.losses(&placement).into_iter().map(|hole| gap(&hole, "packets_lost")));
            let late = self.late.iter().filter(|(number, _)| *number == stream.about.stream);
            index.improved.extend(late.filter_map(|(_, rtp)| {
                let start = placement.sample(*rtp)?;
                Some(Extent { start, end: start + 5_760 })
            }));
            index.streams.push(self.placed(stream, placement));
        }
        let at = |wall: i64| clock::samples(wall.saturating_sub(zero));
        end = end.max(self.natural_end().map_or(0, at)).clamp(0, LONGEST);
        index.samples = end as u64;
        index.chunks = self.chunks.iter().map(|chunk| extent(chunk, &index.streams)).collect();
        let away = self.away.iter().map(|away| gap(&(at(away.from)..away.to.map_or(end, at)), away.reason));
        index.gaps.extend(away);
        index.restarts = self.restarts.iter().map(|&wall| at(wall)).collect();
        tidy(&mut index, end);
        Some(index)
    }

    /// When the conversation ended, apart from its last packet: when the last one left, or when we stopped.
    fn natural_end(&self) -> Option<i64> {
        let everybody_left = self.people.values().all(|person| person.gone);
        match &self.ended {
            Some((at, reason)) if reason == "stopped" => Some(*at),
            _ if everybody_left => self.last_gone,
            _ => None,
        }
    }
}

fn gap(range: &Range<i64>, reason: &str) -> Gap {
    Gap { start: range.start, samples: range.end - range.start, reason: reason.to_owned() }
}

fn extent(chunk: &HashMap<u32, (u64, u64)>, streams: &[PlacedStream]) -> Extent {
    let mut extent = Extent { start: i64::MAX, end: i64::MIN };
    for (number, (first, last)) in chunk {
        let stream = streams.iter().find(|stream| stream.stream == *number);
        let placement = stream.and_then(|stream| stream.placement.as_ref());
        if let Some((first, last)) = placement.and_then(|p| Some((p.sample(*first)?, p.sample(*last)?))) {
            // The longest packet is 120 ms; a step of the clock may lie between two packets.
            extent.start = extent.start.min(first - 5_760);
            extent.end = extent.end.max(last + 2 * 5_760);
        }
    }
    if extent.start > extent.end { Extent::default() } else { extent }
}

/// Gaps inside the sound only, in order; what another gap explains is not told twice.
fn tidy(index: &mut Index, end: i64) {
    index.gaps.retain_mut(|gap| {
        let (start, until) = (gap.start.clamp(0, end), (gap.start + gap.samples).clamp(0, end));
        (gap.start, gap.samples) = (start, until - start);
        gap.samples > 0
    });
    let told = index.gaps.clone();
    let inside = |gap: &Gap, other: &Gap| {
        other.reason != "packets_lost"
            && other.start <= gap.start + 9_600
            && other.start + other.samples + 9_600 >= gap.start + gap.samples
    };
    index.gaps.retain(|gap| gap.reason != "packets_lost" || !told.iter().any(|other| inside(gap, other)));
    index.gaps.sort_by_key(|gap| (gap.start, gap.samples));
    index.gaps.dedup();
    index.improved.sort_by_key(|extent| extent.start);
    index.improved.dedup_by(|next, before| {
        let joins = next.start <= before.end;
        if joins {
            before.end = before.end.max(next.end);
        }
        joins
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Ended, Pause};

    const MS: i64 = 1_000_000;
    const T0: i64 = 1_795_439_500_000 * MS;

    /// A log of one track: a packet every 20 ms, each 5 ms on its way.
    struct Log {
        assembler: Assembler,
        entries: Vec<Entry>,
    }

    impl Log {
        fn new() -> Self {
            let mut log = Self { assembler: Assembler::new(Layout::AgentLeft), entries: Vec::new() };
            let stream =
                Stream { stream: 0, track_sid: "TR".into(), participant_sid: "PA".into(), ..Stream::default() };
            log.take(T0, Body::Stream(stream));
            log
        }

        fn take(&mut self, at: i64, body: Body) {
            let entry = Entry { number: self.entries.len() as u64, at, body: Some(body) };
            self.assembler.take(&entry, 0);
            self.entries.push(entry);
        }

        fn packet(&mut self, number: u64, at: i64, payload: &[u8]) {
            let packet = Packet { stream: 0, sequence: number, rtp: number * 960, payload: payload.to_vec() };
            self.take(at, Body::Packet(packet));
        }

        fn packets(&mut self, numbers: Range<u64>) {
            for number in numbers {
                self.packet(number, T0 + number as i64 * 20 * MS + 5 * MS, &[0x78, 1, 2]);
            }
        }
    }

    fn gaps(index: &Index) -> Vec<(&str, i64, i64)> {
        index.gaps.iter().map(|gap| (gap.reason.as_str(), gap.start / 48, gap.samples / 48)).collect()
    }

    #[test]
    fn packets_lie_where_they_were_spoken_whatever_the_server_adds_in_the_end() {
        let mut log = Log::new();
        log.packets(0..500);
        // The server's own silence comes all at once, with times of the future.
        for number in 500..510 {
            log.packet(number, T0 + 500 * 20 * MS, &[0xf8, 0xff, 0xfe]);
        }
        let index = log.assembler.index().unwrap();
        let placement = index.streams[0].placement.as_ref().unwrap();
        // 200 ms of lead before the arrival of the first packet.
        assert_eq!(placement.sample(0), Some(9_600));
        assert_eq!(placement.sample(960 * 499), Some(9_600 + 960 * 499));
        assert_eq!(gaps(&index), []);
        let tracks = index.tracks(&log.entries, &(48_000..96_000));
        assert_eq!((tracks.len(), tracks[0].channel), (1, Channel::Right));
        assert!(tracks[0].packets.windows(2).all(|pair| pair[0].start + 960 == pair[1].start));
        assert_eq!(index.chunks_for(&(0..48_000)), [0]);
        assert_eq!(Index::from_bytes(&index.to_bytes()), Some(index));
    }

    #[test]
    fn what_is_missing_is_told_once_and_why() {
        let mut log = Log::new();
        log.packets(0..100);
        log.packets(250..300);
        log.take(T0 + 6_000 * MS, Body::Pause(Pause { paused: true }));
        log.take(T0 + 8_000 * MS, Body::Pause(Pause { paused: false }));
        log.packets(400..450);
        log.take(T0 + 9_000 * MS, Body::Ended(Ended { reason: "stopped".into() }));
        let index = log.assembler.index().unwrap();
        assert_eq!(gaps(&index), [("packets_lost", 2_200, 3_000), ("paused", 6_195, 2_000)]);
        assert_eq!(index.samples / 48, 9_200, "the last packet ends behind the stop");
    }

    #[test]
    fn a_lost_packet_that_came_again_is_no_loss_and_doubles_are_one() {
        let mut log = Log::new();
        log.packets(0..50);
        log.packets(60..100);
        log.packets(45..60);
        let index = log.assembler.index().unwrap();
        assert_eq!(gaps(&index), []);
        let tracks = index.tracks(&log.entries, &(0..200_000));
        assert_eq!(tracks[0].packets.len(), 100);
        assert!(tracks[0].packets.iter().all(|packet| !packet.after_loss));
    }
}
