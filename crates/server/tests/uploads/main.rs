//! What comes in: every recorded session, cut ones, doubled ones, and what is not one at all.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod refused;

use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::{Server, files};
use echosphere_testkit::session::{self, ALL, Session};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn server(variables: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), variables);
    (dir, server)
}

fn post(server: &Server, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http::send(server.address, "POST", path, headers, body)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

const UPLOAD: &str = "/observability/recordings/v0";

#[test]
fn every_recorded_session_becomes_its_recording() {
    let (_dir, server) = server(&[]);
    for name in ALL {
        let answer = Session::load(name).upload(server.address);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    let recordings = server.settled();
    assert_eq!(recordings.len(), 4);
    for (room_sid, job, ms, turns) in [
        ("RM_PqGXAu8c7Hqp", "AJ_cEzv5TDXsvVt", 62_958, 17),
        ("RM_qJQwqB4Vd8zM", "AJ_mLvLd25M8U4u", 61_080, 17),
        ("RM_BMP57UWjoTZo", "AJ_QAMwexU4DeBs", 0, 5),
    ] {
        let recording = recordings.iter().find(|r| r["room_sid"] == room_sid).unwrap();
        assert_eq!((&recording["status"], &recording["partial"]), (&json!("COMPLETED"), &json!(false)), "{recording}");
        assert_eq!(recording["session_id"], job);
        let length = recording["duration_ms"].as_i64().unwrap();
        assert!((length - ms).abs() <= 22, "{length} for {ms}: one AAC frame is filled up");
        let transcript = server.get(&format!("/v1/recordings/{}/transcript", recording["id"].as_str().unwrap())).json();
        assert_eq!(transcript["turns"].as_array().unwrap().len(), turns, "{room_sid}");
    }
    let survey = recordings.iter().find(|r| r["room_sid"] == "RM_BMP57UWjoTZo").unwrap();
    assert_eq!((&survey["reason"], &survey["playlist_url"]), (&json!("no_audio"), &Value::Null));
    assert_eq!(survey["started_at"], "2026-11-23T13:07:59.355Z");
}

#[test]
fn the_same_session_twice_is_one_recording() {
    let (_dir, server) = server(&[]);
    let session = Session::load("reservation");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(session.upload(server.address).status, 200));
        }
    });
    // The SDK draws a new boundary for each attempt; everything else is the same.
    let other = String::from_utf8_lossy(session.content_type.rsplit_once('=').unwrap().1.as_bytes()).into_owned();
    let changed = replace(&session.body, other.as_bytes(), "f".repeat(other.len()).as_bytes());
    let answer =
        session::upload(server.address, &session.content_type.replace(&other, &"f".repeat(other.len())), &changed);
    assert_eq!(answer.status, 200);
    let recordings = server.settled();
    assert_eq!(recordings.len(), 1);
    assert_eq!(recordings[0]["captures"].as_array().unwrap().len(), 1);
    assert_eq!(recordings[0]["revision"], 1);
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = out[at..].windows(from.len()).position(|window| window == from) {
        out[at + found..at + found + to.len()].copy_from_slice(to);
        at += found + to.len();
    }
    out
}

#[test]
fn a_cut_upload_is_kept_and_then_replaced_by_the_whole() {
    let (_dir, server) = server(&[]);
    let session = Session::load("order");
    session.upload_cut(server.address, session.body.len() / 2);
    let cut = wait_for(&server, 1);
    assert_eq!((&cut[0]["status"], &cut[0]["partial"]), (&json!("COMPLETED"), &json!(true)), "{}", cut[0]);
    let gap = &cut[0]["gaps"][0];
    assert_eq!(gap["reason"], "upload_cut");
    let (start, missing) = (gap["start_ms"].as_i64().unwrap(), gap["duration_ms"].as_i64().unwrap());
    assert!((start + missing - 62_971).abs() < 50, "the header says how long it should have been: {gap}");
    assert_eq!(session.upload(server.address).status, 200);
    let whole = server.settled();
    assert_eq!(whole.len(), 1);
    assert_eq!((&whole[0]["id"], &whole[0]["partial"]), (&cut[0]["id"], &json!(false)));
    assert_eq!((&whole[0]["revision"], &whole[0]["gaps"]), (&json!(2), &json!([])));
    let statuses: Vec<_> = whole[0]["captures"].as_array().unwrap().iter().map(|c| c["status"].clone()).collect();
    assert_eq!(statuses, ["superseded", "complete"]);
    // The cut one once more, late: it says nothing new.
    session.upload_cut(server.address, session.body.len() / 3);
    until_counted(&server, "echosphere_uploads_total{outcome=\"duplicate\"} 1");
    assert_eq!(server.settled()[0]["revision"], 2);
}

/// Waits until a line stands in `/metrics`.
fn until_counted(server: &Server, line: &str) {
    for _ in 0..1_200 {
        if server.get("/metrics").text().lines().any(|counted| counted == line) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{line} was waited for in vain:\n{}\n{}", server.get("/metrics").text(), server.log());
}

fn wait_for(server: &Server, count: usize) -> Vec<Value> {
    for _ in 0..100 {
        let recordings = server.settled();
        if recordings.len() >= count && recordings.iter().all(|r| r["status"] != "PROCESSING") {
            return recordings;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("there are not {count} recordings:\n{}", server.log());
}

#[test]
fn a_cut_at_every_twentieth_is_partial_or_nothing() {
    let (_dir, server) = server(&[]);
    let session = Session::load("order");
    let mut expected = 0;
    for twentieth in 0..20 {
        let session = session.renamed(twentieth);
        let cut = session.body.len() * twentieth / 20;
        session.upload_cut(server.address, cut);
        // Nothing comes of nothing: the first cut is before the first byte.
        expected += usize::from(twentieth > 0);
    }
    let recordings = wait_for(&server, expected);
    assert_eq!(recordings.len(), expected);
    for recording in &recordings {
        assert_eq!((&recording["partial"], &recording["status"]), (&json!(true), &json!("COMPLETED")), "{recording}");
        assert!(recording["duration_ms"].as_i64().unwrap() > 0);
    }
    // The jobs are numbered by where they were cut; in the list they stand as they came to be read.
    let of_job = |r: &Value| (r["session_id"].as_str().unwrap().to_owned(), r["duration_ms"].as_i64().unwrap());
    let lengths: std::collections::BTreeMap<_, _> = recordings.iter().map(of_job).collect();
    assert!(lengths.values().is_sorted(), "more bytes, more sound: {lengths:?}");
}

#[test]
fn cuts_inside_the_first_parts() {
    let (_dir, server) = server(&[]);
    let session = Session::load("order");
    let at = |needle: &[u8]| session.body.windows(needle.len()).position(|window| window == needle).unwrap();
    let (chat, audio) = (at(b"name=\"chat_history\""), at(b"name=\"audio\""));
    // In the header: no whole part. After it: a header alone. In the chat history: some turns.
    for (number, cut) in [(1, 700), (2, chat + 20), (3, chat + 4_000), (4, audio - 80)] {
        session.renamed(number).upload_cut(server.address, cut);
    }
    let recordings = wait_for(&server, 3);
    assert_eq!(recordings.len(), 3, "nothing comes of half a header");
    for recording in &recordings {
        assert_eq!((&recording["status"], &recording["partial"]), (&json!("FAILED"), &json!(true)), "{recording}");
        assert_eq!(recording["reason"], "audio_missing");
    }
    let turns = |recording: &Value| {
        let transcript = server.get(&format!("/v1/recordings/{}/transcript", recording["id"].as_str().unwrap())).json();
        transcript["turns"].as_array().unwrap().len()
    };
    let mut counts: Vec<_> = recordings.iter().map(turns).collect();
    counts.sort_unstable();
    assert!(counts[0] == 0 && (1..17).contains(&counts[1]) && counts[2] == 17, "{counts:?}");
}

#[test]
fn what_cannot_be_read_is_kept_with_its_reason() {
    let (dir, server) = server(&[]);
    let session = Session::load("reservation");
    let garbage: Vec<u8> = (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert_eq!(session::upload(server.address, "multipart/form-data; boundary=x", &garbage).status, 200);
    assert_eq!(session::upload(server.address, "application/json", b"{}").status, 200);
    assert!(server.settled().is_empty());
    let kept = files(&dir.path().join("data/spool"));
    let mut contents: Vec<_> = kept.iter().map(|path| std::fs::read(path).unwrap()).collect();
    contents.sort_by_key(Vec::len);
    assert_eq!(contents, [b"{}".to_vec(), garbage], "byte for byte");
    // Sound that is none, with a good header and chat history.
    let mut body = session.body.clone();
    let ogg = body.windows(4).position(|window| window == b"OggS").unwrap();
    let end = body.len() - 60;
    body[ogg..end].iter_mut().for_each(|byte| *byte ^= 0x55);
    assert_eq!(session::upload(server.address, &session.content_type, &body).status, 200);
    let recordings = server.settled();
    assert_eq!((&recordings[0]["status"], &recordings[0]["reason"]), (&json!("FAILED"), &json!("audio_unreadable")));
    assert!(recordings[0]["captures"][0]["error"].as_str().unwrap().contains("not an Ogg file"), "{}", recordings[0]);
}

#[test]
fn telemetry_is_accepted_and_names_the_room() {
    let (_dir, server) = server(&[]);
    let session = Session::load("node-order");
    let authorization = bearer(&session::token());
    let logs = session.telemetry("022-POST-observability_logs_otlp_v0.body.json");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    assert_eq!(post(&server, "/observability/logs/otlp/v0", &headers, &logs).status, 200);
    // A base URL with a trailing slash.
    let traces = session.telemetry("008-POST-observability_traces_otlp_v0.binpb.gz");
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "gzip"),
    ];
    assert_eq!(post(&server, "//observability/traces/otlp/v0", &headers, &traces).status, 200);
    assert_eq!(session.upload(server.address).status, 200);
    let recordings = server.settled();
    assert_eq!(
        (&recordings[0]["room_name"], &recordings[0]["agent_name"]),
        (&json!("obs-order-76173d"), &json!("obs-node"))
    );
    // 100 MB of nothing, in 100 KB.
    let bomb = bomb(100 << 20);
    assert!(bomb.len() < 200_000);
    assert_eq!(post(&server, "/observability/metrics/otlp/v0", &headers, &bomb).status, 413);
    assert_eq!(post(&server, "/observability/metrics/otlp/v0", &headers, b"not gzip").status, 400);
    assert_eq!(post(&server, "/observability/dreams/otlp/v0", &headers, b"").status, 404);
    assert_eq!(post(&server, "/observability/logs/otlp/v0", &[], &logs).status, 401);
}

fn bomb(size: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), size as u64), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn deletion_is_finished_before_it_is_said() {
    let (_dir, server) = server(&[]);
    Session::load("reservation").upload(server.address);
    let id = server.settled()[0]["id"].as_str().unwrap().to_owned();
    let answer = server.send("DELETE", &format!("/v1/recordings/{id}"), &[], &[]);
    assert_eq!((answer.status, &answer.json()["deletion"]), (202, &json!("pending")));
    assert!(server.settled().is_empty());
    assert_eq!(server.get(&format!("/v1/recordings/{id}")).status, 410);
    assert!(server.objects().is_empty());
    // The same session again: it was deleted, and stays so.
    Session::load("reservation").upload(server.address);
    assert!(server.settled().iter().all(|recording| recording["id"] != id.as_str()));
}

/// The parts of a body, each with its headers, and the boundary.
fn parts(session: &Session) -> (String, Vec<Vec<u8>>) {
    let boundary = session.content_type.rsplit_once('=').unwrap().1.to_owned();
    let delimiter = format!("--{boundary}\r\n").into_bytes();
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = session.body[at..].windows(delimiter.len()).position(|window| window == delimiter) {
        starts.push(at + found);
        at += found + delimiter.len();
    }
    starts.push(session.body.len() - delimiter.len() - 2);
    let bodies = starts.windows(2).map(|pair| session.body[pair[0]..pair[1]].to_vec());
    (boundary, bodies.collect())
}

fn assemble(boundary: &str, parts: &[&[u8]]) -> Vec<u8> {
    [parts.concat(), format!("--{boundary}--\r\n").into_bytes()].concat()
}

#[test]
fn odd_bodies_lose_nothing_that_can_be_read() {
    let session = Session::load("reservation");
    let (boundary, p) = parts(&session);
    assert_eq!(assemble(&boundary, &[&p[0], &p[1], &p[2]]), session.body, "taken apart and put together");
    let send = |body: &[u8]| {
        let (dir, server) = server(&[]);
        assert_eq!(session::upload(server.address, &session.content_type, body).status, 200);
        let recordings = server.settled();
        drop(dir);
        recordings
    };
    // Parts twice, in another order, with a stranger among them.
    let stranger =
        format!("--{boundary}\r\nContent-Disposition: form-data; name=\"surprise\"\r\n\r\n???\r\n").into_bytes();
    let recordings = send(&assemble(&boundary, &[&p[2], &stranger, &p[0], &p[1], &p[0], &p[2]]));
    assert_eq!(
        (&recordings[0]["status"], &recordings[0]["partial"]),
        (&json!("COMPLETED"), &json!(false)),
        "{}",
        recordings[0]
    );
    // Without its header nobody knows whose it is, and it plays all the same.
    let recordings = send(&assemble(&boundary, &[&p[1], &p[2]]));
    assert_eq!(
        (&recordings[0]["status"], &recordings[0]["partial"]),
        (&json!("COMPLETED"), &json!(true)),
        "{}",
        recordings[0]
    );
    assert_eq!((&recordings[0]["session_id"], &recordings[0]["room_sid"]), (&Value::Null, &Value::Null));
    // Sound without a transcript is whole: the transcript may have been switched off.
    let recordings = send(&assemble(&boundary, &[&p[0], &p[2]]));
    assert_eq!(
        (&recordings[0]["status"], &recordings[0]["partial"]),
        (&json!("COMPLETED"), &json!(false)),
        "{}",
        recordings[0]
    );
    // The audio that the header announces is missing.
    let recordings = send(&assemble(&boundary, &[&p[0], &p[1]]));
    assert_eq!((&recordings[0]["status"], &recordings[0]["reason"]), (&json!("FAILED"), &json!("audio_missing")));
}
