//! Reads the upload part `header`: the protobuf message `livekit.MetricsRecordingHeader` (livekit/protocol,
//! `livekit_metrics.proto`).

use echosphere_domain::name;
use echosphere_domain::time::WallTime;
use prost::Message;
use serde_json::Value;

use crate::lenient_json;

/// The most tags that are kept.
const MOST_TAGS: usize = 64;

#[derive(Message)]
struct Wire {
    // Strings are read as bytes: one that is not UTF-8 would cost the whole header.
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

/// Fields that clients other than the agents SDKs send. A message of its own, and bytes, so that a malformed name costs only that
/// name.
#[derive(Message)]
struct WireRoom {
    #[prost(message, repeated, tag = "5")]
    room_tags: Vec<WireTag>,
    #[prost(bytes = "vec", tag = "6")]
    room_name: Vec<u8>,
}

/// An entry of a `map<string, string>`.
#[derive(Message)]
struct WireTag {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, Message)]
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

/// The contents of the header.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Header {
    /// LiveKit's room id.
    pub room_sid: Option<String>,
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// Time zero of the audio; `None` when there is none (the wire then says 1970).
    pub start_time: Option<WallTime>,
    /// The duration in milliseconds, up to when the report was made: longer than the audio.
    pub duration_ms: Option<u64>,
    /// Whether the receiver is asked to redact the session.
    pub redaction_enabled: bool,
    /// Whether the session is a simulation of the agent and not a call.
    pub simulated: bool,
    /// The session summary, where the SDK sends one, completed by the header's own room name and tags.
    pub summary: Summary,
    /// The fields whose text cannot be an id; they count as absent.
    pub unusable: Vec<&'static str>,
}

/// The session summary, as far as it is used. Names are as they were sent: of any length, with any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The room's name.
    pub room_name: Option<String>,
    /// The name under which the agent was dispatched.
    pub agent_name: Option<String>,
    /// The agent's tags, then the room's: `name=value`, or the name alone.
    pub tags: Vec<String>,
    /// The version of the SDK.
    pub sdk_version: Option<String>,
    /// Whether audio was meant to be recorded.
    pub audio: Option<bool>,
}

impl Header {
    /// Parses the part. Unknown fields are ignored; texts that cannot be ids count as absent.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let wire = Wire::decode(bytes).map_err(|error| Error(error.to_string()))?;
        let room = WireRoom::decode(bytes).unwrap_or_default();
        let mut unusable = Vec::new();
        let mut id = |field: &'static str, bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).ok();
            let good = text.as_deref().is_some_and(|text| text.is_empty() || name::is_whole(text));
            if !good {
                unusable.push(field);
            }
            text.filter(|text| good && !text.is_empty())
        };
        let (room_sid, job_id) = (id("room_id", wire.room_id), id("job_id", wire.job_id));
        Ok(Self {
            room_sid,
            job_id,
            start_time: wire.start_time.and_then(wall_time),
            duration_ms: Some(wire.duration).filter(|ms| *ms > 0),
            redaction_enabled: wire.redaction_enabled,
            simulated: wire.simulated,
            summary: Summary::parse(&wire.session_summary).with(&room),
            unusable,
        })
    }
}

/// `None` before 2 January 1970, as the epoch stands for "no audio", and for times out of range.
fn wall_time(time: Timestamp) -> Option<WallTime> {
    const FIRST_DAY: i64 = 86_400;
    let nanos = time.seconds.checked_mul(1_000_000_000)?.checked_add(i64::from(time.nanos))?;
    (time.seconds >= FIRST_DAY).then(|| WallTime::from_nanos(nanos))
}

impl Summary {
    fn parse(json: &[u8]) -> Self {
        let value = lenient_json::read(json).value;
        let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let tags = value["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Self {
            room_name: text("room"),
            agent_name: text("agent_name"),
            tags: tags.filter(|tag| !tag.is_empty()).take(MOST_TAGS).map(str::to_owned).collect(),
            sdk_version: text("sdk_version"),
            audio: value["options"]["recording_options"]["audio"].as_bool(),
        }
    }

    fn with(mut self, room: &WireRoom) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.room_name = self.room_name.or_else(|| Some(text(&room.room_name)).filter(|name| !name.is_empty()));
        for tag in &room.room_tags {
            let (name, value) = (text(&tag.name), text(&tag.value));
            let tag = if value.is_empty() { name } else { format!("{name}={value}") };
            if !tag.is_empty() && !self.tags.contains(&tag) && self.tags.len() < MOST_TAGS {
                self.tags.push(tag);
            }
        }
        self
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

    /// What each version of the SDKs sends (their sources: `livekit/agents/telemetry/traces.py`, `agents/src/telemetry`).
    #[test]
    fn the_header_of_each_version() {
        let start = Timestamp { seconds: 1_795_439_500, nanos: 0 };
        let summary = br#"{"job_id":"AJ_x","room_id":"RM_x","room":"obs","agent_name":"nova","sdk_version":"1.8.9"}"#;
        let bare = || Wire { room_id: b"RM_x".to_vec(), start_time: Some(start.clone()), ..Wire::default() };
        let with_job = || Wire { job_id: b"AJ_x".to_vec(), ..bare() };
        for (version, wire, (job, name, has_start, simulated, redaction)) in [
            ("1.5.8 to 1.5.18", bare(), (None, None, true, false, false)),
            ("1.6 to 1.8.8", with_job(), (Some("AJ_x"), None, true, false, false)),
            (
                "1.8.8, asked to redact",
                Wire { redaction_enabled: true, ..with_job() },
                (Some("AJ_x"), None, true, false, true),
            ),
            (
                "1.8.9",
                Wire { duration: 62_971, session_summary: summary.to_vec(), ..with_job() },
                (Some("AJ_x"), Some("obs"), true, false, false),
            ),
            (
                "1.8.9, without sound",
                Wire {
                    start_time: Some(Timestamp { seconds: 0, nanos: 0 }),
                    session_summary: summary.to_vec(),
                    ..with_job()
                },
                (Some("AJ_x"), Some("obs"), false, false, false),
            ),
            ("2.0.0b1, a test", Wire { simulated: true, ..with_job() }, (Some("AJ_x"), None, true, true, false)),
            (
                "2.0.0b1, without a room",
                Wire { room_id: Vec::new(), ..with_job() },
                (Some("AJ_x"), None, true, false, false),
            ),
            ("Node 1.9.0", with_job(), (Some("AJ_x"), None, true, false, false)),
        ] {
            let header = Header::parse(&wire.encode_to_vec()).unwrap();
            let Header { job_id, start_time, simulated: is_test, redaction_enabled, summary, unusable, .. } = header;
            assert_eq!((job_id.as_deref(), summary.room_name.as_deref()), (job, name), "{version}");
            assert_eq!(
                (start_time.is_some(), is_test, redaction_enabled),
                (has_start, simulated, redaction),
                "{version}"
            );
            assert!(unusable.is_empty(), "{version}");
        }
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
        assert_eq!(header.unusable, ["room_id", "job_id"], "which can be said");
    }

    #[test]
    fn names_are_what_was_sent() {
        let long = "n".repeat(600);
        for name in [long.as_str(), "a\tb", "\u{202e}evil\u{202c}", "\"<b>' /\\", "👩‍👩‍👧 Straße"] {
            let summary = serde_json::json!({ "room": name, "agent_name": name, "tags": [name, ""] });
            let mut named = wire();
            (named.job_id, named.session_summary) = (name.into(), summary.to_string().into());
            let header = Header::parse(&named.encode_to_vec()).unwrap();
            assert_eq!(header.job_id.as_deref(), Some(name));
            let Summary { room_name, agent_name, tags, .. } = header.summary;
            assert_eq!(
                (room_name.as_deref(), agent_name.as_deref(), &tags[..]),
                (Some(name), Some(name), &[name.to_owned()][..])
            );
        }
    }

    #[test]
    fn the_room_is_named_and_tagged_where_other_clients_do() {
        let tag = |name: &str, value: &str| WireTag { name: name.into(), value: value.into() };
        let room = WireRoom { room_tags: vec![tag("team", "a\tb"), tag("vip", "")], room_name: b"lobby \xff".to_vec() };
        let bytes = [Wire { session_summary: Vec::new(), ..wire() }.encode_to_vec(), room.encode_to_vec()].concat();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!(header.job_id.as_deref(), Some("AJ_x"), "a name that is no text costs nothing else");
        assert_eq!(header.summary.room_name.as_deref(), Some("lobby \u{fffd}"));
        assert_eq!(header.summary.tags, ["team=a\tb", "vip"]);
        let both = Header::parse(&[wire().encode_to_vec(), room.encode_to_vec()].concat()).unwrap();
        assert_eq!(both.summary.room_name.as_deref(), Some("obs"), "the summary counts first");
        // A field of another type than expected is no reason to lose the rest.
        let odd = [wire().encode_to_vec(), vec![6 << 3, 1]].concat();
        assert_eq!(Header::parse(&odd).unwrap().job_id.as_deref(), Some("AJ_x"));
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
