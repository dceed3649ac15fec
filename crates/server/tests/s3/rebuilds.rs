//! The database is lost: it is made whole again from what the bucket has. `ECHOSPHERE_TEST_RECORDINGS` says of how many recordings.

use std::path::Path;
use std::process::{Command, Output};

use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::s3::{Kind, S3Server, wait_for};
use echosphere_testkit::server::{KEY, SECRET, Server, start_on};
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;
use serde_json::{Value, json};

use super::{PROGRAM, start, talk, until, until_written};

const RECORDINGS: usize = 12;

/// Runs `echosphere rebuild` on a data directory.
fn rebuild(dir: &Path, from: &str, settings: &[(String, String)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(["rebuild", "--from", from]).env("ECHOSPHERE_DATA_DIR", dir.join("data"));
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    command.envs(settings.iter().filter(|(name, _)| !name.ends_with("STORAGE_URL")).map(|(name, value)| (name, value)));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What the server answers of a recording, without addresses, which are signed by the data directory's own secret.
fn answer(server: &Server, recording: &Value) -> Value {
    let id = recording["id"].as_str().unwrap();
    let mut shown = server.recording(id);
    for address in ["playlist_url", "page_url"] {
        shown.as_object_mut().unwrap().remove(address);
    }
    json!({ "recording": shown, "transcript": server.get(&format!("/v1/recordings/{id}/transcript")).json() })
}

fn answers(server: &Server) -> Vec<Value> {
    server.settled_all().iter().map(|recording| answer(server, recording)).collect()
}

/// What a browser hears of a recording, and the waveform that it shows.
fn heard(server: &Server, recording: &Value) -> (Vec<Vec<u8>>, Value) {
    let recording = server.recording(recording["id"].as_str().unwrap());
    let segments = recording["playlist_url"].as_str().map(sound::segments).unwrap_or_default();
    let waveform = format!("/v1/recordings/{}/waveform", recording["id"].as_str().unwrap());
    let drawn = until("the waveform", || Some(server.get(&waveform)).filter(|answer| answer.status != 202));
    (segments.into_iter().map(|(_, bytes)| bytes).collect(), drawn.json())
}

#[test]
fn a_database_that_was_lost_is_made_whole_and_nothing_deleted_comes_back() {
    let number = std::env::var("ECHOSPHERE_TEST_RECORDINGS").map_or(RECORDINGS, |text| text.parse().unwrap());
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, mut server) = start(&s3, "s3://calls/here", &[]);
    for name in ["order", "node-order", "survey"] {
        assert_eq!(Session::load(name).upload(server.address).status, 200);
    }
    let session = Session::load("reservation");
    for job in 0..number {
        assert_eq!(session.renamed(job).upload(server.address).status, 200);
    }
    let gone = server.settled_all().iter().find(|one| one["session_id"] == "AJ_000000000003").unwrap()["id"].clone();
    let gone = format!("/v1/recordings/{}", gone.as_str().unwrap());
    assert_eq!(server.send("DELETE", &gone, &[], b"").status, 202);
    until("the deletion", || (server.get(&gone).json()["deletion"] != "pending").then_some(()));
    let deleted = server.get(&gone);
    let before = answers(&server);
    assert_eq!(before.len(), number + 2);
    let some: Vec<Value> = server.recordings().into_iter().rev().take(4).collect();
    let sound: Vec<_> = some.iter().map(|recording| heard(&server, recording)).collect();
    assert!(sound.iter().filter(|(segments, _)| !segments.is_empty()).count() >= 3);
    until_written(&server);
    server.kill9();

    let new = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let output = rebuild(new.path(), "s3://calls/here", &s3.settings(""));
    assert!(output.status.success(), "{}", said(&output));
    println!(
        "{} recordings in {:.1} s: {}",
        before.len(),
        began.elapsed().as_secs_f64(),
        said(&output).lines().next().unwrap()
    );
    let mut server = start_on(PROGRAM, new.path(), &s3.settings("s3://calls/here"), &[]);
    assert_eq!(answers(&server), before);
    for (recording, (segments, waveform)) in some.iter().zip(sound) {
        let (now, drawn) = heard(&server, recording);
        assert_eq!((now.len(), drawn), (segments.len(), waveform), "{recording}");
        assert!(now == segments, "{recording}");
    }
    let after = server.get(&gone);
    assert_eq!((after.status, after.text()), (deleted.status, deleted.text()), "what was deleted stays so");
    assert_ne!(session.renamed(3).upload(server.address).status, 503);
    server.settled_all();
    assert!(
        !server.recordings().iter().any(|one| one["session_id"] == "AJ_000000000003"),
        "nor does its session come back"
    );
    server.stop();
    let output = rebuild(new.path(), "s3://calls/here", &s3.settings(""));
    assert!(!output.status.success() && said(&output).contains("has recordings already"), "{}", said(&output));
}

#[test]
fn a_room_that_was_being_recorded_and_an_upload_that_was_in_no_row_are_not_lost() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let livekit = LiveKit::start();
    let url = livekit.url();
    let (_dir, mut server) = start(&s3, "s3://calls", &[("LIVEKIT_URL", &*url), ("ECHOSPHERE_RECORDER_CHUNK", "2s")]);
    let (people, id) = talk(&livekit, &server);
    let chunks = || s3.keys("calls").iter().filter(|key| key.contains("/log/")).count();
    until("four chunks", || (chunks() >= 4).then_some(()));
    until_written(&server);
    server.kill9();
    // As if the machine had been lost when an upload was there, and its row not yet.
    let body = "recordings/AJ_1/0193a3a0-1111-7222-8333-444455556666/1/upload.multipart";
    let body = ObjectKey::parse(body).unwrap();
    wait_for(s3.store("calls").put(&body, Session::load("reservation").body.into())).unwrap();

    let new = tempfile::tempdir().unwrap();
    let output = rebuild(new.path(), "s3://calls", &s3.settings(""));
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("1 uploads that were in no recording"), "{}", said(&output));
    let server = start_on(PROGRAM, new.path(), &s3.settings("s3://calls"), &[("LIVEKIT_URL", &*url)]);
    until("the room", || (server.recording(&id)["status"] == "ACTIVE").then_some(()));
    let length = || server.recording(&id)["duration_ms"].as_i64().unwrap_or(0);
    let before = length();
    until("what is spoken now", || (length() > before + 4_000).then_some(()));
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    people.stop();
    let recordings = server.settled_all();
    let room = server.recording(&id);
    assert_eq!(room["status"], "COMPLETED", "{room}");
    assert!(room["duration_ms"].as_i64().unwrap() > 8_000, "{room}");
    let gaps = room["gaps"].as_array().unwrap();
    assert!(gaps.len() <= 2, "what was heard before is there: {room}");
    let segments = sound::segments(room["playlist_url"].as_str().unwrap());
    assert!(segments.iter().all(|(_, bytes)| !bytes.is_empty()));
    let other = recordings.iter().find(|one| one["id"] != id.as_str()).unwrap();
    assert_eq!(other["status"], "COMPLETED", "the upload is read again: {other}");
}
