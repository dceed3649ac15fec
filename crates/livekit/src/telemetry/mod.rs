//! OTLP requests of the agents SDK: which session they belong to, and what they tell of it.
//!
//! The requests are kept raw; only what is needed to file them is read. Python sends protobuf, Node sends its logs as JSON.

mod inflate;
mod json;
mod protobuf;
mod redact;

use echosphere_domain::name;

pub use inflate::{InflateError, inflate};
pub use redact::{Redacted, redact};

/// What a request tells. Names are as they were sent, of any length and with any characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Session {
    /// LiveKit's room id.
    pub room_sid: Option<String>,
    /// LiveKit's job id.
    pub job_id: Option<String>,
    /// The room's name.
    pub room_name: Option<String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// The version of the SDK.
    pub sdk_version: Option<String>,
    /// The attributes whose text cannot be an id, and counts as absent.
    pub unusable: Vec<&'static str>,
}

impl Session {
    /// Takes an attribute; the first value of each name counts.
    fn note(&mut self, key: &str, value: &str) {
        let (field, slot) = match key {
            "room_id" => (Some("room_id"), &mut self.room_sid),
            "job_id" => (Some("job_id"), &mut self.job_id),
            "room" => (None, &mut self.room_name),
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

/// Reads a request of any signal. What cannot be read tells nothing.
pub fn read(content_type: &str, body: &[u8]) -> Session {
    let mut session = Session::default();
    if is_json(content_type) {
        json::read(body, &mut session);
    } else {
        protobuf::read(body, &mut session);
    }
    session
}

fn is_json(content_type: &str) -> bool {
    content_type.trim().get(..16).is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn node_logs_tell_the_rooms_name() {
        let body = br#"{"resourceLogs":[{"resource":{"attributes":[{"key":"job_id","value":{"stringValue":"AJ_x"}}]},
            "scopeLogs":[{"scope":{"attributes":[{"key":"room","value":{"stringValue":"lobby"}}]},
            "logRecords":[{"attributes":[{"key":"agent_name","value":{"stringValue":"nova"}},{"key":"n","value":{"intValue":"3"}}]}]}]}]}"#;
        let session = read("application/json; charset=utf-8", body);
        assert_eq!(session.job_id.as_deref(), Some("AJ_x"));
        assert_eq!(session.room_name.as_deref(), Some("lobby"));
        assert_eq!(session.agent_name.as_deref(), Some("nova"));
        let odd = String::from_utf8_lossy(body).replace("\"3\"", "NaN").replace("]}]}]}", "]}]}]");
        let le: Vec<u8> = odd.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read("application/json", odd.as_bytes()), session);
        assert_eq!(read("application/json", &le), session);
    }

    #[test]
    fn names_are_what_was_sent_and_what_is_no_id_is_said() {
        let long = "n".repeat(2_000);
        for name in [long.as_str(), "a\tb", "\u{202e}evil", "\"<b>' /\\", "👩‍👩‍👧"] {
            let attribute = |key: &str| serde_json::json!({ "key": key, "value": { "stringValue": name } });
            let body = serde_json::json!({ "a": [attribute("room"), attribute("agent_name"), attribute("job_id")] });
            let session = read("application/json", body.to_string().as_bytes());
            assert_eq!((session.room_name.as_deref(), session.agent_name.as_deref()), (Some(name), Some(name)));
            assert_eq!(session.job_id.is_none(), name.len() == 2_000);
            assert_eq!(session.unusable.is_empty(), name.len() < 2_000);
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), json in any::<bool>()) {
            read(if json { "application/json" } else { "application/x-protobuf" }, &bytes);
            let _ = inflate(&bytes, 1 << 20);
        }
    }
}
