//! What the SDK really sent, read part by part.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::PathBuf;

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Kind, Role};
use echosphere_livekit::session_upload::chat_history;
use echosphere_livekit::session_upload::header::Header;
use echosphere_livekit::session_upload::multipart::{Lengths, Part, Scanner};
use echosphere_livekit::telemetry;

fn testdata(path: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/agent-sessions").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scan(body: &[u8], lengths: Lengths) -> Vec<Part> {
    let mut scanner = Scanner::new("", lengths);
    body.chunks(10_000).for_each(|chunk| scanner.push(chunk));
    scanner.finish().parts
}

fn content<'a>(body: &'a [u8], part: &Part) -> &'a [u8] {
    &body[part.offset as usize..(part.offset + part.length) as usize]
}

#[test]
fn the_parts_of_every_session() {
    for (session, expected) in [
        ("order", [1289, 8034, 1_052_109].as_slice()),
        ("node-order", &[48, 5622, 1_042_067]),
        ("survey", &[1235, 1966]),
    ] {
        let body = testdata(&format!("{session}/body.bin"));
        for lengths in [Lengths::Believed, Lengths::Ignored] {
            let parts = scan(&body, lengths);
            assert!(parts.iter().all(|part| part.complete));
            assert_eq!(parts.iter().map(|part| part.length).collect::<Vec<_>>(), expected, "{session}");
        }
    }
}

#[test]
fn the_headers_of_both_sdks() {
    let body = testdata("order/body.bin");
    let header = Header::parse(content(&body, &scan(&body, Lengths::Believed)[0])).unwrap();
    assert_eq!(header.start_time, Some(WallTime::from_millis(1_795_439_500_386)));
    assert_eq!(header.summary.room_name.as_deref(), Some("obs-order-68212c"));
    assert_eq!((header.duration_ms, header.summary.audio), (Some(62_971), Some(true)));
    let body = testdata("node-order/body.bin");
    let header = Header::parse(content(&body, &scan(&body, Lengths::Believed)[0])).unwrap();
    assert_eq!((header.job_id.as_deref(), header.summary.room_name), (Some("AJ_mLvLd25M8U4u"), None));
    let body = testdata("survey/body.bin");
    let header = Header::parse(content(&body, &scan(&body, Lengths::Believed)[0])).unwrap();
    assert_eq!((header.start_time, header.summary.audio), (None, Some(false)));
}

#[test]
fn the_turns_of_a_call() {
    for session in ["order", "node-order"] {
        let body = testdata(&format!("{session}/body.bin"));
        let history = chat_history::parse(content(&body, &scan(&body, Lengths::Believed)[1]));
        assert!(!history.damaged);
        let turns = history.transcript.turns;
        let spoken =
            |role| turns.iter().filter(|turn| turn.kind == Kind::Message && turn.role == role && !turn.typed).count();
        assert_eq!((spoken(Role::User), spoken(Role::Agent)), (5, 6), "{session}");
        let results: Vec<_> = turns.iter().filter(|turn| turn.kind == Kind::ToolResult).collect();
        assert!(results[0].text.starts_with("{\"order_id\""), "{session}: {}", results[0].text);
        assert_eq!(results[1].call.as_ref().unwrap().is_error, Some(true));
    }
}

#[test]
fn telemetry_names_its_session() {
    let logs = testdata("node-order/otlp/022-POST-observability_logs_otlp_v0.body.json");
    let session = telemetry::read("application/json", &logs);
    assert_eq!(session.job_id.as_deref(), Some("AJ_mLvLd25M8U4u"));
    assert_eq!(session.room_name.as_deref(), Some("obs-order-76173d"));
    assert_eq!(session.agent_name.as_deref(), Some("obs-node"));
    for signal in ["traces", "logs", "metrics"] {
        let request = testdata(&format!("order/otlp/POST-observability_{signal}_otlp_v0.binpb.gz"));
        let body = telemetry::inflate(&request, 64 << 20).unwrap();
        let session = telemetry::read("application/x-protobuf", &body);
        assert_eq!(session.job_id.as_deref(), Some("AJ_cEzv5TDXsvVt"), "{signal}");
    }
}
