//! Tests of `webhook`.

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
    let body =
        br#"{"event":"something_new","id":"EV_1","room":{"sid":"RM_a","name":"support","turnPassword":"x","later":[1]},
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
fn people_are_reported_and_recorders_are_not() {
    let person = |event: &str, participant: &str| {
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
        assert_eq!(person(event, whole), Some(bob.clone()));
    }
    let standard = person("participant_joined", r#"{"identity":"a","permission":{"canSubscribe":true}}"#).unwrap();
    assert_eq!((standard.kind.as_str(), standard.attributes.len()), ("STANDARD", 0));
    assert_eq!(person("participant_joined", r#"{"identity":"a","kind":4}"#).unwrap().kind, "AGENT");
    let nobody = [
        ("track_published", whole),
        ("participant_joined", r#"{"identity":"EG_x","kind":"EGRESS"}"#),
        ("participant_joined", r#"{"identity":"echosphere-1","permission":{"hidden":true,"recorder":true}}"#),
        ("participant_left", r#"{"identity":"spy","permission":{"hidden":true}}"#),
        ("participant_joined", r#"{"name":"no identity"}"#),
        ("participant_joined", "7"),
    ];
    for (event, participant) in nobody {
        assert_eq!(person(event, participant), None, "{event} {participant}");
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
