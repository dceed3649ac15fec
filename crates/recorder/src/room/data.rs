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
const FINAL_DELAY: Duration = Duration::from_secs(3);

/// A speech recogniser that sends a line while it is being spoken does so this long after the words, at most. A line that it first
/// sends within this time after a pause may have begun in the pause.
const INTERIM_DELAY: Duration = Duration::from_secs(1);

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
        self.paused || line.is_excluded(self.people)
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
                self.admitted.remove(&trailer.stream_id).is_some_and(|open| !open.line.is_excluded(now.people))
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
            if heading.is_spoken { self.may_be_kept(&line, heading.is_final, now) } else { !now.forbid(&line) };
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

    fn legacy(&mut self, transcription: &proto::Transcription, now: &Circumstances<'_>) -> bool {
        let track = Some(transcription.track_id.as_str());
        let mut wanted = true;
        for segment in &transcription.segments {
            let line = Line::new(&transcription.transcribed_participant_identity, track, &segment.id, now.people);
            wanted &= self.may_be_kept(&line, segment.r#final, now);
        }
        wanted
    }

    /// Whether what arrives of a spoken line now may be kept. Lines that may not are remembered, since more of them may follow.
    fn may_be_kept(&mut self, line: &Line, is_final: bool, now: &Circumstances<'_>) -> bool {
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
        let late = if is_final { FINAL_DELAY } else { INTERIM_DELAY };
        let may_be = open_since.is_some_and(|since| now.at.saturating_duration_since(since) < late);
        if !may_be && !is_final {
            self.begun.insert(line.clone());
        }
        may_be
    }
}

#[cfg(test)]
mod tests;
