//! From the capture log to the transcript: what the room itself says was said.
//!
//! Agents publish transcriptions as text streams on the topic `lk.transcription` (livekit-agents, `TextOutput`). A user's
//! interim and final texts are whole streams with the same segment id, each replacing the one before; an agent's line is one
//! stream of deltas. A text that is empty, cannot be read, or is not final after one that is, takes the place of nothing.
//! `lk.chat` is typed. The older Transcription packets come beside the streams and count only for those of whom no stream tells. No
//! times are inside: what is told of a line is when its first and its last text came, and when its agent says that it spoke. Where it
//! is heard the speaker's track tells (`domain::transcript::align`).

mod heading;
mod line;
mod speaking;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read as _;

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Alignment, Kind, Role, Times, Transcript, Turn};
use flate2::read::DeflateDecoder;
use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::data_stream;

pub(crate) use self::heading::Heading;
use self::line::{Line, Told, told_again};
use self::speaking::Speaking;
use crate::log::{Body, Entry, Participant};

/// The longest text, in bytes; a compressed one is not inflated beyond it.
const LONGEST: u64 = 256 * 1024;
/// Streams that are open at the same time. Beyond that the oldest one is taken for broken off.
pub(crate) const MOST_OPEN: usize = 64;
/// How a line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Streams on `lk.transcription`.
    Spoken,
    /// Transcription packets.
    Legacy,
    /// Streams on `lk.chat`.
    Typed,
    /// Chat packets.
    Chat,
}

/// What texts of the same line have in common. Two speakers may have segments with one id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    way: Way,
    identity: String,
    segment: String,
}

#[derive(Debug, Clone)]
struct Open {
    since: i64,
    /// By which it is later than other streams.
    order: u64,
    header: data_stream::Header,
    key: Key,
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl Open {
    fn has_room_for(&self, content: &[u8]) -> bool {
        (self.chunks.values().map(Vec::len).sum::<usize>() + content.len()) as u64 <= LONGEST
    }
}

/// Reads a capture log and knows what was said in writing.
#[derive(Debug, Clone, Default)]
pub struct Words {
    people: HashMap<String, Participant>,
    speaking: Speaking,
    open: HashMap<String, Open>,
    lines: BTreeMap<Key, Line>,
    ids: HashSet<String>,
    count: u64,
}

impl Words {
    /// Takes the next entry.
    pub fn take(&mut self, entry: &Entry) {
        match &entry.body {
            Some(Body::Participant(participant)) => {
                self.speaking.participant(self.people.get(&participant.sid), participant, entry.at);
                self.people.insert(participant.sid.clone(), participant.clone());
            }
            Some(Body::Data(bytes)) => {
                if let Ok(packet) = proto::DataPacket::decode(bytes.as_slice()) {
                    self.packet(packet, entry.at);
                }
            }
            _ => {}
        }
    }

    fn packet(&mut self, packet: proto::DataPacket, at: i64) {
        let (identity, sender) = (packet.participant_identity, packet.participant_sid);
        match packet.value {
            Some(Value::StreamHeader(header)) => self.header(header, identity, sender, at),
            Some(Value::StreamChunk(chunk)) => {
                if let Some(open) = self.open.get_mut(&chunk.stream_id)
                    && open.has_room_for(&chunk.content)
                {
                    open.chunks.insert(chunk.chunk_index, chunk.content);
                    let key = chunk.stream_id;
                    self.update(&key, at, false);
                }
            }
            Some(Value::StreamTrailer(trailer)) => {
                if let Some(open) = self.open.get_mut(&trailer.stream_id) {
                    open.header.attributes.extend(trailer.attributes);
                    self.update(&trailer.stream_id, at, true);
                    self.end(&trailer.stream_id, !trailer.reason.is_empty());
                }
            }
            Some(Value::Transcription(transcription)) => {
                let told = transcription.transcribed_participant_identity;
                let identity = self.owner(&transcription.track_id).filter(|_| told.is_empty()).unwrap_or(told);
                for segment in transcription.segments {
                    let key = Key { way: Way::Legacy, identity: identity.clone(), segment: segment.id };
                    self.whole(key, segment.text, segment.r#final, at);
                }
            }
            Some(Value::ChatMessage(chat)) => {
                self.whole(Key { way: Way::Chat, identity, segment: chat.id }, chat.message, true, at);
            }
            _ => {}
        }
    }

    /// Takes a text that comes whole, in one packet.
    fn whole(&mut self, key: Key, text: String, is_final: bool, at: i64) {
        let from = Told { is_final, order: self.count + 1 };
        if self.lines.contains_key(&key) || !text.trim().is_empty() {
            self.line(key, at).tell(text, from, at, at);
        }
    }

    fn header(&mut self, header: data_stream::Header, identity: String, sender: String, at: i64) {
        let Some(heading) = Heading::of(&header) else { return };
        let way = if heading.is_spoken { Way::Spoken } else { Way::Typed };
        let owner = heading.track.and_then(|track| self.owner(track));
        let key = Key { way, identity: owner.unwrap_or(identity), segment: heading.segment.to_owned() };
        let line = self.line(key.clone(), at);
        if line.sender.is_empty() {
            line.sender = sender;
        }
        let inline = header.inline_content.clone();
        let id = header.stream_id.clone();
        let chunks = inline.clone().map(|content| (0, content)).into_iter().collect();
        if self.open.len() >= MOST_OPEN
            && let Some(oldest) = self.open.iter().min_by_key(|(_, open)| open.order).map(|(id, _)| id.clone())
        {
            self.end(&oldest, true);
        }
        self.open.insert(id.clone(), Open { since: at, order: self.count, header, key, chunks });
        if inline.is_some() {
            self.update(&id, at, true);
            self.end(&id, false);
        }
    }

    /// The participant whose track that is.
    fn owner(&self, track: &str) -> Option<String> {
        let owner = self.people.values().find(|person| person.tracks.iter().any(|known| known.sid == track))?;
        Some(owner.identity.clone())
    }

    fn line(&mut self, key: Key, at: i64) -> &mut Line {
        self.count += 1;
        let order = self.count;
        let id = self.lines.get(&key).map_or_else(|| self.id(&key), |line| line.id.clone());
        self.ids.insert(id.clone());
        self.lines.entry(key).or_insert_with(|| Line {
            id,
            order,
            sender: String::new(),
            text: String::new(),
            from: Told::default(),
            first_at: at,
            last_at: at,
            interrupted: false,
        })
    }

    /// The id of a line that is new: its segment's, unless another one has that. What is read in the same order has the same ids, live
    /// or afterwards.
    fn id(&self, key: &Key) -> String {
        // A segment that comes in both ways is shown once.
        let other = match key.way {
            Way::Spoken => Some(Way::Legacy),
            Way::Legacy => Some(Way::Spoken),
            Way::Typed | Way::Chat => None,
        };
        if let Some(line) = other.and_then(|way| self.lines.get(&Key { way, ..key.clone() })) {
            return line.id.clone();
        }
        let Key { identity, segment, .. } = key;
        let plain = [segment.clone(), format!("{segment}-{identity}")].into_iter();
        let numbered = (2..).map(|number| format!("{segment}-{identity}-{number}"));
        plain.chain(numbered).find(|id| !self.ids.contains(id)).unwrap_or_default()
    }

    /// Writes what a stream has brought so far into its line.
    fn update(&mut self, stream: &str, at: i64, whole: bool) {
        let Some(open) = self.open.get(stream) else { return };
        let raw: Vec<u8> = open.chunks.values().flatten().copied().collect();
        let text = match open.header.compression {
            0 => String::from_utf8_lossy(&raw).into_owned(),
            // Half of a compressed text is no text.
            _ if !whole => return,
            _ => inflate(&raw).unwrap_or_default(),
        };
        let is_final = Heading::of(&open.header).is_some_and(|heading| heading.is_final);
        let from = Told { is_final, order: open.order };
        if let Some(line) = self.lines.get_mut(&open.key) {
            line.tell(text, from, open.since, at);
        }
    }

    fn end(&mut self, stream: &str, cut: bool) {
        if let Some(open) = self.open.remove(stream)
            && let Some(line) = self.lines.get_mut(&open.key)
        {
            line.interrupted |= cut;
        }
    }

    /// What is known of what was said, in order.
    pub fn transcript(&self) -> Transcript {
        let with_text = || self.lines.iter().filter(|(_, line)| !line.text.trim().is_empty());
        let streamed = || with_text().filter(|(key, _)| key.way == Way::Spoken);
        let speakers: HashSet<&str> = streamed().map(|(key, _)| key.identity.as_str()).collect();
        let texts: HashSet<&str> = streamed().map(|(_, line)| line.text.trim()).collect();
        let is_told_twice = |key: &Key, line: &Line| {
            let nobodys = key.identity.is_empty() && !speakers.is_empty();
            nobodys || speakers.contains(key.identity.as_str()) || texts.contains(line.text.trim())
        };
        let again = told_again(streamed().map(|(key, line)| (key.identity.as_str(), line)));
        let shown = with_text()
            .filter(|(key, line)| key.way != Way::Legacy || !is_told_twice(key, line))
            .filter(|(_, line)| !again.contains(&line.order));
        let mut turns: Vec<(i64, u64, Turn)> = shown
            .map(|(key, line)| {
                let turn = self.turn(key, line);
                (turn.reported.start.or(turn.reported.created).map_or(0, WallTime::as_nanos), line.order, turn)
            })
            .collect();
        turns.sort_by_key(|(at, order, _)| (*at, *order));
        let turns: Vec<Turn> = turns.into_iter().map(|(_, _, turn)| turn).collect();
        let alignment = Alignment::reported(!turns.is_empty());
        Transcript { turns, alignment }
    }

    fn turn(&self, key: &Key, line: &Line) -> Turn {
        let person = self.people.values().find(|person| person.identity == key.identity);
        let is_agent = person.is_some_and(|person| person.kind == "AGENT");
        let typed = matches!(key.way, Way::Typed | Way::Chat);
        let spoken = if typed { None } else { self.speaking.of_line(person, line.first_at) };
        let time = |at: i64| Some(WallTime::from_nanos(at));
        let (start, end) = (spoken.and_then(|(start, _)| time(start)), spoken.and_then(|(_, end)| time(end?)));
        let last_text = if typed { None } else { time(line.last_at) };
        let role = if is_agent { Role::Agent } else { Role::User };
        Turn {
            speaker: Some(key.identity.clone()),
            reported: Times { start, end, created: time(line.first_at), last_text },
            interrupted: line.interrupted,
            typed,
            ..Turn::new(line.id.as_str(), Kind::Message, role, line.text.trim())
        }
    }
}

fn inflate(raw: &[u8]) -> Option<String> {
    let mut out = Vec::new();
    DeflateDecoder::new(raw).take(LONGEST).read_to_end(&mut out).ok()?;
    Some(String::from_utf8_lossy(&out).into_owned())
}

#[cfg(test)]
mod texts;

#[cfg(test)]
mod tests {
    use super::speaking::AGENT_STATE;
    use super::*;
    use crate::log::Track;
    use proptest::prelude::*;
    use std::io::Write as _;

    pub(super) const S: i64 = 1_000_000_000;

    pub(super) fn entry(at: i64, body: Body) -> Entry {
        Entry { number: 0, at, body: Some(body) }
    }

    pub(super) fn data(identity: &str, value: Value) -> Body {
        let packet =
            proto::DataPacket { participant_identity: identity.to_owned(), value: Some(value), ..Default::default() };
        Body::Data(packet.encode_to_vec())
    }

    pub(super) fn header(stream: &str, segment: &str, is_final: bool) -> data_stream::Header {
        data_stream::Header {
            stream_id: stream.to_owned(),
            topic: "lk.transcription".to_owned(),
            attributes: HashMap::from([
                ("lk.segment_id".to_owned(), segment.to_owned()),
                ("lk.transcription_final".to_owned(), is_final.to_string()),
            ]),
            ..Default::default()
        }
    }

    fn whole(words: &mut Words, at: i64, identity: &str, stream: &str, segment: &str, text: &str, is_final: bool) {
        words.take(&entry(at, data(identity, Value::StreamHeader(header(stream, segment, is_final)))));
        let chunk = data_stream::Chunk { stream_id: stream.to_owned(), content: text.into(), ..Default::default() };
        words.take(&entry(at, data("agent", Value::StreamChunk(chunk))));
        let trailer = data_stream::Trailer { stream_id: stream.to_owned(), ..Default::default() };
        words.take(&entry(at, data("agent", Value::StreamTrailer(trailer))));
    }

    pub(super) fn person(identity: &str, kind: &str) -> Body {
        Body::Participant(Participant {
            sid: format!("PA_{identity}"),
            identity: identity.to_owned(),
            kind: kind.to_owned(),
            tracks: vec![Track { sid: format!("TR_{identity}"), ..Default::default() }],
            ..Default::default()
        })
    }

    #[test]
    fn interim_texts_are_replaced_deltas_are_joined_and_a_line_tells_when_its_texts_came() {
        let mut words = Words::default();
        words.take(&entry(0, person("bob", "STANDARD")));
        words.take(&entry(0, person("helper", "AGENT")));
        whole(&mut words, 2 * S, "bob", "s1", "SG_1", "what time", false);
        whole(&mut words, 4 * S, "bob", "s2", "SG_1", "What time is it?", true);
        words.take(&entry(5 * S, data("helper", Value::StreamHeader(header("s3", "SG_2", false)))));
        for (index, word) in ["It is ", "five."].into_iter().enumerate() {
            let chunk = data_stream::Chunk {
                stream_id: "s3".to_owned(),
                chunk_index: index as u64,
                content: word.into(),
                ..Default::default()
            };
            words.take(&entry(5 * S, data("helper", Value::StreamChunk(chunk))));
        }
        let turns = words.transcript().turns;
        let lines: Vec<_> = turns.iter().map(|turn| (turn.role, turn.text.as_str())).collect();
        assert_eq!(lines, [(Role::User, "What time is it?"), (Role::Agent, "It is five.")]);
        let told = |first: i64, last: i64| Times {
            created: Some(WallTime::from_nanos(first)),
            last_text: Some(WallTime::from_nanos(last)),
            ..Times::default()
        };
        assert_eq!((turns[0].reported, turns[1].reported), (told(2 * S, 4 * S), told(5 * S, 5 * S)));
    }

    #[test]
    fn an_agent_speaks_when_it_says_so() {
        let says = |state: &str| {
            let Body::Participant(mut helper) = person("helper", "AGENT") else { unreachable!() };
            helper.attributes.insert(AGENT_STATE.to_owned(), state.to_owned());
            Body::Participant(helper)
        };
        let mut words = Words::default();
        words.take(&entry(0, says("listening")));
        words.take(&entry(4 * S, says("thinking")));
        words.take(&entry(5 * S, says("speaking")));
        whole(&mut words, 6 * S, "helper", "s1", "SG_1", "Well. Let me see.", true);
        words.take(&entry(9 * S, says("listening")));
        let reported = words.transcript().turns[0].reported;
        let seconds = |at: Option<WallTime>| at.map(|at| at.as_nanos() / S);
        assert_eq!((seconds(reported.start), seconds(reported.end)), (Some(5), Some(9)));
    }

    #[test]
    fn a_line_belongs_to_the_speaking_before_it_unless_that_was_over() {
        let start = |spoken: &[(i64, bool)]| {
            let says = |speaking: bool| {
                let Body::Participant(mut helper) = person("helper", "AGENT") else { unreachable!() };
                let state = if speaking { "speaking" } else { "listening" };
                helper.attributes.insert(AGENT_STATE.to_owned(), state.to_owned());
                Body::Participant(helper)
            };
            let mut words = Words::default();
            words.take(&entry(0, person("helper", "AGENT")));
            for &(at, active) in spoken.iter().filter(|(at, _)| *at <= 10 * S) {
                words.take(&entry(at, says(active)));
            }
            whole(&mut words, 10 * S, "helper", "s1", "SG_1", "Yes.", true);
            for &(at, active) in spoken.iter().filter(|(at, _)| *at > 10 * S) {
                words.take(&entry(at, says(active)));
            }
            words.transcript().turns[0].reported.start.map(|start| start.as_nanos() / (S / 10))
        };
        assert_eq!(start(&[(90 * S / 10, true), (95 * S / 10, false), (105 * S / 10, true)]), Some(90));
        assert_eq!(start(&[(50 * S / 10, true), (60 * S / 10, false), (105 * S / 10, true)]), Some(105));
        assert_eq!(start(&[(50 * S / 10, true), (60 * S / 10, false), (125 * S / 10, true)]), Some(50));
        assert_eq!(start(&[]), None);
    }

    #[test]
    fn inline_and_compressed_texts_and_legacy_ones_only_when_nothing_else_comes() {
        let mut words = Words::default();
        let legacy = proto::Transcription {
            transcribed_participant_identity: "bob".to_owned(),
            segments: vec![proto::TranscriptionSegment {
                id: "L1".to_owned(),
                text: "old".to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        };
        words.take(&entry(S, data("bob", Value::Transcription(legacy))));
        assert_eq!(words.transcript().turns[0].text, "old");
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all("a long text, again and again".as_bytes()).unwrap();
        let inline = data_stream::Header {
            compression: 1,
            inline_content: Some(encoder.finish().unwrap()),
            ..header("s1", "SG_1", true)
        };
        words.take(&entry(2 * S, data("bob", Value::StreamHeader(inline))));
        let texts: Vec<_> = words.transcript().turns.into_iter().map(|turn| turn.text).collect();
        assert_eq!(texts, ["a long text, again and again"]);
    }

    #[test]
    fn two_speakers_with_one_segment_id_are_two_turns_whose_ids_stay() {
        let mut words = Words::default();
        let ids = |words: &Words| {
            let turns = words.transcript().turns.into_iter();
            turns.map(|turn| (turn.id, turn.speaker.unwrap_or_default(), turn.text)).collect::<Vec<_>>()
        };
        whole(&mut words, S, "bob", "s1", "1", "what", false);
        whole(&mut words, 2 * S, "ann", "s2", "1", "no", false);
        let live = ids(&words);
        whole(&mut words, 3 * S, "ann", "s3", "1", "No.", true);
        whole(&mut words, 3 * S, "bob", "s4", "1", "What?", true);
        for identity in ["bob", "ann"] {
            let chat =
                proto::ChatMessage { id: "1".into(), message: format!("{identity} types"), ..Default::default() };
            words.take(&entry(4 * S, data(identity, Value::ChatMessage(chat))));
        }
        let settled = ids(&words);
        let expected = [
            ("1", "bob", "What?"),
            ("1-ann", "ann", "No."),
            ("1-bob", "bob", "bob types"),
            ("1-ann-2", "ann", "ann types"),
        ];
        assert_eq!(settled, expected.map(|(id, speaker, text)| (id.to_owned(), speaker.to_owned(), text.to_owned())));
        assert_eq!(live.iter().map(|(id, ..)| id).collect::<Vec<_>>(), ["1", "1-ann"]);
    }

    proptest! {
        #[test]
        fn any_messages(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut words = Words::default();
            for message in messages {
                words.take(&entry(0, Body::Data(message)));
            }
            let _ = words.transcript();
        }
    }
}
