//! Verifies LiveKit's webhooks and reads their events leniently (livekit/protocol, webhook/).
//!
//! The body is protojson. It is read by name, so that an unknown event or field of a newer server is no error; nothing but what is
//! needed is read from it, and never `turnPassword`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::token::{self, Verifier};
use crate::{lenient_json, protojson};

/// Why a webhook is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its token is not valid.
    #[error(transparent)]
    Token(#[from] token::Error),
    /// The token was signed for another body.
    #[error("the webhook's body is not the one that was signed")]
    Body,
    /// The body is not JSON.
    #[error("the webhook's body is not JSON")]
    Malformed,
}

impl Error {
    /// The message for the sender of the webhook.
    pub fn public_message(self) -> &'static str {
        match self {
            Self::Token(error) => error.public_message(),
            Self::Body => "the webhook's body is not the one that was signed",
            Self::Malformed => "the webhook's body is not JSON",
        }
    }
}

/// A webhook's event, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// `room_started`, `participant_joined`, ...
    pub name: String,
    /// LiveKit's id of the event; the same event may be delivered more than once.
    pub id: String,
    /// LiveKit's id of the room.
    pub room_sid: String,
    /// The room's name.
    pub room_name: String,
    /// The participant's kind, `STANDARD` when unspecified; `None` when the event has no participant.
    pub participant_kind: Option<String>,
    /// The participant of a `participant_...` event; `None` for recorders and hidden participants.
    pub person: Option<Person>,
    /// When LiveKit created it, to the second.
    pub created_at: Option<WallTime>,
}

/// A participant of a room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The identity.
    pub identity: String,
    /// The display name; empty when there is none.
    pub name: String,
    /// LiveKit's kind: `STANDARD`, `AGENT`, `SIP`, ...
    pub kind: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
}

/// A webhook that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The project of the key that signed it.
    pub project: ProjectId,
    /// Its event.
    pub event: Event,
    /// Its body, without secrets, as JSON.
    pub body: String,
}

/// Checks what can be checked before the body arrives: that the token is signed with one of our keys and has not expired.
pub fn check(keys: &Verifier, authorization: &str, now: WallTime) -> Result<(), Error> {
    Ok(keys.verify_body(token_of(authorization), now).map(drop)?)
}

fn token_of(authorization: &str) -> &str {
    authorization.strip_prefix("Bearer ").unwrap_or(authorization).trim()
}

/// Verifies a webhook and reads it. `authorization` is its header: the token alone, without a scheme.
pub fn receive(keys: &Verifier, authorization: &str, body: &[u8], now: WallTime) -> Result<Received, Error> {
    let (project, signed) = keys.verify_body(token_of(authorization), now)?;
    let actual = STANDARD.encode(Sha256::digest(body));
    if !bool::from(actual.as_bytes().ct_eq(signed.as_bytes())) {
        return Err(Error::Body);
    }
    let mut value = lenient_json::read(body).value;
    if !(value.is_object() || value.is_array()) {
        return Err(Error::Malformed);
    }
    withhold_secrets(&mut value);
    let mut event = read(&value);
    if event.id.is_empty() {
        // An id that is the same when the event is delivered again.
        event.id = format!("sha256:{actual}");
    }
    Ok(Received { project, event, body: value.to_string() })
}

/// The event of a stored body; an empty one if the body is not JSON.
pub fn read_kept(body: &str) -> Event {
    read(&serde_json::from_str(body).unwrap_or_default())
}

/// Removes TURN passwords: they give access to LiveKit's relay.
fn withhold_secrets(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !matches!(name.as_str(), "turnPassword" | "turn_password"));
            fields.values_mut().for_each(withhold_secrets);
        }
        Value::Array(list) => list.iter_mut().for_each(withhold_secrets),
        _ => {}
    }
}

fn read(body: &Value) -> Event {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let room = &body["room"];
    let participant = body.get("participant").filter(|participant| participant.is_object());
    Event {
        name: text(&body["event"]),
        id: text(&body["id"]),
        room_sid: text(&room["sid"]),
        room_name: text(&room["name"]),
        participant_kind: participant.map(kind),
        // Events about tracks only identify the track's owner (livekit-server, pkg/telemetry/events.go): they do not say whether it
        // is hidden or a recorder.
        person: participant.filter(|_| is_about_people(&text(&body["event"]))).and_then(person),
        created_at: protojson::field(body, "created_at")
            .and_then(protojson::number)
            .map(|seconds| WallTime::from_millis(seconds.saturating_mul(1_000))),
    }
}

fn is_about_people(event: &str) -> bool {
    event.starts_with("participant_")
}

/// protojson omits the first value of an enum, and writes values that it does not know as numbers.
fn kind(participant: &Value) -> String {
    match &participant["kind"] {
        Value::String(kind) => kind.clone(),
        Value::Number(kind) => match kind.as_i64() {
            Some(0) | None => "STANDARD".to_owned(),
            Some(1) => "INGRESS".to_owned(),
            Some(2) => "EGRESS".to_owned(),
            Some(3) => "SIP".to_owned(),
            Some(4) => "AGENT".to_owned(),
            Some(other) => other.to_string(),
        },
        _ => "STANDARD".to_owned(),
    }
}

fn person(participant: &Value) -> Option<Person> {
    let kind = kind(participant);
    let permission = &participant["permission"];
    let is_recorder =
        kind == "EGRESS" || [&permission["hidden"], &permission["recorder"]].iter().any(|it| **it == true);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let identity = text(&participant["identity"]);
    let attributes = participant["attributes"].as_object().into_iter().flatten();
    let attributes = attributes.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    (!is_recorder && !identity.is_empty()).then(|| Person {
        name: text(&participant["name"]),
        kind,
        attributes: attributes.collect(),
        identity,
    })
}

#[cfg(test)]
mod tests;
