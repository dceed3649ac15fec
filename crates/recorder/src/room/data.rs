//! Filters a room's data messages: keeps transcriptions, chat and DTMF, but nothing of excluded participants and nothing of a
//! pause.

mod lines;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::data_stream::{Chunk, Header, header::ContentHeader};

use self::lines::{Line, Lines};
use super::people::People;
use crate::room_transcript::{Heading, MOST_OPEN};

/// The longest message that is kept, in bytes.
const LONGEST: usize = 256 * 1024;

/// How much of one stream is kept, in bytes of its messages: more than half an hour of speech, sent word by word. A stream that
/// never ends costs the log no more than that.
const LONGEST_STREAM: usize = 1 << 20;

/// A speech recogniser that sends only complete lines sends one this long after it was spoken, at most. Within this time after a
/// pause, such a line may be of the pause.
const TOLD_LATE: Duration = Duration::from_secs(3);

/// A speech recogniser that sends a line while it is being spoken does so this long after the words, at most. A line that it first
/// sends within this time after a pause may have begun in the pause.
const TOLD_AT_ONCE: Duration = Duration::from_secs(1);

/// A stream that is being kept.
#[derive(Debug)]
struct Open {
    since: Instant,
    line: Line,
    /// The size of its messages so far.
    bytes: usize,
}

/// What a message is judged by, besides its content.
struct Circumstances<'p> {
    at: Instant,
    paused: bool,
    people: &'p People,
    bytes: usize,
}

impl Circumstances<'_> {
    /// Whether nothing of this line may be kept now.
    fn forbid(&self, line: &Line) -> bool {
        self.paused || line.is_left_out(self.people)
    }
}

/// Decides for each message whether it is kept.
#[derive(Debug, Default)]
pub struct Filter {
    admitted: HashMap<String, Open>,
    /// Lines of which something arrived when it was not to be kept: their final text may arrive when it would be.
    withheld: Lines,
    /// When the last pause ended.
    resumed: Option<Instant>,
    /// When participants who had been excluded were admitted again, by identity.
    let_in: HashMap<String, Instant>,
    /// Users' lines that arrived while they were being spoken, since the last pause.
    begun: Lines,
    /// The last reliable message of each participant, which a resumed connection has to name.
    pub sequences: HashMap<String, u32>,
}

impl Filter {
    /// A pause ended. What was being said when it began went on during it.
    pub fn resumed(&mut self, at: Instant) {
        self.resumed = Some(at);
        self.withheld.take_over(&mut self.begun, None);
    }

    /// A participant is no longer excluded.
    pub fn let_in(&mut self, identity: &str, at: Instant) {
        self.let_in.insert(identity.to_owned(), at);
        self.withheld.take_over(&mut self.begun, Some(identity));
    }

    /// The connection, which was lost at `lost`, is back. The server now sends what it could not send meanwhile.
    pub fn reconnected(&mut self, lost: Instant, at: Instant) {
        if self.resumed.is_some_and(|resumed| resumed >= lost) {
            self.resumed(at);
        }
        for since in self.let_in.values_mut().filter(|since| **since >= lost) {
            *since = at;
        }
    }

    /// The message that arrived at this moment, if it is to be kept.
    pub fn admit(&mut self, at: Instant, bytes: &[u8], paused: bool, people: &People) -> Option<Vec<u8>> {
        let packet = proto::DataPacket::decode(bytes).ok()?;
        if packet.sequence > 0 {
            let last = self.sequences.entry(packet.participant_sid.clone()).or_default();
            if packet.sequence <= *last {
                return None;
            }
            *last = packet.sequence;
        }
        let now = Circumstances { at, paused, people, bytes: bytes.len() };
        (bytes.len() <= LONGEST && self.is_wanted(&packet, &now)).then(|| bytes.to_vec())
    }

    fn is_wanted(&mut self, packet: &proto::DataPacket, now: &Circumstances<'_>) -> bool {
        let sender = packet.participant_identity.as_str();
        match &packet.value {
            Some(Value::StreamHeader(header)) => self.header(header, sender, now),
            Some(Value::StreamChunk(chunk)) => self.chunk(chunk, now),
            Some(Value::StreamTrailer(trailer)) => {
                self.admitted.remove(&trailer.stream_id).is_some_and(|open| !open.line.is_left_out(now.people))
            }
            Some(Value::Transcription(transcription)) => self.legacy(transcription, now),
            Some(Value::ChatMessage(_) | Value::SipDtmf(_)) => !now.paused && !now.people.is_identity_excluded(sender),
            _ => false,
        }
    }

    /// Admits only what is read later: an agent's streams on other topics carry everybody's words without saying whose they are.
    fn header(&mut self, header: &Header, sender: &str, now: &Circumstances<'_>) -> bool {
        let is_text = matches!(&header.content_header, Some(ContentHeader::TextHeader(_)));
        let Some(heading) = Heading::of(header).filter(|_| is_text) else { return false };
        let line = Line::new(sender, heading.track, heading.segment, now.people);
        let wanted =
            if heading.is_spoken { self.may_be_told(&line, heading.is_final, now) } else { !now.forbid(&line) };
        if wanted && header.inline_content.is_none() {
            self.open(&header.stream_id, line, now);
        }
        wanted
    }

    /// When too many are open, the oldest one counts as broken off, as it does for readers of the log.
    fn open(&mut self, stream: &str, line: Line, now: &Circumstances<'_>) {
        let oldest = self.admitted.iter().min_by_key(|(_, open)| open.since).map(|(id, _)| id.clone());
        if let Some(oldest) = oldest.filter(|_| self.admitted.len() >= MOST_OPEN) {
            self.admitted.remove(&oldest);
        }
        self.admitted.insert(stream.to_owned(), Open { since: now.at, line, bytes: now.bytes });
    }

    fn chunk(&mut self, chunk: &Chunk, now: &Circumstances<'_>) -> bool {
        let Some(open) = self.admitted.get_mut(&chunk.stream_id) else { return false };
        open.bytes += now.bytes;
        let is_forbidden = now.forbid(&open.line);
        let goes_on = !is_forbidden && open.bytes <= LONGEST_STREAM && !self.withheld.contains(&open.line);
        if !goes_on
            && let Some(cut) = self.admitted.remove(&chunk.stream_id)
            && is_forbidden
        {
            self.withheld.insert(cut.line);
        }
        goes_on
    }

    fn legacy(&mut self, told: &proto::Transcription, now: &Circumstances<'_>) -> bool {
        let track = Some(told.track_id.as_str());
        let mut wanted = true;
        for segment in &told.segments {
            let line = Line::new(&told.transcribed_participant_identity, track, &segment.id, now.people);
            wanted &= self.may_be_told(&line, segment.r#final, now);
        }
        wanted
    }

    /// Whether what arrives of a spoken line now may be kept. Lines that may not are remembered, since more of them may follow.
    fn may_be_told(&mut self, line: &Line, is_final: bool, now: &Circumstances<'_>) -> bool {
        if now.forbid(line) || self.may_be_of_pause(line, is_final, now) {
            self.withheld.insert(line.clone());
        }
        !self.withheld.contains(line)
    }

    /// Whether a line may have been spoken in the pause that has just ended: a user's line that first arrived complete, or so soon
    /// after the pause that it began there.
    fn may_be_of_pause(&mut self, line: &Line, is_final: bool, now: &Circumstances<'_>) -> bool {
        if line.is_agents(now.people) || self.begun.contains(line) {
            return false;
        }
        let open_since = self.resumed.max(self.let_in.get(&line.owner).copied());
        let late = if is_final { TOLD_LATE } else { TOLD_AT_ONCE };
        let may_be = open_since.is_some_and(|since| now.at.saturating_duration_since(since) < late);
        if !may_be && !is_final {
            self.begun.insert(line.clone());
        }
        may_be
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::people::Exclusions;
    use std::collections::{BTreeMap, HashSet};

    fn header(id: &str, segment: &str, identity: &str) -> Vec<u8> {
        told(id, segment, identity, "true")
    }

    fn told(id: &str, segment: &str, identity: &str, is_final: &str) -> Vec<u8> {
        of_track(id, segment, identity, is_final, None)
    }

    fn of_track(id: &str, segment: &str, identity: &str, is_final: &str, track: Option<&str>) -> Vec<u8> {
        let attributes = [("lk.segment_id", segment), ("lk.transcription_final", is_final)];
        let track = track.map(|track| ("lk.transcribed_track_id", track));
        let attributes = attributes.into_iter().chain(track);
        let header = Header {
            stream_id: id.to_owned(),
            topic: "lk.transcription".to_owned(),
            attributes: attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
            ..Default::default()
        };
        packet(identity, Value::StreamHeader(header))
    }

    fn chunk(id: &str) -> Vec<u8> {
        packet("a", Value::StreamChunk(Chunk { stream_id: id.to_owned(), ..Default::default() }))
    }

    fn trailer(id: &str) -> Vec<u8> {
        let trailer = proto::data_stream::Trailer { stream_id: id.to_owned(), ..Default::default() };
        packet("a", Value::StreamTrailer(trailer))
    }

    fn legacy(identity: &str, track: &str, segment: &str) -> Vec<u8> {
        let segment = proto::TranscriptionSegment { id: segment.to_owned(), r#final: true, ..Default::default() };
        let told = proto::Transcription {
            transcribed_participant_identity: identity.to_owned(),
            track_id: track.to_owned(),
            segments: vec![segment],
        };
        packet("helper", Value::Transcription(told))
    }

    fn person(identity: &str, kind: proto::participant_info::Kind) -> proto::ParticipantInfo {
        let track = proto::TrackInfo { sid: format!("TR_{identity}"), ..Default::default() };
        proto::ParticipantInfo {
            sid: format!("PA_{identity}"),
            identity: identity.to_owned(),
            kind: kind as i32,
            tracks: vec![track],
            ..Default::default()
        }
    }

    /// The agent `helper` and the users `bob` and `shy`; participants with the attribute `record=false` are excluded.
    fn room() -> People {
        let attributes = BTreeMap::from([("record".to_owned(), "false".to_owned())]);
        let mut people = People::new(Exclusions { attributes, ..Exclusions::default() });
        let users = ["bob", "shy"].map(|identity| person(identity, proto::participant_info::Kind::Standard));
        people.update(&users);
        people.update(&[person("helper", proto::participant_info::Kind::Agent)]);
        people
    }

    fn shy(is_shy: bool) -> [proto::ParticipantInfo; 1] {
        let mut person = person("shy", proto::participant_info::Kind::Standard);
        person.attributes.insert("record".to_owned(), (!is_shy).to_string());
        [person]
    }

    fn packet(identity: &str, value: Value) -> Vec<u8> {
        let packet =
            proto::DataPacket { participant_identity: identity.to_owned(), value: Some(value), ..Default::default() };
        packet.encode_to_vec()
    }

    #[test]
    fn what_was_said_in_a_pause_is_not_told_after_it_either() {
        let (mut filter, people, now) = (Filter::default(), People::default(), Instant::now());
        assert!(filter.admit(now, &header("S1", "SG_1", "a"), false, &people).is_some());
        assert!(filter.admit(now, &chunk("S1"), false, &people).is_some());
        assert!(filter.admit(now, &chunk("S1"), true, &people).is_none());
        assert!(filter.admit(now, &chunk("S1"), false, &people).is_none(), "the rest of a stream that a pause cut");
        assert!(filter.admit(now, &header("S2", "SG_2", "a"), true, &people).is_none());
        assert!(
            filter.admit(now, &header("S3", "SG_2", "a"), false, &people).is_none(),
            "the final text of a withheld one"
        );
        assert!(filter.admit(now, &header("S4", "SG_4", "a"), false, &people).is_some());
    }

    #[test]
    fn a_whole_line_just_behind_a_pause_may_be_of_it_and_one_that_is_being_spoken_is_not() {
        let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
        filter.resumed(now);
        let soon = now + Duration::from_secs(1);
        assert!(filter.admit(soon, &header("S1", "SG_1", "bob"), false, &people).is_none());
        assert!(
            filter.admit(soon, &header("S2", "SG_2", "helper"), false, &people).is_some(),
            "the agent's text comes first"
        );
        assert!(filter.admit(soon, &told("S3", "SG_3", "bob", "false"), false, &people).is_some());
        assert!(filter.admit(soon, &header("S4", "SG_3", "bob"), false, &people).is_some(), "its final text");
        assert!(filter.admit(now + Duration::from_secs(4), &header("S5", "SG_5", "bob"), false, &people).is_some());
        assert!(filter.admit(now + Duration::from_secs(5), &header("S6", "SG_1", "bob"), false, &people).is_none());
    }

    #[test]
    fn a_line_that_a_pause_cut_is_not_told_to_its_end_after_it() {
        let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
        let later = now + Duration::from_secs(60);
        assert!(filter.admit(now, &header("S1", "SG_1", "helper"), false, &people).is_some());
        assert!(filter.admit(now, &told("S2", "SG_2", "bob", "false"), false, &people).is_some());
        assert!(filter.admit(now, &chunk("S1"), true, &people).is_none());
        filter.resumed(now);
        assert!(filter.admit(later, &chunk("S2"), false, &people).is_none(), "it was written in the pause");
        assert!(filter.admit(later, &header("S3", "SG_1", "helper"), false, &people).is_none());
        assert!(filter.admit(later, &header("S4", "SG_2", "bob"), false, &people).is_none(), "begun before the pause");
        assert!(filter.admit(later, &header("S5", "SG_2", "shy"), false, &people).is_some(), "another one's segment");
    }

    #[test]
    fn a_line_that_is_told_of_at_once_behind_a_pause_was_begun_in_it() {
        let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
        filter.resumed(now);
        let (soon, later) = (now + Duration::from_millis(400), now + Duration::from_millis(1_500));
        assert!(filter.admit(soon, &told("S1", "SG_1", "bob", "false"), false, &people).is_none());
        assert!(filter.admit(later, &told("S2", "SG_1", "bob", "false"), false, &people).is_none());
        assert!(filter.admit(now + 60 * TOLD_AT_ONCE, &header("S3", "SG_1", "bob"), false, &people).is_none());
        assert!(filter.admit(soon, &told("S4", "SG_4", "helper", "false"), false, &people).is_some(), "an agent's");
        assert!(filter.admit(later, &told("S5", "SG_5", "bob", "false"), false, &people).is_some());
        assert!(filter.admit(later, &header("S6", "SG_5", "bob"), false, &people).is_some());
    }

    #[test]
    fn what_is_held_back_while_the_connection_is_lost_may_be_of_a_pause_that_ended_meanwhile() {
        let (mut filter, people, lost) = (Filter::default(), room(), Instant::now());
        let second = Duration::from_secs(1);
        filter.resumed(lost + second);
        filter.reconnected(lost, lost + 10 * second);
        assert!(filter.admit(lost + 10 * second, &header("S1", "SG_1", "bob"), false, &people).is_none());
        filter.reconnected(lost + 20 * second, lost + 30 * second);
        assert!(filter.admit(lost + 30 * second, &header("S2", "SG_2", "bob"), false, &people).is_some());
    }

    #[test]
    fn nothing_of_somebody_who_is_left_out() {
        let exclusions = Exclusions { identities: HashSet::from(["shy".to_owned()]), ..Exclusions::default() };
        let (mut filter, people, now) = (Filter::default(), People::new(exclusions), Instant::now());
        assert!(filter.admit(now, &header("S1", "SG_1", "shy"), false, &people).is_none());
        assert!(filter.admit(now, &chunk("S1"), false, &people).is_none());
        assert!(filter.admit(now, &legacy("shy", "", "SG_1"), false, &people).is_none());
    }

    #[test]
    fn a_stream_that_is_open_ends_when_its_owner_is_left_out() {
        let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
        for message in [
            told("S1", "SG_1", "shy", "false"),
            of_track("S2", "SG_2", "helper", "false", Some("TR_shy")),
            of_track("S3", "SG_3", "helper", "false", Some("TR_bob")),
            chunk("S1"),
            chunk("S2"),
        ] {
            assert!(filter.admit(now, &message, false, &people).is_some());
        }
        people.update(&shy(true));
        assert!(filter.admit(now, &chunk("S1"), false, &people).is_none(), "their own");
        assert!(filter.admit(now, &trailer("S1"), false, &people).is_none());
        assert!(filter.admit(now, &trailer("S2"), false, &people).is_none(), "an agent's, of their words");
        assert!(filter.admit(now, &chunk("S3"), false, &people).is_some(), "somebody else's");
        people.exclude("bob");
        assert!(filter.admit(now, &chunk("S3"), false, &people).is_none());
    }

    #[test]
    fn nobody_else_tells_the_words_of_somebody_who_is_left_out() {
        let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
        people.update(&shy(true));
        let told = |stream, track| of_track(stream, "SG_1", "helper", "true", Some(track));
        assert!(filter.admit(now, &told("S1", "TR_shy"), false, &people).is_none());
        assert!(filter.admit(now, &told("S2", "TR_bob"), false, &people).is_some());
        assert!(filter.admit(now, &legacy("", "TR_shy", "SG_2"), false, &people).is_none());
        assert!(filter.admit(now, &legacy("helper", "TR_shy", "SG_2"), false, &people).is_none());
        assert!(filter.admit(now, &legacy("bob", "TR_bob", "SG_2"), false, &people).is_some());
        let gone = shy(true).map(|person| proto::ParticipantInfo {
            state: proto::participant_info::State::Disconnected as i32,
            tracks: Vec::new(),
            ..person
        });
        people.update(&gone);
        assert!(filter.admit(now, &told("S3", "TR_shy"), false, &people).is_none(), "told when they have left");
    }

    #[test]
    fn whoever_is_let_in_again_is_written_down_from_there_on() {
        let (mut filter, mut people, now) = (Filter::default(), room(), Instant::now());
        let second = Duration::from_secs(1);
        assert!(filter.admit(now, &told("S0", "SG_0", "shy", "false"), false, &people).is_some());
        people.update(&shy(true));
        assert!(filter.admit(now, &told("S1", "SG_1", "shy", "false"), false, &people).is_none());
        for (_, identity) in people.update(&shy(false)).let_in {
            filter.let_in(&identity, now + second);
        }
        let late = now + 60 * second;
        assert!(filter.admit(late, &header("S2", "SG_0", "shy"), false, &people).is_none(), "begun before");
        assert!(filter.admit(late, &header("S3", "SG_1", "shy"), false, &people).is_none(), "begun when left out");
        assert!(filter.admit(now + 2 * second, &header("S4", "SG_4", "shy"), false, &people).is_none());
        assert!(filter.admit(now + 2 * second, &header("S5", "SG_5", "bob"), false, &people).is_some());
        assert!(filter.admit(late, &header("S6", "SG_6", "shy"), false, &people).is_some());
    }

    #[test]
    fn a_stream_without_end_and_streams_without_number_are_bounded() {
        let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
        filter.admit(now, &header("S1", "SG_1", "helper"), false, &people);
        let delta = Chunk { stream_id: "S1".to_owned(), content: vec![b'a'; 10_000], ..Default::default() };
        let delta = packet("helper", Value::StreamChunk(delta));
        let kept = (0..1_000).filter(|_| filter.admit(now, &delta, false, &people).is_some()).count();
        assert_eq!(kept, LONGEST_STREAM / delta.len());
        for number in 0..10_000 {
            let at = now + Duration::from_secs(number);
            filter.admit(at, &told(&number.to_string(), &number.to_string(), "bob", "false"), number >= 9_950, &people);
        }
        assert_eq!(filter.admitted.len(), MOST_OPEN);
        let later = now + Duration::from_secs(10_000);
        filter.resumed(later);
        let ended = |number: u64| header(&format!("{number}."), &number.to_string(), "bob");
        for number in 9_900..10_000 {
            let at = later + 2 * TOLD_LATE;
            assert!(filter.admit(at, &ended(number), false, &people).is_none(), "line {number}");
        }
    }

    #[test]
    fn streams_that_tell_of_more_than_one_line_are_not_kept() {
        let (mut filter, people, now) = (Filter::default(), room(), Instant::now());
        let of = |topic: &str| {
            let header = Header {
                stream_id: topic.to_owned(),
                topic: topic.to_owned(),
                content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
                ..Default::default()
            };
            packet("helper", Value::StreamHeader(header))
        };
        assert!(filter.admit(now, &of("lk.chat"), false, &people).is_some());
        assert!(filter.admit(now, &of("lk.agent.events"), false, &people).is_none());
    }
}
