//! `echosphere backup`, taken while a room is being recorded, and what becomes of it on another machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::{Server, files, start_on};
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;
use serde_json::{Value, json};

use super::{PROGRAM, assert_whole, start, talk, until};

fn backup(s3: &S3Server, data: &Path, file: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("backup").arg(file).envs(s3.settings("s3://calls/here")).env("ECHOSPHERE_DATA_DIR", data);
    command.output().unwrap()
}

/// What a recording is for whoever plays it.
fn replay(server: &Server, id: &str) -> (Value, Vec<(f64, Vec<u8>)>) {
    let recording = server.recording(id);
    assert_whole(&recording);
    let transcript = server.get(&format!("/v1/recordings/{id}/transcript")).json();
    (transcript, sound::segments(recording["playlist_url"].as_str().unwrap()))
}

#[test]
fn a_copy_that_was_taken_during_a_room_plays_on_another_machine() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let livekit = LiveKit::start();
    let settings = [("LIVEKIT_URL", &*livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "2s")];
    let (dir, mut server) = start(&s3, "s3://calls/here", &settings);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    let finished = server.settled_all()[0]["id"].as_str().unwrap().to_owned();
    let (people, live) = talk(&livekit, &server);
    let chunks = || s3.keys("calls").iter().filter(|key| key.contains("/log/")).count();
    until("sound of the room in the bucket", || {
        (chunks() > 1 && server.recording(&live)["status"] == "ACTIVE").then_some(())
    });
    let file = dir.path().join("copy.db");
    let done = backup(&s3, &server.data(), &file);
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for part in ["copy.db has all rows", "s3://calls/here: the objects", "data/secrets", "data/store-id"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let parts = files(dir.path()).into_iter().filter(|file| file.extension().is_some_and(|end| end == "part"));
    assert_eq!(parts.count(), 0);
    let expected = replay(&server, &finished);
    assert!(!expected.0["turns"].as_array().unwrap().is_empty() && !expected.1.is_empty());
    let then = chunks();
    until("chunks of which the copy knows nothing", || (chunks() > then).then_some(()));
    server.kill9();
    let other = tempfile::tempdir().unwrap();
    let data = other.path().join("data");
    fs::create_dir_all(data.join("secrets")).unwrap();
    fs::copy(&file, data.join("echosphere.db")).unwrap();
    for part in
        files(&server.data().join("secrets")).iter().chain(&["store-id", "node-id"].map(|p| server.data().join(p)))
    {
        fs::copy(part, data.join(part.strip_prefix(server.data()).unwrap())).unwrap();
    }
    let other_server = start_on(PROGRAM, other.path(), &s3.settings("s3://calls/here"), &settings);
    assert!(replay(&other_server, &finished) == expected);
    // The room is gone on with.
    let before = other_server.recording(&live)["duration_ms"].as_i64();
    until("more of the room", || {
        let now = other_server.recording(&live);
        (now["status"] == "ACTIVE" && now["duration_ms"].as_i64() > before).then_some(())
    });
    other_server.send("POST", &format!("/v1/recordings/{live}/stop"), &[], b"");
    people.stop();
    other_server.settled_all();
    let recording = other_server.recording(&live);
    let gaps: Vec<_> = recording["gaps"].as_array().unwrap().iter().map(|gap| &gap["reason"]).collect();
    assert_eq!((&recording["status"], gaps), (&json!("COMPLETED"), vec![&json!("recorder_restarted")]), "{recording}");
}

#[test]
fn what_was_deleted_after_the_copy_does_not_come_back_with_it() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (dir, mut server) = start(&s3, "s3://calls/here", &[]);
    for name in ["order", "reservation"] {
        assert_eq!(Session::load(name).upload(server.address).status, 200);
    }
    let ids: Vec<String> = server.settled_all().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    let file = dir.path().join("copy.db");
    assert!(backup(&s3, &server.data(), &file).status.success());
    let gone = format!("/v1/recordings/{}", ids[0]);
    assert_eq!(server.send("DELETE", &gone, &[], b"").status, 202);
    until("the deletion", || (server.get(&gone).status == 410).then_some(()));
    server.stop();
    let other = tempfile::tempdir().unwrap();
    fs::create_dir_all(other.path().join("data")).unwrap();
    fs::copy(&file, other.path().join("data/echosphere.db")).unwrap();
    let server = start_on(PROGRAM, other.path(), &s3.settings("s3://calls/here"), &[]);
    until("the deletion, again", || (server.get(&gone).status == 410).then_some(()));
    replay(&server, &ids[1]);
    assert_eq!(server.settled_all().len(), 1);
}

#[test]
fn a_backup_overwrites_nothing_and_needs_a_database() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (dir, mut server) = start(&s3, "s3://calls/here", &[]);
    let file = dir.path().join("copy.db");
    let refused = |data: &Path| {
        let done = backup(&s3, data, &file);
        assert!(!done.status.success());
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    assert!(refused(&dir.path().join("nowhere")).contains("there is no database"));
    assert!(!file.exists() && !dir.path().join("nowhere").exists());
    fs::write(&file, "of before").unwrap();
    assert!(refused(&server.data()).contains("is there already"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "of before");
    fs::remove_file(&file).unwrap();
    // Also of a server that does not run.
    assert!(server.stop());
    assert!(backup(&s3, &server.data(), &file).status.success());
}
