//! Derives from a capture log what was recorded: tracks and their places on the timeline, participants, gaps and the end.

mod hindsight;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use bytes::Bytes;

use super::Layout;
use super::index::PlacedStream;
use super::live::LiveSound;
use super::stream::StreamState;
use crate::clock::{self, Placement, Step};
use crate::log::{Body, Entry, Joined, Packet, Participant, Stream, link};

/// The timeline begins this long before the first packet arrived, so that what was spoken before it but arrived after it has a
/// place, in nanoseconds (200 ms).
const LEAD: i64 = 200_000_000;
/// While somebody speaks, a packet arrives at least this often, including the interval at which we poll the socket, in nanoseconds
/// (200 ms).
const SPEAKING: i64 = 200_000_000;
/// A placement that moves packets by no more than this is not changed, in samples (5 ms).
const MOVED: i64 = 240;

/// The reason that gaps give for a pause.
const PAUSED: &str = "paused";

/// A stretch of wall-clock time in which nothing could be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Away {
    from: i64,
    to: Option<i64>,
    reason: &'static str,
}

impl Away {
    /// Whether nothing reaches us, and that has not ended yet. A pause is different: it ends on request.
    fn is_lost(&self) -> bool {
        self.to.is_none() && self.reason != PAUSED
    }
}

/// A participant's track from which packets were received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedTrack {
    /// LiveKit's track id.
    pub track_sid: String,
    /// The participant's identity; empty when LiveKit never described it.
    pub identity: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `MICROPHONE`, `SCREEN_SHARE_AUDIO`, ...; empty when LiveKit never reported it.
    pub source: String,
    /// From its first sample to one past its last.
    pub samples: Range<i64>,
}

/// Packets of one stream that arrived after their place had been rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Late {
    stream: u32,
    first: u64,
    last: u64,
}

/// Derives from a capture log what was recorded. Its memory grows with events (side gaps, pauses, people) and by a few bytes for
/// each chunk, not with the packets.
#[derive(Debug, Clone, Default)]
pub struct Assembler {
    layout: Layout,
    zero: Option<i64>,
    streams: BTreeMap<u32, StreamState>,
    people: HashMap<String, Participant>,
    /// The source of each track: `MICROPHONE`, ... A participant who has left has no tracks any more.
    sources: HashMap<String, String>,
    away: Vec<Away>,
    restarts: Vec<i64>,
    /// Whether it was taken over from another process and nothing was received since.
    is_taking_over: bool,
    /// Packets that arrived after their place had been rendered.
    late: Vec<Late>,
    last_at: i64,
    /// When the last entry was received that shows that a process was in the room. Placement changes show nothing: the next process
    /// already makes them before it has joined.
    listened_at: i64,
    last_gone: Option<i64>,
    ended: Option<(i64, String)>,
    room: Option<Joined>,
    lag: i64,
}

impl Assembler {
    /// An assembler that has read nothing. Live rendering waits `lag` nanoseconds after the end of a segment: packets that arrive
    /// later than that after their place were not heard live, and their windows are [`super::Index::improved`].
    pub fn new(layout: Layout, lag: i64) -> Self {
        Self { layout, lag, ..Self::default() }
    }

    /// Takes the next entry, which is in this chunk.
    pub fn take(&mut self, entry: &Entry, chunk: u32) {
        let before = self.listened_at;
        self.last_at = self.last_at.max(entry.at);
        if !matches!(entry.body, Some(Body::Placed(_))) {
            self.listened_at = before.max(entry.at);
        }
        match &entry.body {
            Some(Body::Packet(packet)) => self.packet(packet, entry.at, chunk),
            Some(Body::Report(report)) => {
                if let Some(stream) = self.streams.get_mut(&report.stream) {
                    stream.clock.report(report.rtp, report.ntp);
                }
            }
            Some(Body::Stream(stream)) => self.stream(stream),
            Some(Body::Participant(participant)) => self.participant(participant, entry.at),
            Some(Body::Joined(joined)) => self.joined(joined, entry.at, before),
            Some(Body::Pause(pause)) => self.pause(pause.paused, entry.at),
            Some(Body::Link(up)) if up.up => self.back(up.since),
            Some(Body::Link(down)) if down.reason == link::HANDED_OVER => {
                self.leave(self.heard_until(down.since), "recorder_restarted");
            }
            Some(Body::Link(down)) => self.leave(down.since, "connection_lost"),
            Some(Body::Placed(placed)) => {
                if let Some(stream) = self.streams.get_mut(&placed.stream) {
                    stream.live.step(Step { from_rtp: placed.from_rtp, offset: placed.offset });
                }
            }
            Some(Body::Ended(ended)) => self.ended = Some((entry.at, ended.reason.clone())),
            Some(Body::Data(_) | Body::Speakers(_)) | None => {}
        }
    }

    fn packet(&mut self, packet: &Packet, at: i64, chunk: u32) {
        let Some(stream) = self.streams.get_mut(&packet.stream) else { return };
        let (zero, lag) = (*self.zero.get_or_insert(at - LEAD), self.lag);
        let mut late = stream.take(packet, at, chunk);
        late.push(packet.rtp);
        late.retain(|rtp| stream.live.sample(*rtp).is_some_and(|start| at - zero > clock::nanos(start) + lag));
        for rtp in late {
            self.late(packet.stream, rtp);
        }
        if self.is_taking_over {
            self.back(at);
        }
    }

    fn late(&mut self, stream: u32, rtp: u64) {
        match self.late.last_mut() {
            // Packets within a second are noted together; a window is seconds long.
            Some(last) if last.stream == stream && (last.first..last.last.saturating_add(48_000)).contains(&rtp) => {
                last.last = last.last.max(rtp);
            }
            _ => self.late.push(Late { stream, first: rtp, last: rtp }),
        }
    }

    fn stream(&mut self, about: &Stream) {
        self.streams.entry(about.stream).or_insert_with(|| StreamState::new(about));
    }

    fn participant(&mut self, participant: &Participant, at: i64) {
        if participant.gone {
            self.last_gone = Some(at);
        }
        let sources = participant.tracks.iter().map(|track| (track.sid.clone(), track.source.clone()));
        self.sources.extend(sources);
        self.people.insert(participant.sid.clone(), participant.clone());
    }

    /// `before` is when the previous sign of life came.
    fn joined(&mut self, joined: &Joined, at: i64, before: i64) {
        if joined.resumed && self.zero.is_some() {
            self.leave(self.heard_until(before), "recorder_restarted");
            self.restarts.push(at);
            self.is_taking_over = true;
        }
        // Sound needs a connection of its own: the first packet shows when something reaches us again, or the link does, if nobody
        // sends. If the same process rejoins, the link does.
        self.room.get_or_insert_with(|| joined.clone());
    }

    /// Until when a process listened that is known to have been present at this time. If somebody was speaking, the last packet
    /// shows it; what came after it was no longer recorded.
    fn heard_until(&self, there: i64) -> i64 {
        let heard = self.away.iter().filter_map(|away| away.to).fold(self.newest_packet(), i64::max);
        if there - heard < SPEAKING { heard } else { there }
    }

    /// What is spoken reaches us again.
    fn back(&mut self, at: i64) {
        self.is_taking_over = false;
        for away in self.away.iter_mut().filter(|away| away.is_lost()) {
            away.to = Some(at);
        }
    }

    /// Nothing reaches us from here on.
    fn leave(&mut self, from: i64, reason: &'static str) {
        if self.zero.is_some() && !self.away.iter().any(Away::is_lost) {
            self.away.push(Away { from, to: None, reason });
        }
    }

    fn pause(&mut self, paused: bool, at: i64) {
        let open = self.away.iter_mut().find(|away| away.to.is_none() && away.reason == PAUSED);
        match (paused, open) {
            (true, None) => self.away.push(Away { from: at, to: None, reason: PAUSED }),
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

    /// How many streams there were; the next one gets this number.
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

    /// The participant whose track a stream is, if LiveKit described them.
    pub fn publisher(&self, stream: u32) -> Option<&Participant> {
        self.people.get(&self.streams.get(&stream)?.about.participant_sid)
    }

    /// The tracks from which packets were received, in the order in which they began, as placed by [`Assembler::index`]. A track
    /// received over several streams (its publisher or we reconnected) is one.
    pub fn received_tracks(&self) -> Vec<ReceivedTrack> {
        let Some(index) = self.index() else { return Vec::new() };
        let end = i64::try_from(index.samples).unwrap_or(clock::LONGEST);
        let mut tracks: Vec<ReceivedTrack> = Vec::new();
        for placed in &index.streams {
            let (Some(stream), Some(placement)) = (self.streams.get(&placed.stream), &placed.placement) else {
                continue;
            };
            let Some(samples) = stream.samples(placement, index.zero) else { continue };
            let samples = samples.start.clamp(0, end)..samples.end.clamp(0, end);
            if let Some(known) = tracks.iter_mut().find(|track| track.track_sid == stream.about.track_sid) {
                known.samples = known.samples.start.min(samples.start)..known.samples.end.max(samples.end);
                continue;
            }
            let person = self.people.get(&stream.about.participant_sid);
            tracks.push(ReceivedTrack {
                track_sid: stream.about.track_sid.clone(),
                identity: person.map(|person| person.identity.clone()).unwrap_or_default(),
                kind: stream.about.kind.clone(),
                source: self.sources.get(&stream.about.track_sid).cloned().unwrap_or_default(),
                samples,
            });
        }
        tracks.sort_by_key(|track| track.samples.start);
        tracks
    }

    /// Why the capture ended; `None` if its end was not logged.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_ref().map(|(_, reason)| reason.as_str())
    }

    /// When the last entry was received.
    pub fn last_at(&self) -> i64 {
        self.last_at
    }

    /// The current placement of the streams, for what was not rendered before `sample`. Returns the changes, which belong in the
    /// log as [`Body::Placed`].
    pub fn follow_clocks(&self, sample: i64) -> Vec<crate::log::Placed> {
        let Some(zero) = self.zero else { return Vec::new() };
        let mut changes = Vec::new();
        for (&number, stream) in self.streams.iter().filter(|(_, stream)| !stream.runs.is_empty()) {
            let now = stream.clock.placement_so_far(zero);
            let (from, newest) = match stream.live.steps.last() {
                None => (0, stream.newest_rtp),
                Some(last) => (u64::try_from(sample - last.offset).unwrap_or(0), stream.newest_rtp),
            };
            if newest < from || (!stream.live.steps.is_empty() && stream.live.difference(&now, from, newest) <= MOVED) {
                continue;
            }
            let steps = stream.live.changes_to(&stream.live.followed_by(&now, from));
            changes.extend(steps.into_iter().map(|step| crate::log::Placed {
                stream: number,
                from_rtp: step.from_rtp,
                offset: step.offset,
            }));
        }
        changes
    }

    /// The sound of some chunks, as placed by live rendering.
    pub fn live_sound(&self, chunks: Vec<Bytes>) -> LiveSound {
        let streams = self.streams.values().map(|stream| self.placed(stream, stream.live.clone()));
        LiveSound { streams: streams.collect(), chunks }
    }

    /// The chunks needed for a range of samples, as placed by live rendering, in order.
    pub fn live_chunks(&self, samples: &Range<i64>) -> Vec<u32> {
        let streams = self.streams.values();
        let found: BTreeSet<u32> = streams.flat_map(|stream| stream.chunks_for(&stream.live, samples)).collect();
        found.into_iter().collect()
    }

    /// The first chunk that something is in from a sample on, as placed by live rendering, or of a stream that is not placed yet.
    pub(crate) fn first_live_chunk(&self, from: i64) -> Option<u32> {
        self.streams.values().filter_map(|stream| stream.first_chunk(&stream.live, from)).min()
    }

    /// About how much memory this takes, in bytes, without participants.
    pub fn held(&self) -> usize {
        let late = self.late.capacity() * size_of::<Late>();
        self.streams.values().map(StreamState::held).sum::<usize>() + late
    }

    fn placed(&self, stream: &StreamState, placement: Placement) -> PlacedStream {
        let agent = self.is_agent(&stream.about.participant_sid);
        let mix = self.layout == Layout::Mix;
        PlacedStream {
            stream: stream.about.stream,
            track_sid: stream.about.track_sid.clone(),
            participant_sid: stream.about.participant_sid.clone(),
            left: mix || agent,
            right: mix || !agent,
            placement: Some(placement),
            dropped: stream.dropped(),
        }
    }

    fn is_agent(&self, participant_sid: &str) -> bool {
        self.people.get(participant_sid).is_some_and(|person| person.kind == "AGENT")
    }
}
