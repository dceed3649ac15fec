//! Several sessions of one room: each is found by its job and shown where it was, none is put after another one.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use echosphere_testkit::http;
use echosphere_testkit::server::Server;
use echosphere_testkit::session::{Part, Session};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn server() -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[]);
    (dir, server)
}

fn part(job: usize, later: i64, seconds: i64) -> Part {
    Part { room: 1, job: Some(job), later, seconds }
}

fn send(server: &Server, part: &Part) {
    let answer = Session::load("order").part(part).upload(server.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The only recording that is found by a job.
fn by_job(server: &Server, job: usize) -> Value {
    let found = server.get(&format!("/v1/recordings?session_id=AJ_{job:012}")).json()["items"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    found[0].clone()
}

fn id(recording: &Value) -> String {
    recording["id"].as_str().unwrap().to_owned()
}

/// A line: its text, where it begins and ends, and whether that is a guess.
type Line = (String, Value, Value, Value);

/// What is said, and where.
fn lines_of(server: &Server, recording: &Value) -> Vec<Line> {
    let transcript = server.get(&format!("/v1/recordings/{}/transcript", id(recording))).json();
    let turns = transcript["turns"].as_array().unwrap().iter();
    let line = |turn: &Value| {
        (turn["text"].to_string(), turn["start_ms"].clone(), turn["end_ms"].clone(), turn["approximate"].clone())
    };
    turns.map(line).collect()
}

/// What is found when a session is alone in its room.
fn alone(seconds: i64) -> (Vec<Line>, Value) {
    let (_dir, server) = server();
    send(&server, &Part { room: 7, ..part(7, 0, seconds) });
    let recording = server.settled()[0].clone();
    (lines_of(&server, &recording), recording)
}

/// The recording of a job is what it would be without the others of its room.
fn is_as_alone(server: &Server, job: usize, seconds: i64) -> Value {
    let recording = by_job(server, job);
    let (lines, other) = alone(seconds);
    for field in ["status", "partial", "gaps", "duration_ms"] {
        assert_eq!(recording[field], other[field], "{field} of {recording}");
    }
    assert!(lines.len() > 2 && lines.iter().any(|(_, _, end, _)| end.as_i64().unwrap() > 4_000), "{lines:?}");
    assert_eq!(lines_of(server, &recording), lines, "of {recording}");
    assert_eq!(recording["agent_name"], format!("agent-{job}"));
    let playlist = http::fetch(recording["playlist_url"].as_str().unwrap());
    assert_eq!(playlist.status, 200);
    recording
}

fn names(recording: &Value) -> Vec<&str> {
    recording["same_room"].as_array().unwrap().iter().map(|other| other["session_id"].as_str().unwrap()).collect()
}

#[test]
fn sessions_of_one_room_are_recordings_of_their_own() {
    let (_dir, server) = server();
    // A short one first; another agent at the same time; five minutes later; and before all of them, but uploaded last.
    for part in [part(1, 0, 12), part(2, 2, 30), part(3, 300, 20), part(4, -300, 20)] {
        send(&server, &part);
    }
    assert_eq!(server.settled().len(), 4);
    for (job, seconds) in [(1, 12), (2, 30), (3, 20), (4, 20)] {
        let recording = is_as_alone(&server, job, seconds);
        assert_eq!(recording["room_sid"], "RM_000000000001");
        assert_eq!(recording["captures"].as_array().unwrap().len(), 1);
        assert_eq!(recording["captures"][0]["job_id"], recording["session_id"]);
    }
    // In the order in which they began.
    let names_of = |job| names(&by_job(&server, job)).join(" ");
    let job = |n: usize| format!("AJ_{n:012}");
    assert_eq!(names_of(2), [job(4), job(1), job(3)].join(" "));
    assert_eq!(names_of(4), [job(1), job(2), job(3)].join(" "));
    let other = &by_job(&server, 2)["same_room"][0];
    assert_eq!((&other["id"], &other["agent_name"]), (&by_job(&server, 4)["id"], &json!("agent-4")));
    assert_eq!((&other["status"], &other["duration_ms"]), (&json!("COMPLETED"), &by_job(&server, 4)["duration_ms"]));
    // Another room is not the same room, and what was deleted is no link.
    send(&server, &Part { room: 2, ..part(5, 0, 12) });
    server.send("DELETE", &format!("/v1/recordings/{}", id(&by_job(&server, 4))), &[], &[]);
    server.settled();
    assert_eq!(names(&by_job(&server, 5)), Vec::<&str>::new());
    assert_eq!(names_of(2), [job(1), job(3)].join(" "));
}

#[test]
fn without_a_job_the_start_tells_sessions_apart() {
    let (_dir, server) = server();
    let old = |later, seconds| Part { room: 1, job: None, later, seconds };
    let session = Session::load("order").part(&old(0, 20));
    session.upload_cut(server.address, session.body.len() * 3 / 4);
    while server.settled().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    for part in [old(0, 20), old(300, 12), old(0, 20)] {
        send(&server, &part);
    }
    let recordings = server.settled();
    assert_eq!(recordings.len(), 2);
    for recording in &recordings {
        assert_eq!((&recording["status"], &recording["partial"]), (&json!("COMPLETED"), &json!(false)), "{recording}");
        assert_eq!(recording["same_room"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_deleted_session_does_not_come_back_when_it_is_sent_again() {
    let (_dir, server) = server();
    send(&server, &part(1, 0, 12));
    send(&server, &part(2, 300, 12));
    server.settled();
    let deleted = id(&by_job(&server, 1));
    server.send("DELETE", &format!("/v1/recordings/{deleted}"), &[], &[]);
    assert_eq!(server.settled().len(), 1);
    send(&server, &part(1, 0, 12));
    assert_eq!(server.settled().len(), 1);
    assert_eq!(server.get(&format!("/v1/recordings/{deleted}")).status, 410);
    assert_eq!(by_job(&server, 2)["status"], "COMPLETED");
}

/// A data directory of a version that put all sessions of a room into one recording.
fn joined() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/joined-sessions");
    copy(&from, &dir.path().join("data"));
    dir
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { std::fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

const OLD: &str = "01a22540-6737-73b6-be2a-f116c46f3d88";

#[test]
fn sessions_that_were_put_into_one_recording_are_taken_apart() {
    let dir = joined();
    let mut server = Server::start(PROGRAM, dir.path(), &[]);
    assert_eq!(settled(&server, 4).len(), 4);
    for (job, seconds) in [(1, 8), (2, 8), (3, 8), (4, 12)] {
        let recording = is_as_alone(&server, job, seconds);
        assert_eq!((id(&recording) == OLD, recording["same_room"].as_array().unwrap().len()), (job == 1, 3));
    }
    let kept = by_job(&server, 1);
    assert_eq!((&kept["started_at"], &kept["revision"]), (&json!("2026-11-23T13:11:40.386Z"), &json!(5)));
    // Each plays, from the body that stays where it was.
    for job in 1..=4 {
        let url =
            by_job(&server, job)["playlist_url"].as_str().unwrap().replace("/playlist", "/renditions/audio/playlist");
        let playlist = http::fetch(&url).text();
        let segment = playlist.lines().find(|line| line.starts_with("http")).unwrap();
        assert_eq!(http::fetch(segment).status, 200);
        assert!(!playlist.contains("DISCONTINUITY\n"), "{playlist}");
    }
    // Once more, nothing happens.
    server.restart();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(settled(&server, 4).len(), 4);
    assert_eq!(by_job(&server, 1)["revision"], 5);
    // What is sent again is known.
    for (job, later) in [(2, 300), (3, -300)] {
        send(&server, &part(job, later, 8));
    }
    assert_eq!(server.settled().len(), 4);
    assert_eq!(by_job(&server, 2)["captures"].as_array().unwrap().len(), 1);
}

/// The recordings, when there are so many and nothing is left to do.
fn settled(server: &Server, count: usize) -> Vec<Value> {
    for _ in 0..200 {
        let recordings = server.settled();
        if recordings.len() >= count {
            return server.settled();
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("there are not {count} recordings:\n{}", server.log());
}

#[test]
fn taking_apart_goes_on_wherever_it_was_interrupted() {
    let dir = joined();
    let mut server = Server::start(PROGRAM, dir.path(), &[]);
    for wait in [0, 5, 15, 30, 60, 120] {
        std::thread::sleep(std::time::Duration::from_millis(wait));
        server.restart();
    }
    assert_eq!(settled(&server, 4).len(), 4);
    for (job, seconds) in [(1, 8), (2, 8), (3, 8), (4, 12)] {
        is_as_alone(&server, job, seconds);
    }
}
