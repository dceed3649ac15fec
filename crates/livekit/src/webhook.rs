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

use crate::lenient_json;
use crate::token::{self, Verifier};

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
    pub fn told(self) -> &'static str {
        match self {
            Self::Token(error) => error.told(),
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
        created_at: number(body.get("createdAt").or_else(|| body.get("created_at")))
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

/// protojson writes 64-bit numbers as strings.
fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use secrecy::SecretString;

    const NOW: WallTime = WallTime::from_millis(1_795_439_500_000);

    fn keys() -> (Verifier, SecretString) {
        let secret = SecretString::from("secretsecretsecretsecretsecretsecret");
        (Verifier::new([(ProjectId::default(), "devkey".to_owned(), secret.clone())]), secret)
    }

    #[test]
    fn only_what_was_signed_is_taken_and_a_later_server_is_no_error() {
        let (keys, secret) = keys();
        let body = br#"{"event":"something_new","id":"EV_1","room":{"sid":"RM_a","name":"support","turnPassword":"x","later":[1]},
            "participant":{"identity":"a","kind":"ROBOT"},"createdAt":"1795439500"}"#;
        let token = token::mint_webhook("devkey", &secret, body, NOW, 300);
        let Received { project, event, body: kept } = receive(&keys, &token, body, NOW).unwrap();
        assert_eq!((project, event.name.as_str()), (ProjectId::default(), "something_new"));
        assert_eq!((event.room_sid.as_str(), event.room_name.as_str()), ("RM_a", "support"));
        assert_eq!(event.participant_kind.as_deref(), Some("ROBOT"));
        assert_eq!(event.created_at, Some(WallTime::from_millis(1_795_439_500_000)));
        assert!(!format!("{event:?}{kept}").contains("turnPassword") && kept.contains("later"));
        assert_eq!(read_kept(&kept), event);
        assert_eq!(receive(&keys, &token, b"{}", NOW), Err(Error::Body));
        assert_eq!(check(&keys, &token, NOW), Ok(()));
        assert!(check(&keys, "x", NOW).is_err() && check(&keys, "", NOW).is_err());
        let later = NOW.plus_nanos(400_000_000_000);
        assert_eq!(receive(&keys, &token, body, later), Err(Error::Token(token::Error::Expired)));
        let other = token::mint("devkey", &secret, token::Grant::RoomRecord, NOW, 300);
        assert!(receive(&keys, &other, body, NOW).is_err(), "a token that signs no body");
        assert!(check(&keys, &other, NOW).is_err() && check(&keys, &token, later).is_err());
    }

    #[test]
    fn a_bad_value_costs_that_value() {
        let (keys, secret) = keys();
        let received = |body: &[u8]| receive(&keys, &token::mint_webhook("devkey", &secret, body, NOW, 300), body, NOW);
        let body = b"\xef\xbb\xbf{\"id\":\"EV_1\",\"event\":\"room_started\",\"n\":NaN,\"room\":{\"name\":\"a\xffb\",\"sid\":\"RM_a\",},\"createdAt\":1e999}";
        let Received { event, body, .. } = received(body).unwrap();
        assert_eq!((event.name.as_str(), event.room_sid.as_str(), event.created_at), ("room_started", "RM_a", None));
        assert_eq!(read_kept(&body), event);
        assert_eq!(received(b"nonsense"), Err(Error::Malformed));
        assert_eq!(received(b""), Err(Error::Malformed));
    }

    #[test]
    fn an_event_without_an_id_has_the_same_one_when_it_comes_again() {
        let (keys, secret) = keys();
        let id = |body: &[u8]| {
            let token = token::mint_webhook("devkey", &secret, body, NOW, 300);
            receive(&keys, &token, body, NOW).unwrap().event.id
        };
        assert_eq!(id(b"{}"), id(b"{}"));
        assert_ne!(id(b"{}"), id(b"[]"));
    }

    #[test]
    fn people_are_told_of_and_recorders_are_not() {
        let told = |event: &str, participant: &str| {
            read_kept(&format!(r#"{{"event":"{event}","room":{{"sid":"RM_a"}},"participant":{participant}}}"#)).person
        };
        let whole = r#"{"identity":"bob\t","name":"Bob","kind":"SIP","attributes":{"sip.phoneNumber":"+49","n":1},"state":"DISCONNECTED"}"#;
        let bob = Person {
            identity: "bob\t".to_owned(),
            name: "Bob".to_owned(),
            kind: "SIP".to_owned(),
            attributes: BTreeMap::from([("sip.phoneNumber".to_owned(), "+49".to_owned())]),
        };
        for event in ["participant_joined", "participant_left", "participant_connection_aborted", "participant_later"] {
            assert_eq!(told(event, whole), Some(bob.clone()));
        }
        let standard = told("participant_joined", r#"{"identity":"a","permission":{"canSubscribe":true}}"#).unwrap();
        assert_eq!((standard.kind.as_str(), standard.attributes.len()), ("STANDARD", 0));
        assert_eq!(told("participant_joined", r#"{"identity":"a","kind":4}"#).unwrap().kind, "AGENT");
        let nobody = [
            ("track_published", whole),
            ("participant_joined", r#"{"identity":"EG_x","kind":"EGRESS"}"#),
            ("participant_joined", r#"{"identity":"echosphere-1","permission":{"hidden":true,"recorder":true}}"#),
            ("participant_left", r#"{"identity":"spy","permission":{"hidden":true}}"#),
            ("participant_joined", r#"{"name":"no identity"}"#),
            ("participant_joined", "7"),
        ];
        for (event, participant) in nobody {
            assert_eq!(told(event, participant), None, "{event} {participant}");
        }
    }

    proptest! {
        #[test]
        fn any_body(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let (keys, secret) = keys();
            let token = token::mint_webhook("devkey", &secret, &body, NOW, 300);
            let _ = receive(&keys, &token, &body, NOW);
        }
    }
}
