//! Tests of `telemetry`.

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
fn a_request_of_any_size_and_depth_is_read_in_bounded_memory() {
    let attribute = r#"{"key":"job_id","value":{"stringValue":"AJ_x"}}"#;
    for unit in ["0,", "{},", "[", r#"{"a":"#, r#"{"key":"#, r#""z","#, r#""\","#] {
        let text = format!(r#"{{"a":{attribute},"b":[{}"#, unit.repeat((1 << 20) / unit.len()));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        let bytes = gzip.finish().unwrap();
        let session = read_from("application/json", true, bytes.as_slice(), 2 << 20).unwrap();
        assert_eq!(session.job_id.as_deref(), Some("AJ_x"), "{unit}");
        let too_large = read_from("application/json", true, bytes.as_slice(), 1 << 19);
        assert_eq!(too_large, Err(InflateError::TooLarge { limit: 1 << 19 }));
    }
    let empty = b"\x0a\x00".repeat(1 << 20);
    assert_eq!(read("application/x-protobuf", &empty), TelemetrySession::default());
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

#[test]
fn the_room_of_a_scope_outranks_one_of_a_record() {
    let attribute = |name: &str| serde_json::json!([{ "key": "room", "value": { "stringValue": name } }]);
    let record = serde_json::json!({ "attributes": attribute("users-own") });
    let body = |scope: serde_json::Value| {
        serde_json::json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record], "scope": scope }] }] })
            .to_string()
    };
    let session = read("application/json", body(serde_json::json!({ "attributes": attribute("lobby") })).as_bytes());
    assert_eq!((session.room_name.as_deref(), session.room_is_sure), (Some("lobby"), true));
    let session = read("application/json", body(serde_json::json!({})).as_bytes());
    assert_eq!((session.room_name.as_deref(), session.room_is_sure), (Some("users-own"), false));
    let (record, lobby) = (attribute_bytes("room", "users-own"), attribute_bytes("room", "lobby"));
    let record = field(2, &field(6, &record));
    for (around, expected) in [(field(1, &field(3, &lobby)), ("lobby", true)), (Vec::new(), ("users-own", false))] {
        let session = read("application/x-protobuf", &field(1, &field(2, &[record.clone(), around].concat())));
        assert_eq!((session.room_name.as_deref().unwrap(), session.room_is_sure), expected);
    }
    let resource = field(1, &field(1, &field(1, &lobby)));
    assert!(read("", &resource).room_is_sure);
    let span = field(1, &field(2, &field(2, &field(9, &attribute_bytes("lk.pii.room_name", "lobby")))));
    assert!(read("", &span).room_is_sure);
}

#[test]
fn a_session_that_asks_for_redaction_is_known_by_its_options() {
    let options = |value: serde_json::Value| {
        let field = |key: &str, value: serde_json::Value| serde_json::json!({ "key": key, "value": value });
        let list = |fields: serde_json::Value| serde_json::json!({ "kvlistValue": { "values": fields } });
        let inner = list(serde_json::json!([
            field("audio", serde_json::json!({ "boolValue": true })),
            field("redaction", value)
        ]));
        let outer = list(serde_json::json!([field("recording_options", inner)]));
        read("application/json", serde_json::json!({ "a": [field("session.options", outer)] }).to_string().as_bytes())
    };
    assert!(options(serde_json::json!({ "boolValue": true })).redaction);
    assert!(!options(serde_json::json!({ "boolValue": false })).redaction);
    let own = br#"{"a":[{"key":"redaction","value":{"boolValue":true}}]}"#;
    assert!(!read("application/json", own).redaction, "a user's own attribute");
    let redaction = |value: u8| field(1, &[field(1, b"redaction"), field(2, &[16, value])].concat());
    let options = |value: u8| [field(1, b"recording_options"), field(2, &field(6, &redaction(value)))].concat();
    let request = |attribute: &[u8]| field(1, &field(2, &field(2, &field(6, attribute))));
    let nested = |value: u8| {
        let list = field(6, &field(1, &options(value)));
        request(&[field(1, b"session.options"), field(2, &list)].concat())
    };
    assert!(read("", &nested(1)).redaction && !read("", &nested(0)).redaction);
    assert!(!read("", &request(&[field(1, b"redaction"), field(2, &[16, 1])].concat())).redaction);
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn attribute_bytes(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400), json in any::<bool>()) {
        read(if json { "application/json" } else { "application/x-protobuf" }, &bytes);
        let _ = inflate(&bytes, 1 << 20);
    }
}
