//! `storage.url` is changed: what was kept before plays on from where it is, and `echosphere storage move` brings it over.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use echosphere_testkit::http;
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::{KEY, SECRET, Server, files, start_on};
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;
use serde_json::Value;

use super::{PROGRAM, assert_whole, start_with, until};

const STORED: &[(&str, &str)] = &[("ECHOSPHERE_RENDERING_WHEN", "always")];

/// A command of the program on a data directory.
fn command(arguments: &[&str], dir: &Path, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env("ECHOSPHERE_DATA_DIR", dir.join("data"));
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// All that a browser hears and reads of each recording, oldest first.
fn answers(server: &Server) -> Vec<(String, Vec<Vec<u8>>, Value)> {
    let answer = |recording: &Value| {
        let id = recording["id"].as_str().unwrap().to_owned();
        let segments = recording["playlist_url"].as_str().map(sound::segments).unwrap_or_default();
        let transcript = server.get(&format!("/v1/recordings/{id}/transcript")).json();
        (id, segments.into_iter().map(|(_, bytes)| bytes).collect(), transcript)
    };
    let mut answers: Vec<_> = server.settled_all().iter().map(answer).collect();
    answers.sort_by(|one, other| one.0.cmp(&other.0));
    answers
}

/// The keys of what a data directory keeps, but sidecars, which are written anew and not moved.
fn kept(server: &Server) -> BTreeSet<String> {
    let root = server.data().join("objects/echosphere-recordings");
    let key = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files(&root).iter().map(|path| key(path)).filter(|key| !key.starts_with("sidecars/")).collect()
}

/// The keys of what a bucket keeps, without its marker and sidecars.
fn there(s3: &S3Server) -> BTreeSet<String> {
    let is_one = |key: &String| key != "echosphere-store-id" && !key.starts_with("sidecars/");
    s3.keys("calls").into_iter().filter(is_one).collect()
}

/// Sessions in the data directory of a server, which is stopped then.
fn kept_here(names: &[&str]) -> (tempfile::TempDir, Server) {
    let (dir, mut server) = start_with(Vec::new(), STORED);
    for name in names {
        assert_eq!(Session::load(name).upload(server.address).status, 200);
    }
    server.settled_all();
    server.stop();
    (dir, server)
}

#[test]
fn what_was_kept_before_plays_on_and_is_moved_while_it_does() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls");
    let (dir, mut server) = start_with(Vec::new(), STORED);
    for name in ["order", "reservation"] {
        assert_eq!(Session::load(name).upload(server.address).status, 200);
    }
    let before = answers(&server);
    server.stop();

    let mut server = start_on(PROGRAM, dir.path(), &settings, STORED);
    assert!(server.log().contains("object storage is another one than before"), "{}", server.log());
    assert_eq!(answers(&server), before, "it plays from where it is");
    assert_eq!(there(&s3), BTreeSet::new(), "nothing of it was written anew");
    assert_eq!(Session::load("survey").upload(server.address).status, 200);
    let mut all = answers(&server);
    assert!(!there(&s3).is_empty(), "what comes is written there");

    // A deletion reaches what is elsewhere.
    let (gone, ..) = all.remove(0);
    assert!(kept(&server).iter().any(|key| key.contains(&gone)));
    assert_eq!(server.send("DELETE", &format!("/v1/recordings/{gone}"), &[], b"").status, 202);
    until("the deletion", || (!kept(&server).iter().any(|key| key.contains(&gone))).then_some(()));

    let left = kept(&server);
    let output = command(&["storage", "move"], dir.path(), &settings).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("0 are where they were"), "{}", said(&output));
    assert!(there(&s3).is_superset(&left), "{left:?}");
    std::fs::rename(server.data().join("objects"), server.data().join("away")).unwrap();
    assert_eq!(answers(&server), all, "it plays from where it was moved to");
    server.restart();
    assert_eq!(answers(&server), all);
    let output = command(&["storage", "move"], dir.path(), &settings).output().unwrap();
    assert!(said(&output).contains("there is nothing to move"), "{}", said(&output));
}

#[test]
fn a_move_that_is_killed_goes_on_where_it_was() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls");
    let (dir, server) = kept_here(&["order", "reservation"]);
    let all = kept(&server);
    let mut kills = 0;
    while kills < 5 {
        let moved = there(&s3).len();
        let mut moving = command(&["storage", "move"], dir.path(), &settings).spawn().unwrap();
        let ended = until("an object more", || {
            let ended = moving.try_wait().unwrap();
            (ended.is_some() || there(&s3).len() > moved).then_some(ended)
        });
        if ended.is_some() {
            break;
        }
        moving.kill().unwrap();
        moving.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0, "it was never killed");
    let output = command(&["storage", "move"], dir.path(), &settings).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    println!("{kills} kills, {} objects: {}", all.len(), said(&output).lines().next().unwrap_or_default());
    assert_eq!(there(&s3), all, "each is there once, and nothing else");
    std::fs::rename(server.data().join("objects"), server.data().join("away")).unwrap();
    let server = start_on(PROGRAM, dir.path(), &settings, STORED);
    let recordings = server.settled_all();
    assert_eq!(recordings.len(), 2);
    recordings.iter().for_each(assert_whole);
    assert!(answers(&server).iter().all(|(_, segments, _)| segments.iter().all(|bytes| !bytes.is_empty())));
}

#[test]
fn it_is_changed_back_and_what_was_there_is_known() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls/here");
    let (dir, _server) = kept_here(&["order"]);
    let mut server = start_on(PROGRAM, dir.path(), &settings, STORED);
    assert_eq!(Session::load("reservation").upload(server.address).status, 200);
    let both = answers(&server);
    server.stop();
    // The keys of a bucket of before are named for it: the server's own way to find some is not there.
    let earlier: Vec<(String, String)> = settings
        .iter()
        .filter(|(name, _)| name.ends_with("_KEY"))
        .map(|(name, value)| (name.replace("STORAGE_", "STORAGE_EARLIER_"), value.clone()))
        .collect();
    assert_eq!(earlier.len(), 2, "{settings:?}");
    let mut server = start_on(PROGRAM, dir.path(), &earlier, STORED);
    assert_eq!(answers(&server), both);
    assert!(server.log().contains("object storage is another one than before"));
    server.stop();
    let output = command(&["storage", "move"], dir.path(), &earlier).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut server = start_on(PROGRAM, dir.path(), &[], STORED);
    assert_eq!(answers(&server), both, "nothing is in the bucket alone any more");
    server.stop();
}

#[test]
fn what_cannot_be_reached_where_it_was_is_neither_lost_nor_deleted() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls");
    let (dir, server) = kept_here(&["order", "reservation"]);
    let (objects, away) = (server.data().join("objects"), server.data().join("away"));
    std::fs::rename(&objects, &away).unwrap();
    let mut server = start_on(PROGRAM, dir.path(), &settings, STORED);
    let recordings = server.settled_all();
    recordings.iter().for_each(assert_whole);
    let address = sound::listed(recordings[0]["playlist_url"].as_str().unwrap()).remove(0).1;
    assert_eq!(http::fetch(&address).status, 503, "it is not called absent");
    let gone = format!("/v1/recordings/{}", recordings[1]["id"].as_str().unwrap());
    assert_eq!(server.send("DELETE", &gone, &[], b"").status, 202);
    until("a deletion that cannot be done", || server.log().contains("a task failed and is tried again").then_some(()));
    assert_eq!(server.get(&gone).json()["deletion"], "pending", "bytes may be left");
    server.stop();
    let output = command(&["storage", "move"], dir.path(), &settings).output().unwrap();
    assert!(!output.status.success() && said(&output).contains("could not be copied"), "{}", said(&output));
    std::fs::remove_dir_all(&objects).ok();
    std::fs::rename(&away, &objects).unwrap();
    let server = start_on(PROGRAM, dir.path(), &settings, STORED);
    until("the deletion", || (server.get(&gone).status == 410).then_some(()));
    let recordings = server.settled_all();
    assert_whole(&recordings[0]);
    assert!(answers(&server)[0].1.iter().all(|bytes| !bytes.is_empty()));
}
