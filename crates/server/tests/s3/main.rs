//! Recordings in a bucket of an S3 server: what is kept there, and that it plays from there.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may")]

mod backup;
mod doctor;
mod faults;
mod kills;
mod moves;
mod rebuilds;
mod requests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use echosphere_testkit::container::Container;
use echosphere_testkit::http;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::{self, KEY, SECRET, Server, files, start_on};
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// A server whose objects are in a bucket.
fn start(s3: &S3Server, url: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    start_with(s3.settings(url), others)
}

/// A server with these settings.
fn start_with(settings: Vec<(String, String)>, others: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = start_on(PROGRAM, dir.path(), &settings, others);
    (dir, server)
}

fn a_session_is_kept_in_the_bucket_and_plays_from_it(kind: Kind) {
    let s3 = S3Server::start(kind);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls/here", &[("ECHOSPHERE_RENDERING_WHEN", "always")]);
    let session = Session::load("order");
    assert_eq!(session.upload(server.address).status, 200);
    let there = s3.keys("calls");
    assert!(there.iter().any(|key| key.ends_with("/upload.multipart")), "acknowledged means there: {there:?}");
    let recording = server.settled_all().remove(0);
    assert_eq!(recording["status"], "COMPLETED", "{recording}");
    let url = recording["playlist_url"].as_str().unwrap();
    let segments = sound::listed(url);
    assert!(segments.len() > 3);
    for (_, address) in &segments {
        assert!(address.starts_with(&format!("{}/calls/here/recordings/", s3.endpoint())), "{address}");
        assert_eq!(http::fetch(address).status, 200, "{address}");
    }
    let tampered = segments[0].1.replace("X-Amz-Expires=", "X-Amz-Expires=1");
    assert_eq!(http::fetch(&tampered).status, 403);
    let keys = s3.keys("calls");
    assert!(keys.iter().all(|key| key.starts_with("here/")), "{keys:?}");
    assert!(keys.contains(&"here/echosphere-store-id".to_owned()));
    let page = server.get(&format!("/recordings/{}", recording["id"].as_str().unwrap()));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains(&format!("connect-src 'self' {};", s3.endpoint())), "{policy}");
    assert_eq!(server.get("/readyz").json()["ready"], true);
    assert_eq!(server.get("/calls/here/echosphere-store-id").status, 404, "there is no embedded endpoint");
}

#[test]
fn minio() {
    a_session_is_kept_in_the_bucket_and_plays_from_it(Kind::Minio);
}

#[test]
fn seaweedfs() {
    a_session_is_kept_in_the_bucket_and_plays_from_it(Kind::Seaweedfs);
}

/// Waits for something that takes a while.
fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    server::until(what, Duration::from_secs(120), look)
}

/// Waits until the bucket has the rows of everything.
fn until_written(server: &Server) {
    until("sidecars", || server.get("/metrics").text().contains("echosphere_sidecars_stale 0").then_some(()));
}

/// The recording of a session that came while the server was away, once it is back.
fn after_it_is_back(s3: &mut S3Server, server: &Server) -> Value {
    assert_eq!(server.get("/readyz").json()["storage"], "failing");
    s3.start_again();
    let recordings = until("the recording", || {
        let recordings = server.recordings();
        recordings.iter().any(|recording| recording["status"] == "COMPLETED").then_some(recordings)
    });
    assert_eq!(recordings.len(), 1);
    assert_whole(&recordings[0]);
    until("readiness", || (server.get("/readyz").status == 200).then_some(()));
    until("an empty spool", || files(&server.data().join("spool")).is_empty().then_some(()));
    recordings[0].clone()
}

#[test]
fn an_upload_is_acknowledged_from_this_machines_disk_while_the_server_is_away() {
    let mut s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, mut server) = start(&s3, "s3://calls", &[]);
    assert_eq!(waiting(&server), 0);
    s3.stop();
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    assert!(server.log().contains("only this machine has it"), "it is said aloud");
    until("the upload that waits", || (waiting(&server) == 1).then_some(()));
    server.restart();
    assert_eq!(waiting(&server), 1, "also after a restart");
    after_it_is_back(&mut s3, &server);
    until("nothing to wait", || (waiting(&server) == 0).then_some(()));
}

/// How many session uploads wait for the S3 server, as `/readyz` and `/metrics` say.
fn waiting(server: &Server) -> u64 {
    let readiness = server.get("/readyz").json();
    let waiting = &readiness["uploads_waiting"];
    let count = waiting["count"].as_u64().unwrap();
    assert_eq!(waiting["since"].is_string(), count > 0, "{readiness}");
    let metrics = server.get("/metrics").text();
    let gauge = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    let now = gauge("echosphere_uploads_waiting{state=\"storage\"}");
    assert_eq!(gauge("echosphere_uploads_waiting_oldest_seconds") > 0.0, now > 0.0);
    // What /readyz found is answered for moments.
    if now as u64 == count { count } else { u64::MAX }
}

#[test]
fn uploads_that_wait_do_not_make_a_server_unready() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let everything = r#"{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}"#;
    let but_recordings =
        r#"{"Effect": "Deny", "Action": ["s3:PutObject"], "Resource": ["arn:aws:s3:::calls/recordings/*"]}"#;
    let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{everything}, {but_recordings}]}}"#);
    let (container, endpoint) = (Container::start_under(&s3, 900, &policy), s3.endpoint());
    let settings = [
        ("ECHOSPHERE_STORAGE_URL", "s3://calls"),
        ("ECHOSPHERE_STORAGE_ENDPOINT", &*endpoint),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container.url),
    ];
    let (_dir, server) = start_with(Vec::new(), &settings);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    until("the upload that waits", || (waiting(&server) == 1).then_some(()));
    let readiness = server.get("/readyz");
    assert_eq!((readiness.status, &readiness.json()["storage"]), (200, &json!("ok")), "{}", readiness.text());
}

#[test]
fn a_sender_is_asked_to_come_again_and_what_it_sent_becomes_one_recording() {
    let mut s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls", &[("ECHOSPHERE_UPLOADS_WHEN_STORAGE_IS_AWAY", "retry")]);
    s3.stop();
    let session = Session::load("order");
    assert_eq!(session.upload(server.address).status, 503);
    after_it_is_back(&mut s3, &server);
    assert_eq!(session.upload(server.address).status, 200);
    assert_eq!(server.settled_all().len(), 1);
}

/// Tones of 20 ms, each as an Opus packet.
fn tones() -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    let tone = |n: usize| ((n as f64 * 0.05).sin() * 8_000.0) as i16;
    let frames = (0..250).map(|frame| (0..960).map(|n| tone(frame * 960 + n)).collect::<Vec<i16>>());
    frames.map(|frame| encoder.encode_vec(&frame, 1_500).unwrap()).collect()
}

fn chunks(folder: &Path) -> usize {
    files(folder).len()
}

/// Two people talk in a room, and it is recorded; also returns the recording's id.
fn talk(livekit: &LiveKit, server: &Server) -> (Publishers, String) {
    talk_in(livekit, server, "room", 2)
}

/// The same of so many people in a room of this name.
fn talk_in(livekit: &LiveKit, server: &Server, room: &str, per_room: usize) -> (Publishers, String) {
    let rooms = vec![room.to_owned()];
    let people = Publishers::start(&Plan { url: livekit.url(), token, rooms, per_room, frames: Arc::new(tones()) });
    let body = json!({ "room_name": room }).to_string();
    let begun = server.send("POST", "/v1/recordings", &[("content-type", "application/json")], body.as_bytes());
    (people, begun.json()["id"].as_str().unwrap().to_owned())
}

/// Whether nothing of any recording is in the bucket, but the note that it was deleted.
fn is_nothing_left(s3: &S3Server) -> bool {
    let is_left = |key: &String| !key.contains("deleted/") && !key.ends_with("echosphere-store-id");
    !s3.keys("calls").iter().any(is_left)
}

/// Checks that a recording is there from its beginning to its end.
fn assert_whole(recording: &Value) {
    assert_eq!(recording["status"], "COMPLETED", "{recording}");
    assert_eq!((&recording["partial"], &recording["gaps"]), (&json!(false), &json!([])), "{recording}");
}

#[test]
fn a_room_goes_on_while_the_server_is_away() {
    let mut s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let livekit = LiveKit::start();
    let settings = [("LIVEKIT_URL", &*livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "2s")];
    let (_dir, server) = start(&s3, "s3://calls", &settings);
    let (people, id) = talk(&livekit, &server);
    let there = |s3: &S3Server| s3.keys("calls").iter().filter(|key| key.contains("/log/")).count();
    until("a chunk in the bucket", || (there(&s3) > 1).then_some(()));
    let before = there(&s3);
    s3.stop();
    let spool = server.data().join("chunks");
    until("chunks on the disk", || (chunks(&spool) >= 2).then_some(()));
    assert_eq!(server.recording(&id)["status"], "ACTIVE");
    s3.start_again();
    until("all of them in the bucket", || (chunks(&spool) == 0 && there(&s3) > before + 2).then_some(()));
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    people.stop();
    let recording = server.settled_all().remove(0);
    assert_whole(&recording);
    assert!(recording["duration_ms"].as_i64().unwrap() > 10_000, "{recording}");
    let segments = sound::segments(recording["playlist_url"].as_str().unwrap());
    assert!(segments.iter().all(|(_, bytes)| !bytes.is_empty()));
}

#[test]
fn two_installations_never_share_a_place() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, first) = start(&s3, "s3://calls/one", &[]);
    assert_eq!(Session::load("order").upload(first.address).status, 200);
    first.settled_all();
    until_written(&first);
    let there = s3.keys("calls");
    let refused = |url: &str| {
        let dir = tempfile::tempdir().unwrap();
        let serve = std::process::Command::new(PROGRAM)
            .arg("serve")
            .env("ECHOSPHERE_DATA_DIR", dir.path())
            .env("ECHOSPHERE_LISTEN", "127.0.0.1:0")
            .envs(s3.settings(url))
            .env("LIVEKIT_API_KEY", KEY)
            .env("LIVEKIT_API_SECRET", SECRET)
            .output()
            .unwrap();
        assert!(!serve.status.success());
        String::from_utf8_lossy(&serve.stderr).into_owned()
    };
    let said = refused("s3://calls/one");
    assert!(said.contains("belongs to another installation"), "{said}");
    let said = refused("s3://no-such-bucket");
    assert!(said.contains("there is no bucket no-such-bucket"), "{said}");
    assert_eq!(s3.keys("calls"), there, "nothing of the first one was touched");
    let (_other, second) = start(&s3, "s3://calls/two", &[]);
    assert_eq!(second.get("/readyz").status, 200);
}

#[test]
fn a_bucket_that_is_made_anew_takes_nothing_and_nothing_is_called_lost() {
    let mut s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls", &[]);
    let session = Session::load("order");
    assert_eq!(session.upload(server.address).status, 200);
    let recording = server.settled_all().remove(0);
    let id = recording["id"].as_str().unwrap().to_owned();
    s3.lose_everything();
    s3.make_bucket("calls");
    // Its segments are made from a master that is not there any more.
    let (_, address) = sound::listed(recording["playlist_url"].as_str().unwrap()).remove(0);
    let asked = http::fetch(&address);
    assert!(asked.status >= 500, "{} {}", asked.status, asked.text());
    until("the alarm", || (server.get("/readyz").status == 503).then_some(()));
    assert!(server.log().contains("the bucket is not the one that this data directory knows"));
    let now = server.recording(&id);
    assert_eq!((&now["status"], &now["partial"], &now["gaps"]), (&json!("COMPLETED"), &json!(false), &json!([])));
    assert_eq!(s3.keys("calls"), Vec::<String>::new(), "nothing is written into a stranger's bucket");
    let deleted = server.send("DELETE", &format!("/v1/recordings/{id}"), &[], b"");
    assert!(deleted.status < 300, "{}", deleted.text());
    assert_ne!(server.recording(&id)["deletion"], json!("done"), "erased is what was seen to be gone");
}

#[test]
fn the_policy_of_the_documentation_is_enough_and_no_more() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/s3.md")).unwrap();
    let policy = page.split_once("```json").unwrap().1.split_once("```").unwrap().0;
    let policy = policy.replace("BUCKET", "calls").replace("PREFIX", "here");
    let container = Container::start_under(&s3, 900, &policy);
    let endpoint = s3.endpoint();
    let settings = |url: &'static str| {
        [
            ("ECHOSPHERE_STORAGE_URL", url),
            ("ECHOSPHERE_STORAGE_ENDPOINT", &*endpoint),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container.url),
        ]
    };
    let doctor = |url| {
        let dir = tempfile::tempdir().unwrap();
        let doctor = std::process::Command::new(PROGRAM)
            .arg("doctor")
            .env("ECHOSPHERE_DATA_DIR", dir.path())
            .envs(settings(url))
            .output()
            .unwrap();
        String::from_utf8_lossy(&doctor.stdout).into_owned()
    };
    let said = doctor("s3://calls/here");
    for check in ["bucket", "clock", "rights", "versions", "uploads", "browsers"] {
        assert!(
            said.lines().any(|line| line.trim_start().starts_with("ok") && line.contains(check)),
            "{check}: {said}"
        );
    }
    let said = doctor("s3://calls/elsewhere");
    assert!(said.contains("FAIL  rights   these keys may not put"), "{said}");
    let (_dir, server) = start_with(Vec::new(), &settings("s3://calls/here"));
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    let recording = server.settled_all().remove(0);
    assert_whole(&recording);
    sound::segments(recording["playlist_url"].as_str().unwrap());
    let id = recording["id"].as_str().unwrap();
    server.send("DELETE", &format!("/v1/recordings/{id}"), &[], b"");
    until("its end", || is_nothing_left(&s3).then_some(()));
}
