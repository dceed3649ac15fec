//! What newer versions of the agents SDK upload, made of a recorded session by what is known of them.

#![allow(clippy::unwrap_used, reason = "a test may")]

use echosphere_testkit::server::Server;
use echosphere_testkit::session::Session;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// Field 9 of the header, `simulated`.
const SIMULATED: [u8; 2] = [9 << 3, 1];

fn message(id: &str, role: &str, text: &str, created_at: f64) -> Value {
    json!({ "id": id, "type": "message", "role": role, "content": [text], "interrupted": false, "created_at": created_at })
}

/// livekit-agents 2.0.0b1, `LiveSession(thread=...)`: items of stored conversations come first, with their own times and without metrics.
fn with_thread(session: &Session) -> Session {
    session.changed(
        |header| [header, SIMULATED.to_vec()].concat(),
        |mut history| {
            let items = history["items"].as_array_mut().unwrap();
            let first = items.iter().filter_map(|item| item["created_at"].as_f64()).fold(f64::INFINITY, f64::min);
            let (days, hours) = (first - 3.0 * 86_400.0, first - 7_200.0);
            let stored = [
                message("old1", "user", "Where is my umbrella?", days),
                message("old2", "assistant", "In the hall.", days + 4.0),
                json!({ "id": "old3", "type": "agent_handoff", "new_agent_id": "ada", "created_at": hours }),
                message("old4", "user", "Thank you", hours + 3.0),
            ];
            items.splice(0..0, stored);
            history
        },
    )
}

#[test]
fn a_stored_conversation_stands_apart_and_moves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[]);
    let plain = Session::load("order");
    let threaded = with_thread(&plain.renamed(7));
    for session in [&plain, &threaded] {
        let answer = session.upload(server.address);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let recordings = server.settled();
    let of = |simulated: bool| recordings.iter().find(|recording| recording["simulated"] == simulated).unwrap();
    let (plain, threaded) = (of(false), of(true));
    for same in ["started_at", "ended_at", "duration_ms", "status", "partial"] {
        assert_eq!(plain[same], threaded[same], "{same}");
    }
    let read = |recording: &Value, form: &str| {
        server.get(&format!("/v1/recordings/{}/transcript{form}", recording["id"].as_str().unwrap()))
    };
    let turns = |recording: &Value| read(recording, "").json()["turns"].as_array().unwrap().clone();
    let (stored, own): (Vec<Value>, Vec<Value>) = turns(threaded).into_iter().partition(|turn| turn["earlier"] == true);
    let texts: Vec<&str> = stored.iter().map(|turn| turn["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Where is my umbrella?", "In the hall.", "ada takes the call", "Thank you"]);
    assert!(stored.iter().all(|turn| turn["start_ms"].is_null() && turn["approximate"] == false), "{stored:?}");
    assert_eq!(own, turns(plain), "what this session has is where it is without the others");
    for form in [".vtt", ".srt"] {
        assert_eq!(read(plain, form).text(), read(threaded, form).text());
    }
    let text = read(threaded, ".txt").text();
    assert!(text.starts_with("[earlier] User: Where is my umbrella?\n"), "{text}");
    assert!(text.ends_with(&read(plain, ".txt").text()), "{text}");
}

/// Judges and outcomes are reported as logs even where the session is not recorded: of that no recording is made.
#[test]
fn a_session_that_was_only_judged_makes_no_recording() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[]);
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let record = |body: &str, attributes: Value| json!({ "body": { "stringValue": body }, "severityNumber": 17, "attributes": attributes });
    let judged = json!({ "key": "evaluation", "value": { "kvlistValue": { "values": [text("name", "politeness"), text("verdict", "fail"), text("reasoning", "curt")] } } });
    let logs = json!({ "resourceLogs": [{ "scopeLogs": [{
        "scope": { "name": "evaluations", "attributes": [text("room", "calls"), text("room_id", "RM_judged"), text("job_id", "AJ_judged")] },
        "logRecords": [
            record("evaluation", json!([judged])),
            record("tag", json!([text("tag", "vip")])),
            record("outcome", json!([text("outcome", "success")])),
            record("session report", json!([text("agent_name", "nova"), text("sdk_version", "2.0.0b1")])),
        ],
    }] }] });
    let token = format!("Bearer {}", echosphere_testkit::session::token());
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let body = serde_json::to_vec(&logs).unwrap();
    for _ in 0..2 {
        let path = "/observability/logs/otlp/v0";
        let answer = echosphere_testkit::http::send(server.address, "POST", path, &headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(server.settled().is_empty());
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
