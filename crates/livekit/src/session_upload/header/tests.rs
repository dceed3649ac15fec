//! Tests of `header`.

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
        session_summary: br#"{"room":"obs","tags":["a",1],"options":{"recording_options":{"audio":false}}}"#.to_vec(),
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
        assert_eq!((start_time.is_some(), is_test, redaction_enabled), (has_start, simulated, redaction), "{version}");
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
