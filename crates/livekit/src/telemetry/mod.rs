//! Finds out which session an OTLP request of the agents SDK belongs to, and what it says about the session.
//!
//! Requests are stored raw; only what is needed to file them is read. Python sends protobuf, Node sends its logs as JSON.

mod inflate;
mod json;
mod protobuf;
mod redact;

use std::io;

use echosphere_domain::name;

pub use inflate::{InflateError, inflate};
pub use redact::{Redacted, redact};

/// What a request says about its session. Names are as they were sent: of any length, with any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TelemetrySession {
    /// LiveKit's room id.
    pub room_sid: Option<String>,
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// The room's name.
    pub room_name: Option<String>,
    /// Whether `room_name` was set by the SDK itself: a user's log record may have an attribute of the same name.
    pub room_is_sure: bool,
    /// Whether the session's options ask for redaction.
    pub redaction: bool,
    /// The name under which the agent was dispatched.
    pub agent_name: Option<String>,
    /// The version of the SDK.
    pub sdk_version: Option<String>,
    /// The attributes whose text cannot be an id; they count as absent.
    pub unusable: Vec<&'static str>,
}

/// Where an attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On a resource or a scope, which belong to the SDK.
    Around,
    /// On a record, span or data point, or in a value.
    Inside,
}

/// The field of the attribute `session.options` that says what is recorded.
const OPTIONS: &str = "recording_options";
/// The field of it that asks the receiver to redact.
const REDACTION: &str = "redaction";

impl TelemetrySession {
    /// Notes the room's name: one that is sure replaces one that is not, otherwise the first counts.
    fn note_room(&mut self, value: &str, is_sure: bool) {
        if !value.is_empty() && (self.room_name.is_none() || (is_sure && !self.room_is_sure)) {
            (self.room_name, self.room_is_sure) = (Some(value.to_owned()), is_sure);
        }
    }

    /// Notes an attribute of a record or of what encloses it; the first usable value of each name counts.
    fn note(&mut self, key: &str, value: &str, place: Place) {
        let (field, slot) = match key {
            "room_id" => (Some("room_id"), &mut self.room_sid),
            "job_id" => (Some("job_id"), &mut self.job_id),
            "room" => return self.note_room(value, place == Place::Around),
            // In traces of the agents SDK since 1.8.0, and since 1.5.8.
            "lk.pii.room_name" | "lk.room_name" => return self.note_room(value, true),
            "agent_name" => (None, &mut self.agent_name),
            "sdk_version" => (None, &mut self.sdk_version),
            _ => return,
        };
        if value.is_empty() || slot.is_some() {
            return;
        }
        match field {
            Some(field) if !name::is_whole(value) => {
                if !self.unusable.contains(&field) {
                    self.unusable.push(field);
                }
            }
            _ => *slot = Some(value.to_owned()),
        }
    }
}

/// The longest string that is read from JSON, in bytes.
const LONGEST_TEXT: usize = 64 << 10;

/// Reads a request of any signal. An unreadable one yields an empty session.
pub fn read(content_type: &str, body: &[u8]) -> TelemetrySession {
    read_from(content_type, false, body, usize::MAX).unwrap_or_default()
}

/// Reads a request of any signal as a stream, gzip or not, in bounded memory: of at most `limit` bytes when inflated.
pub fn read_from(
    content_type: &str,
    is_gzip: bool,
    body: impl io::Read,
    limit: usize,
) -> Result<TelemetrySession, InflateError> {
    let mut session = TelemetrySession::default();
    inflate::inflated(body, is_gzip, limit, |source| {
        if is_json(content_type) { json::read(source, &mut session) } else { protobuf::read(source, &mut session) }
    })?;
    Ok(session)
}

/// Reads a whole body, gzip or not, of at most `limit` bytes when inflated.
pub fn read_whole(is_gzip: bool, body: impl io::Read, limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    inflate::inflated(body, is_gzip, limit, |source| source.read_to_end(&mut out).map(drop))?;
    Ok(out)
}

fn is_json(content_type: &str) -> bool {
    content_type.trim().get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests;
