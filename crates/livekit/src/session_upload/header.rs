//! The part `header`: `livekit.MetricsRecordingHeader` (livekit/protocol, `livekit_metrics.proto`), protobuf.

use echosphere_domain::time::WallTime;
use prost::Message;

use crate::lenient_json;

/// Longer identifiers are not believed.
const MAX_TEXT: usize = 512;

#[derive(Message)]
struct Wire {
    // Texts are read as bytes: one that is no UTF-8 would cost the whole header.
    #[prost(bytes = "vec", tag = "1")]
    room_id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    duration: u64,
    #[prost(message, optional, tag = "4")]
    start_time: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "8")]
    job_id: Vec<u8>,
    #[prost(bool, tag = "9")]
    simulated: bool,
    #[prost(bool, tag = "10")]
    redaction_enabled: bool,
    #[prost(bytes = "vec", tag = "11")]
    session_summary: Vec<u8>,
}

#[derive(Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Why the header cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header is not a MetricsRecordingHeader: {0}")]
pub struct Error(String);

/// What the header says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// LiveKit's room id.
    pub room_sid: Option<String>,
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// Time zero of the audio; `None` when there is none (the wire then says 1970).
    pub start_time: Option<WallTime>,
    /// Milliseconds to the making of the report: longer than the audio.
    pub duration_ms: Option<u64>,
    /// Whether the receiver is meant to redact the session.
    pub redaction_enabled: bool,
    /// What the session summary says, where the SDK sends one.
    pub summary: Summary,
}

/// The session summary, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The room's name.
    pub room_name: Option<String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// The version of the SDK.
    pub sdk_version: Option<String>,
    /// Whether audio was to be recorded.
    pub audio: Option<bool>,
}

impl Header {
    /// Reads the part. Unknown fields are ignored; texts that cannot be identifiers are taken for absent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wire = Wire::decode(bytes).map_err(|error| Error(error.to_string()))?;
        Ok(Self {
            room_sid: String::from_utf8(wire.room_id).ok().and_then(identifier),
            job_id: String::from_utf8(wire.job_id).ok().and_then(identifier),
            start_time: wire.start_time.and_then(wall_time),
            duration_ms: Some(wire.duration).filter(|ms| *ms > 0),
            redaction_enabled: wire.redaction_enabled,
            summary: Summary::parse(&wire.session_summary),
        })
    }
}

fn identifier(text: String) -> Option<String> {
    let good = !text.is_empty() && text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
    good.then_some(text)
}

/// `None` for the first day of 1970, which stands for "no audio", and for times that no clock shows.
fn wall_time(time: Timestamp) -> Option<WallTime> {
    const FIRST_DAY: i64 = 86_400;
    let nanos = time.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(time.nanos))?;
    (time.seconds >= FIRST_DAY).then(|| WallTime::from_nanos(nanos))
}

impl Summary {
    fn parse(json: &[u8]) -> Self {
        let value = lenient_json::read(json).value;
        let text = |name: &str| value[name].as_str().map(str::to_owned).and_then(identifier);
        let tags = value["tags"].as_array().into_iter().flatten();
        Self {
            room_name: text("room"),
            agent_name: text("agent_name"),
            tags: tags.filter_map(|tag| identifier(tag.as_str()?.to_owned())).take(64).collect(),
            sdk_version: text("sdk_version"),
            audio: value["options"]["recording_options"]["audio"].as_bool(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wire() -> Wire {
        Wire {
            room_id: b"RM_x".to_vec(),
            duration: 62_971,
            start_time: Some(Timestamp { seconds: 1_795_439_500, nanos: 386_000_000 }),
            job_id: b"AJ_x".to_vec(),
            simulated: false,
            redaction_enabled: false,
            session_summary: br#"{"room":"obs","tags":["a",1],"options":{"recording_options":{"audio":false}}}"#
                .to_vec(),
        }
    }

    #[test]
    fn the_fields_that_are_used() {
        let header = Header::parse(&wire().encode_to_vec()).unwrap();
        assert_eq!(header.start_time, Some(WallTime::from_millis(1_795_439_500_386)));
        assert_eq!((header.room_sid.as_deref(), header.job_id.as_deref()), (Some("RM_x"), Some("AJ_x")));
        assert_eq!(header.summary.room_name.as_deref(), Some("obs"));
        assert_eq!((header.summary.tags, header.summary.audio), (vec!["a".to_owned()], Some(false)));
    }

    #[test]
    fn what_cannot_be_is_absent() {
        let mut odd = wire();
        odd.start_time = Some(Timestamp { seconds: 0, nanos: 0 });
        odd.room_id = b"a\0b".to_vec();
        odd.job_id = vec![b'x'; 5_000];
        odd.session_summary = b"{".to_vec();
        let header = Header::parse(&odd.encode_to_vec()).unwrap();
        assert_eq!((header.start_time, header.room_sid, header.job_id), (None, None, None));
        assert_eq!(header.summary, Summary::default());
    }

    #[test]
    fn a_bad_value_costs_that_value() {
        let mut odd = wire();
        odd.job_id = b"AJ_\xff".to_vec();
        odd.session_summary =
            b"{\"room\":\"obs\",\"usage\":[{\"cost\":NaN}],\"sdk_version\":\"1.\xff\",\"tags\":[\"a\",\"b".to_vec();
        let header = Header::parse(&odd.encode_to_vec()).unwrap();
        assert_eq!((header.room_sid.as_deref(), header.job_id), (Some("RM_x"), None));
        assert_eq!((header.summary.room_name.as_deref(), header.summary.tags), (Some("obs"), vec!["a".to_owned()]));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Header::parse(&bytes);
        }
    }
}
