//! Rooms over HTTP, as far as it needs no room: requests that come twice, webhooks, and who listens. LiveKit is not there; a
//! recording that was begun waits for it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{BufRead, BufReader, Write};
use std::time::{Duration, Instant};

use echosphere_livekit::token;
use echosphere_server::clock;
use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::{self, KEY, SECRET, Server};
use echosphere_testkit::session;
use secrecy::SecretString;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
/// Nobody listens there.
const NOWHERE: (&str, &str) = ("LIVEKIT_URL", "ws://127.0.0.1:9");

fn server(variables: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), variables);
    (dir, server)
}

fn start(server: &Server, body: &Value, key: Option<&str>) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(key.map(|key| ("idempotency-key", key)));
    server.send("POST", "/v1/recordings", &headers, body.to_string().as_bytes())
}

fn webhook(server: &Server, body: &Value) -> Answer {
    let body = body.to_string();
    let token = token::mint_webhook(KEY, &SecretString::from(SECRET), body.as_bytes(), clock::now(), 300);
    let headers = [("authorization", token.as_str()), ("content-type", "application/webhook+json")];
    http::send(server.address, "POST", "/livekit/webhook", &headers, body.as_bytes())
}

fn joined(id: &str, room: &str) -> Value {
    json!({
        "event": "participant_joined", "id": id, "createdAt": "1795439500",
        "room": { "sid": format!("RM_{room}"), "name": room, "turnPassword": "open-sesame" },
        "participant": { "sid": "PA_1", "identity": "bob" },
    })
}

/// Waits for something that takes a moment.
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    server::until(what, Duration::from_secs(20), look)
}

fn metric(server: &Server, name: &str) -> Option<String> {
    let metrics = server.get("/metrics").text();
    metrics.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
}

#[test]
fn a_request_that_comes_twice_is_carried_out_once() {
    let (_dir, mut server) = server(&[NOWHERE]);
    let body = json!({ "room_name": "a", "labels": { "x": "1", "y": "2" } });
    let first = start(&server, &body, Some("key-1"));
    assert_eq!(first.status, 201, "{}", first.text());
    let again = start(&server, &json!({ "labels": { "y": "2", "x": "1" }, "room_name": "a" }), Some("key-1"));
    assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]));
    let other = start(&server, &json!({ "room_name": "b" }), Some("key-1"));
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("/problems/idempotency-key-reused")));
    assert_eq!(start(&server, &body, Some("key-2")).status, 409);
    assert_eq!(start(&server, &body, Some("")).status, 400);
    assert_eq!(start(&server, &body, Some(&"k".repeat(256))).status, 400);
    server.restart();
    let again = start(&server, &body, Some("key-1"));
    assert_eq!((again.status, &again.json()["id"]), (200, &first.json()["id"]), "it is durable");
    // All at once: one recording, whoever comes first.
    let ids: Vec<Value> = std::thread::scope(|scope| {
        let body = json!({ "room_name": "crowd" });
        let asked: Vec<_> = (0..6)
            .map(|_| (&server, body.clone()))
            .map(|(server, body)| scope.spawn(move || start(server, &body, Some("key-3")).json()["id"].clone()))
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0] && id.is_string()), "{ids:?}");
}

#[test]
fn a_webhook_is_kept_once_without_secrets_and_begins_one_recording() {
    let (_dir, mut server) = server(&[NOWHERE, ("ECHOSPHERE_RECORDER_AUTO_RECORD", "call-*")]);
    assert_eq!(webhook(&server, &joined("EV_1", "call-1")).status, 200);
    assert_eq!(webhook(&server, &joined("EV_1", "call-1")).status, 200);
    assert_eq!(webhook(&server, &joined("EV_2", "call-1")).status, 200);
    assert_eq!(webhook(&server, &joined("EV_3", "private")).status, 200);
    assert_eq!(webhook(&server, &json!({ "event": "room_finished", "id": "EV_4", "later": { "a": [1] } })).status, 200);
    assert_eq!(webhook(&server, &json!({})).status, 200);
    let forged = http::send(server.address, "POST", "/livekit/webhook", &[("authorization", "x.y.z")], b"{}");
    assert_eq!(forged.status, 401);
    let recording = until("a recording", || server.recordings().into_iter().next());
    assert_eq!(recording["room_name"], "call-1");
    until("all of them to be worked off", || (open_webhooks(&server) == 0).then_some(()));
    assert_eq!(server.recordings().len(), 1);
    for (outcome, count) in [("received", "5"), ("duplicate", "1"), ("refused", "1")] {
        let name = format!("echosphere_webhooks_total{{outcome=\"{outcome}\"}}");
        assert_eq!(metric(&server, &name).as_deref(), Some(count), "{outcome}");
    }
    server.kill9();
    for (path, bytes) in server.kept() {
        assert!(!bytes.windows(11).any(|window| window == b"open-sesame"), "{}", path.display());
    }
}

#[test]
fn a_project_that_wants_no_recording_of_a_room_is_not_recorded_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, "projects:\n  - name: default\n    excluded_rooms: ['call-private-*']\n    livekit: []\n")
        .unwrap();
    let config = ("ECHOSPHERE_CONFIG", path.to_str().unwrap());
    let server = Server::start(PROGRAM, dir.path(), &[NOWHERE, ("ECHOSPHERE_RECORDER_AUTO_RECORD", "call-*"), config]);
    assert_eq!(webhook(&server, &joined("EV_1", "call-private-1")).status, 200);
    assert_eq!(webhook(&server, &joined("EV_2", "call-1")).status, 200);
    until("both to be worked off", || (open_webhooks(&server) == 0).then_some(()));
    let names: Vec<Value> = server.recordings().iter().map(|recording| recording["room_name"].clone()).collect();
    assert_eq!(names, ["call-1"]);
}

/// Names that LiveKit may be configured to take.
fn odd_names() -> [String; 6] {
    let names = [
        "tab\tand\nline",
        "\u{202e}nommos\u{202c}",
        "\"it's\" <b>/../\\&%?#",
        "👩\u{200d}👩\u{200d}👧 Straße",
        "\u{7}\u{1b}[31m",
    ];
    let long = "n".repeat(600);
    [long.as_str(), names[0], names[1], names[2], names[3], names[4]].map(str::to_owned)
}

fn named(server: &Server, name: &str) -> Vec<Value> {
    let encoded = name.bytes().fold(String::new(), |encoded, byte| encoded + &format!("%{byte:02X}"));
    let page = server.get(&format!("/v1/recordings?room_name={encoded}"));
    page.json()["items"].as_array().unwrap().clone()
}

#[test]
fn a_room_may_have_any_name() {
    let (_dir, server) = server(&[NOWHERE, ("ECHOSPHERE_RECORDER_AUTO_RECORD", "*")]);
    for (number, name) in odd_names().iter().enumerate() {
        assert_eq!(webhook(&server, &joined(&format!("EV_{number}"), name)).status, 200);
        let found = until("the recording", || named(&server, name).into_iter().next());
        assert_eq!(found["room_name"], name.as_str());
        assert_eq!(start(&server, &json!({ "room_name": name }), None).status, 409, "it is that very room");
        let asked = format!("{name}2");
        let answer = start(&server, &json!({ "room_name": asked, "session_id": name }), None);
        assert_eq!((answer.status, &answer.json()["session_id"]), (201, &json!(name)), "{}", answer.text());
        assert_eq!(named(&server, &asked)[0]["id"], answer.json()["id"]);
    }
    assert!(!server.log().contains('\u{202e}') && !server.log().contains('\u{7}'), "a log escapes what it shows");
    assert!(!server.get("/metrics").text().contains("nnnnnn"));
    let too_long = "n".repeat(1_025);
    for body in [json!({ "room_name": too_long }), json!({ "room_name": "" }), json!({ "room_name": "a\u{0}b" })] {
        let answer = start(&server, &body, None);
        assert_eq!(answer.status, 400);
        assert!(answer.json()["detail"].as_str().unwrap().contains("1 to 1024 characters"), "{}", answer.text());
    }
    let mut body = joined("EV_long", "long");
    body["room"]["name"] = json!(too_long);
    assert_eq!(webhook(&server, &body).status, 200);
    until("it to be worked off", || (open_webhooks(&server) == 0).then_some(()));
    assert_eq!(named(&server, &too_long).len(), 0);
    assert!(server.log().contains("a room that should be recorded is not"), "{}", server.log());
}

/// A field of protobuf that has bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = content.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [out, content.to_vec()].concat()
}

/// Uploads a session that has no more than a header.
fn upload(server: &Server, header: &[u8]) {
    let head = "--b\r\nContent-Disposition: form-data; name=\"header\"; filename=\"header.binpb\"\r\nContent-Type: application/protobuf\r\n\r\n";
    let body = [head.as_bytes(), header, b"\r\n--b--\r\n"].concat();
    let answer = session::upload(server.address, "multipart/form-data; boundary=b", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_session_may_have_any_names() {
    let (_dir, server) = server(&[]);
    for (number, name) in odd_names().iter().enumerate() {
        let tag = [field(1, b"room"), field(2, name.as_bytes())].concat();
        let job = field(8, format!("AJ_{number}").as_bytes());
        let header = if number % 2 == 0 {
            [field(5, &tag), field(6, name.as_bytes()), job].concat()
        } else {
            let summary = json!({ "room": name, "agent_name": name, "tags": [name] }).to_string();
            [job, field(11, summary.as_bytes())].concat()
        };
        upload(&server, &header);
        let is_whole = |found: &Value| found["status"] == "COMPLETED";
        let found = until("the recording", || named(&server, name).into_iter().find(is_whole));
        assert_eq!(found["session_id"], format!("AJ_{number}"));
        assert_eq!(found["tags"], if number % 2 == 0 { json!([format!("room={name}")]) } else { json!([name]) });
    }
    let long = "ü".repeat(1_100);
    upload(&server, &[field(8, b"AJ_long"), field(6, long.as_bytes())].concat());
    let found = until("the recording", || named(&server, &long).into_iter().next());
    assert_eq!(found["room_name"].as_str().unwrap().chars().count(), 1_024);
    assert!(server.log().contains("a name is too long; its beginning is kept"), "{}", server.log());
}

#[test]
fn whom_only_webhooks_named_is_among_the_participants_unless_excluded() {
    let (_dir, server) = server(&[("ECHOSPHERE_RECORDER_EXCLUDE_KINDS", "INGRESS")]);
    let mut number = 0;
    let mut tell = |event: &str, sid: &str, participant: Value| {
        number += 1;
        let room = json!({ "sid": sid, "name": "lobby" });
        let body = json!({ "event": event, "id": format!("EV_{number}"), "room": room, "participant": participant });
        assert_eq!(webhook(&server, &body).status, 200);
        until("it to be worked off", || (open_webhooks(&server) == 0).then_some(()));
    };
    let no = json!({ "echosphere.record": "false" });
    tell(
        "participant_joined",
        "RM_1",
        json!({ "identity": "bob", "name": "Bob\t", "kind": "SIP", "attributes": { "a": "b" } }),
    );
    tell("participant_joined", "RM_1", json!({ "identity": "shy", "name": "Shy", "attributes": no }));
    tell("participant_joined", "RM_1", json!({ "identity": "later-shy", "name": "Later" }));
    tell("participant_left", "RM_1", json!({ "identity": "later-shy", "name": "Later", "attributes": no }));
    tell("participant_joined", "RM_1", json!({ "identity": "stream", "name": "Stream", "kind": "INGRESS" }));
    tell("participant_joined", "RM_1", json!({ "identity": "EG_1", "kind": "EGRESS" }));
    tell(
        "participant_joined",
        "RM_1",
        json!({ "identity": "echosphere-1", "permission": { "hidden": true, "recorder": true } }),
    );
    tell("participant_joined", "RM_2", json!({ "identity": "carol", "name": "Carol" }));
    upload(&server, &[field(1, b"RM_1"), field(8, b"AJ_1"), field(6, b"lobby")].concat());
    until("the session", || named(&server, "lobby").into_iter().find(|found| found["status"] == "COMPLETED"));
    // An agent uploads its session before it leaves.
    tell("participant_left", "RM_1", json!({ "identity": "dave", "kind": "AGENT" }));
    let bob = json!({ "identity": "bob", "name": "Bob\t", "kind": "SIP", "attributes": { "a": "b" } });
    let dave = json!({ "identity": "dave", "name": null, "kind": "AGENT", "attributes": {} });
    assert_eq!(named(&server, "lobby")[0]["participants"], json!([bob, dave]));
}

fn open_webhooks(server: &Server) -> i64 {
    metric(server, "echosphere_webhooks_open").and_then(|count| count.parse().ok()).unwrap_or(-1)
}

#[test]
fn what_an_acknowledged_webhook_asks_for_survives_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let rule = ("ECHOSPHERE_RECORDER_AUTO_RECORD", "*");
    let mut server = Server::start(PROGRAM, dir.path(), &[("LIVEKIT_URL", "ws://livekit.invalid"), rule]);
    assert_eq!(webhook(&server, &joined("EV_1", "call-1")).status, 200);
    server.kill9();
    assert!(server.log().contains("EchoSphere starts"));
    drop(server);
    let server = Server::start(PROGRAM, dir.path(), &[NOWHERE, rule]);
    let recording = until("a recording", || server.recordings().into_iter().next());
    assert_eq!(recording["room_name"], "call-1");
}

#[test]
fn who_is_excluded_is_checked_and_only_a_room_that_goes_on_can_exclude_somebody() {
    let (_dir, server) = server(&[NOWHERE]);
    let long = "x".repeat(1_025);
    for body in [
        json!({ "room_name": "a", "exclude": [long] }),
        json!({ "room_name": "a", "exclude_kinds": vec!["SIP"; 1_001] }),
        json!({ "room_name": "a", "exclude_attributes": { "x": 1 } }),
    ] {
        let answer = start(&server, &body, None);
        assert_eq!((answer.status, &answer.json()["type"]), (400, &json!("/problems/bad-body")), "{}", answer.text());
    }
    let body = json!({ "room_name": "a", "exclude_kinds": ["SIP"], "exclude_attributes": { "role": "coach" } });
    let id = start(&server, &body, None).json()["id"].as_str().unwrap().to_owned();
    let exclude = |id: &str, body: &Value| {
        let path = format!("/v1/recordings/{id}/exclude");
        let json = [("content-type", "application/json")];
        server.send("POST", &path, &json, body.to_string().as_bytes()).status
    };
    assert_eq!(exclude(&id, &json!({ "identity": "bob" })), 200);
    assert_eq!(exclude(&id, &json!({ "identity": "" })), 400);
    assert_eq!(exclude(&id, &json!({})), 400);
    assert_eq!(exclude("0193a3a0-1111-7222-8333-444455556666", &json!({ "identity": "bob" })), 404);
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    until("the end", || matches!(exclude(&id, &json!({ "identity": "bob" })), 404 | 409 | 410).then_some(()));
}

/// Reads server-sent events until the connection ends or the list is long enough: name and id of each.
fn events(server: &Server, id: &str, headers: &str, enough: usize) -> (String, Vec<(String, String)>) {
    listen(server, id, headers, enough, || {})
}

/// The same, and tells of each event as it comes.
fn listen(
    server: &Server,
    id: &str,
    headers: &str,
    enough: usize,
    mut came: impl FnMut(),
) -> (String, Vec<(String, String)>) {
    let mut stream = http::connect(server.address);
    let (host, authorization) = (server.address, &server.authorization);
    let head = format!("GET /v1/recordings/{id}/events HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\n");
    write!(stream, "{head}{headers}connection: close\r\n\r\n").unwrap();
    let mut stream = BufReader::new(stream);
    let head: Vec<String> =
        BufRead::lines(&mut stream).map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let mut lines = BufReader::new(http::Chunks::new(stream)).lines().map_while(Result::ok);
    let (mut found, mut name, mut last) = (Vec::new(), String::new(), String::new());
    while found.len() < enough {
        let Some(line) = lines.next() else { break };
        match line.split_once(": ") {
            Some(("event", value)) => value.clone_into(&mut name),
            Some(("id", value)) => value.clone_into(&mut last),
            _ if line.is_empty() && !name.is_empty() => {
                found.push((std::mem::take(&mut name), std::mem::take(&mut last)));
                came();
            }
            _ => {}
        }
    }
    (head.join("\n"), found)
}

#[test]
fn a_listener_gets_the_present_state_then_what_changes_and_lets_the_server_stop() {
    let (_dir, mut server) = server(&[NOWHERE, ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", "2s")]);
    let id = start(&server, &json!({ "room_name": "a" }), None).json()["id"].as_str().unwrap().to_owned();
    let (head, found) = events(&server, &id, "", 2);
    assert!(head.contains("200 OK") && head.contains("text/event-stream") && !head.contains("gzip"), "{head}");
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["status", "turns"]);
    assert!(found[0].1.is_empty() && !found[1].1.is_empty(), "the last event of a state has its id: {found:?}");
    // LiveKit is not there: the recording fails after a while, and the stream ends by itself.
    let (_, found) = events(&server, &id, "", usize::MAX);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names[..2].to_vec(), names.last()), (vec!["status", "turns"], Some(&"end")), "{names:?}");
    assert!(names.iter().filter(|name| **name == "status").count() >= 2, "{names:?}");
    let (head, found) = events(&server, &id, "last-event-id: x-1\r\n", usize::MAX);
    assert!(head.contains("204 No Content") && found.is_empty(), "{head}");
    let (head, _) = events(&server, "0193a3a0-1111-7222-8333-444455556666", "", usize::MAX);
    assert!(head.contains("404"), "{head}");
    let id = start(&server, &json!({ "room_name": "b" }), None).json()["id"].as_str().unwrap().to_owned();
    std::thread::scope(|scope| {
        let (heard, first) = std::sync::mpsc::channel();
        let (server, id) = (&server, &id);
        let listening = scope.spawn(move || listen(server, id, "", usize::MAX, || heard.send(()).unwrap_or_default()));
        first.recv_timeout(Duration::from_secs(60)).expect("the listener hears the present state");
        let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap()).unwrap();
        let asked = Instant::now();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        listening.join().unwrap();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    });
    server.restart();
}
