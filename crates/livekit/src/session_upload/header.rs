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
mod tests;
