//! Which messages of a room are kept: what was said, in writing; of nobody who is left out, and nothing of a pause.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::data_stream::header::ContentHeader;

use super::people::People;

/// The longest message that is kept.
const LONGEST: usize = 256 * 1024;

/// A recogniser that tells only whole lines tells one this long after it was spoken, at most. Within this time behind a pause it may be
/// one of the pause.
const TOLD_LATE: Duration = Duration::from_secs(3);

/// Decides message by message.
#[derive(Debug, Default)]
pub struct Filter {
    admitted: HashSet<String>,
    /// Segments of which something was heard of in a pause: their final text comes when it is over.
    withheld: HashSet<String>,
    /// When the last pause ended.
    resumed: Option<Instant>,
    /// Segments that were told of while they were spoken.
    begun: HashSet<String>,
    /// The last reliable message of each participant, which a resumed connection has to name.
    pub sequences: std::collections::HashMap<String, u32>,
}

impl Filter {
    /// A pause ended.
    pub fn resumed(&mut self, at: Instant) {
        self.resumed = Some(at);
    }

    /// The message that came at this moment, if it is to be kept.
    pub fn admit(&mut self, at: Instant, bytes: &[u8], paused: bool, people: &People) -> Option<Vec<u8>> {
        let packet = proto::DataPacket::decode(bytes).ok()?;
        if packet.sequence > 0 {
            let last = self.sequences.entry(packet.participant_sid.clone()).or_default();
            if packet.sequence <= *last {
                return None;
            }
            *last = packet.sequence;
        }
        let wanted = self.is_wanted(at, &packet, paused, people);
        (wanted && bytes.len() <= LONGEST).then(|| bytes.to_vec())
    }

    /// Whether a line may have been spoken in the pause that has just ended: a user's, of which nothing was told before all of it was.
    fn may_be_of_pause(&mut self, at: Instant, segment: &str, is_final: bool, is_agents: bool) -> bool {
        let just_now = self.resumed.is_some_and(|resumed| at.saturating_duration_since(resumed) < TOLD_LATE);
        if !just_now || is_agents {
            return false;
        }
        if !is_final {
            self.begun.insert(segment.to_owned());
        }
        is_final && !self.begun.contains(segment)
    }

    fn is_wanted(&mut self, at: Instant, packet: &proto::DataPacket, paused: bool, people: &People) -> bool {
        let left_out = people.is_identity_excluded(&packet.participant_identity);
        match &packet.value {
            Some(Value::StreamHeader(header)) => {
                let text = matches!(&header.content_header, Some(ContentHeader::TextHeader(_)));
                let segment = header.attributes.get("lk.segment_id").unwrap_or(&header.stream_id);
                let track = header.attributes.get("lk.transcribed_track_id").map(String::as_str);
                let is_agents = people.is_agents_line(track, &packet.participant_identity);
                let is_spoken = header.topic == "lk.transcription";
                let is_final = header.attributes.get("lk.transcription_final").is_none_or(|text| text != "false");
                if paused || is_spoken && self.may_be_of_pause(at, segment, is_final, is_agents) {
                    self.withheld.insert(segment.clone());
                }
                let wanted = text && header.topic.starts_with("lk.") && !left_out && !self.withheld.contains(segment);
                if wanted {
                    self.admitted.insert(header.stream_id.clone());
                }
                wanted
            }
            Some(Value::StreamChunk(chunk)) => {
                if paused && self.admitted.remove(&chunk.stream_id) {
                    self.withheld.insert(chunk.stream_id.clone());
                }
                self.admitted.contains(&chunk.stream_id)
            }
            Some(Value::StreamTrailer(trailer)) => self.admitted.remove(&trailer.stream_id),
            Some(Value::Transcription(transcription)) => {
                let left_out = people.is_identity_excluded(&transcription.transcribed_participant_identity);
                let ids = transcription.segments.iter().map(|segment| segment.id.clone());
                if paused {
                    self.withheld.extend(ids);
                    return false;
                }
                let identity = &transcription.transcribed_participant_identity;
                let is_agents = people.is_agents_line(Some(transcription.track_id.as_str()), identity);
                for segment in &transcription.segments {
                    if self.may_be_of_pause(at, &segment.id, segment.r#final, is_agents) {
                        self.withheld.insert(segment.id.clone());
                    }
                }
                !left_out && !transcription.segments.iter().any(|segment| self.withheld.contains(&segment.id))
            }
            Some(Value::ChatMessage(_) | Value::SipDtmf(_)) => !paused && !left_out,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::people::Exclusions;
    use std::collections::HashMap;

    fn header(id: &str, segment: &str, identity: &str) -> Vec<u8> {
        told(id, segment, identity, "true")
    }

    fn told(id: &str, segment: &str, identity: &str, is_final: &str) -> Vec<u8> {
        let attributes = [("lk.segment_id", segment), ("lk.transcription_final", is_final)];
        let header = proto::data_stream::Header {
            stream_id: id.to_owned(),
            topic: "lk.transcription".to_owned(),
            attributes: HashMap::from(attributes.map(|(name, value)| (name.to_owned(), value.to_owned()))),
            content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
            ..Default::default()
        };
        packet(identity, Value::StreamHeader(header))
    }

    fn chunk(id: &str) -> Vec<u8> {
        packet("a", Value::StreamChunk(proto::data_stream::Chunk { stream_id: id.to_owned(), ..Default::default() }))
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
        let (mut filter, mut people, now) = (Filter::default(), People::default(), Instant::now());
        let agent = proto::ParticipantInfo {
            sid: "PA_1".to_owned(),
            identity: "helper".to_owned(),
            kind: proto::participant_info::Kind::Agent as i32,
            ..Default::default()
        };
        people.update(&[agent]);
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
    fn nothing_of_somebody_who_is_left_out() {
        let exclusions = Exclusions { identities: HashSet::from(["shy".to_owned()]), ..Exclusions::default() };
        let (mut filter, people, now) = (Filter::default(), People::new(exclusions), Instant::now());
        assert!(filter.admit(now, &header("S1", "SG_1", "shy"), false, &people).is_none());
        assert!(filter.admit(now, &chunk("S1"), false, &people).is_none());
        let legacy = proto::Transcription { transcribed_participant_identity: "shy".to_owned(), ..Default::default() };
        assert!(filter.admit(now, &packet("agent", Value::Transcription(legacy)), false, &people).is_none());
    }
}
