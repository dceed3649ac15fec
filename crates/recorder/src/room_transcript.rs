//! Builds the room's own transcript from the capture log: the transcriptions and chat messages sent in the room.
//!
//! Agents publish transcriptions as text streams on the topic `lk.transcription` (livekit-agents, `TextOutput`). A user's interim
//! and final texts are whole streams with the same segment id, each replacing the one before; an agent's line is one stream of
//! deltas. A text that is empty, cannot be read, or is not final after one that is, replaces nothing. `lk.chat` is typed. The older
//! Transcription packets come alongside the streams and count only for speakers without streams. The messages contain no times:
//! what is known of a line is when its first and its last text arrived, and when its agent reported that it was speaking. Where it
//! is audible is found from the speaker's track (`domain::transcript::align`).

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
use self::line::{Line, Rank, reported_again};
use self::speaking::Speaking;
use crate::log::{Body, Entry, Participant};

/// The longest text, in bytes; a compressed one is not inflated beyond it.
const LONGEST: u64 = 256 * 1024;
/// The most streams that are open at the same time. Beyond that the oldest one counts as broken off.
pub(crate) const MOST_OPEN: usize = 64;
/// How a line was sent.
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

/// What texts of the same line have in common. Two speakers may have segments with the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    way: Way,
    identity: String,
    segment: String,
}

#[derive(Debug, Clone)]
struct Open {
    since: i64,
    /// Its rank among streams: a later one is higher.
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

/// The transcript of a room, built from the entries of its capture log.
#[derive(Debug, Clone, Default)]
pub struct RoomTranscript {
    people: HashMap<String, Participant>,
    speaking: Speaking,
    open: HashMap<String, Open>,
    lines: BTreeMap<Key, Line>,
    ids: HashSet<String>,
    count: u64,
}

impl RoomTranscript {
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
                let named = transcription.transcribed_participant_identity;
                let identity = self.owner(&transcription.track_id).filter(|_| named.is_empty()).unwrap_or(named);
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

    /// Takes a text that arrives whole, in one packet.
    fn whole(&mut self, key: Key, text: String, is_final: bool, at: i64) {
        let rank = Rank { is_final, order: self.count + 1 };
        if self.lines.contains_key(&key) || !text.trim().is_empty() {
            self.line(key, at).update_text(text, rank, at, at);
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

    /// The identity of the participant whose track this is.
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
            rank: Rank::default(),
            first_at: at,
            last_at: at,
            interrupted: false,
        })
    }

    /// The id of a new line: its segment's, unless another line has that. The same log in the same order gives the same ids, live
    /// or afterwards.
    fn id(&self, key: &Key) -> String {
        // A segment that arrives in both ways is shown once.
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

    /// Writes what a stream has delivered so far into its line.
    fn update(&mut self, stream: &str, at: i64, whole: bool) {
        let Some(open) = self.open.get(stream) else { return };
        let raw: Vec<u8> = open.chunks.values().flatten().copied().collect();
        let text = match open.header.compression {
            0 => String::from_utf8_lossy(&raw).into_owned(),
            // Part of a compressed text cannot be read.
            _ if !whole => return,
            _ => inflate(&raw).unwrap_or_default(),
        };
        let is_final = Heading::of(&open.header).is_some_and(|heading| heading.is_final);
        let rank = Rank { is_final, order: open.order };
        if let Some(line) = self.lines.get_mut(&open.key) {
            line.update_text(text, rank, open.since, at);
        }
    }

    fn end(&mut self, stream: &str, cut: bool) {
        if let Some(open) = self.open.remove(stream)
            && let Some(line) = self.lines.get_mut(&open.key)
        {
            line.interrupted |= cut;
        }
    }

    /// The transcript so far, in order.
    pub fn transcript(&self) -> Transcript {
        let with_text = || self.lines.iter().filter(|(_, line)| !line.text.trim().is_empty());
        let streamed = || with_text().filter(|(key, _)| key.way == Way::Spoken);
        let speakers: HashSet<&str> = streamed().map(|(key, _)| key.identity.as_str()).collect();
        let texts: HashSet<&str> = streamed().map(|(_, line)| line.text.trim()).collect();
        let is_duplicate = |key: &Key, line: &Line| {
            let nobodys = key.identity.is_empty() && !speakers.is_empty();
            nobodys || speakers.contains(key.identity.as_str()) || texts.contains(line.text.trim())
        };
        let again = reported_again(streamed().map(|(key, line)| (key.identity.as_str(), line)));
        let shown = with_text()
            .filter(|(key, line)| key.way != Way::Legacy || !is_duplicate(key, line))
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
mod tests;
