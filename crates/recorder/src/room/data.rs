//! Which messages of a room are kept: what was said, in writing; of nobody who is left out, and nothing of a pause.

use std::collections::HashSet;

use livekit_protocol as proto;
use prost::Message as _;
use proto::data_packet::Value;
use proto::data_stream::header::ContentHeader;

use super::people::People;

/// The longest message that is kept.
const LONGEST: usize = 256 * 1024;

/// Decides message by message.
#[derive(Debug, Default)]
pub struct Filter {
    admitted: HashSet<String>,
    /// Segments of which something was heard of in a pause: their final text comes when it is over.
    withheld: HashSet<String>,
    /// The last reliable message of each participant, which a resumed connection has to name.
    pub sequences: std::collections::HashMap<String, u32>,
}

impl Filter {
    /// The message, if it is to be kept.
    pub fn admit(&mut self, bytes: &[u8], paused: bool, people: &People) -> Option<Vec<u8>> {
        let packet = proto::DataPacket::decode(bytes).ok()?;
        if packet.sequence > 0 {
            let last = self.sequences.entry(packet.participant_sid.clone()).or_default();
            if packet.sequence <= *last {
                return None;
            }
            *last = packet.sequence;
        }
        let wanted = self.is_wanted(&packet, paused, people);
        (wanted && bytes.len() <= LONGEST).then(|| bytes.to_vec())
    }

    fn is_wanted(&mut self, packet: &proto::DataPacket, paused: bool, people: &People) -> bool {
        let left_out = people.is_identity_excluded(&packet.participant_identity);
        match &packet.value {
            Some(Value::StreamHeader(header)) => {
                let text = matches!(&header.content_header, Some(ContentHeader::TextHeader(_)));
                let segment = header.attributes.get("lk.segment_id").unwrap_or(&header.stream_id);
                if paused {
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
        let header = proto::data_stream::Header {
            stream_id: id.to_owned(),
            topic: "lk.transcription".to_owned(),
            attributes: HashMap::from([("lk.segment_id".to_owned(), segment.to_owned())]),
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
        let (mut filter, people) = (Filter::default(), People::default());
        assert!(filter.admit(&header("S1", "SG_1", "a"), false, &people).is_some());
        assert!(filter.admit(&chunk("S1"), false, &people).is_some());
        assert!(filter.admit(&chunk("S1"), true, &people).is_none());
        assert!(filter.admit(&chunk("S1"), false, &people).is_none(), "the rest of a stream that a pause cut");
        assert!(filter.admit(&header("S2", "SG_2", "a"), true, &people).is_none());
        assert!(filter.admit(&header("S3", "SG_2", "a"), false, &people).is_none(), "the final text of a withheld one");
        assert!(filter.admit(&header("S4", "SG_4", "a"), false, &people).is_some());
    }

    #[test]
    fn nothing_of_somebody_who_is_left_out() {
        let exclusions = Exclusions { identities: HashSet::from(["shy".to_owned()]), ..Exclusions::default() };
        let (mut filter, people) = (Filter::default(), People::new(exclusions));
        assert!(filter.admit(&header("S1", "SG_1", "shy"), false, &people).is_none());
        assert!(filter.admit(&chunk("S1"), false, &people).is_none());
        let legacy = proto::Transcription { transcribed_participant_identity: "shy".to_owned(), ..Default::default() };
        assert!(filter.admit(&packet("agent", Value::Transcription(legacy)), false, &people).is_none());
    }
}
