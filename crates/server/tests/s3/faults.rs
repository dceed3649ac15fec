//! An S3 server that fails in every way, while a room goes on and sessions come.

use std::time::{Duration, Instant};

use echosphere_testkit::container::Container;
use echosphere_testkit::http;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::proxy::{Fault, FaultProxy};
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::files;
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;
use serde_json::json;

use super::{assert_whole, start_with, talk, until};

/// How long each fault lasts: with seven of them a room goes on for more than a minute.
const LASTS: Duration = Duration::from_secs(9);
/// How many sessions come one after another: `ECHOSPHERE_TEST_UPLOADS`.
const UPLOADS: usize = 60;

#[test]
fn a_room_and_sessions_outlive_every_fault() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (livekit, proxy) = (LiveKit::start(), FaultProxy::start(s3.address()));
    let settings = [("LIVEKIT_URL", &*livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "2s")];
    let (_dir, server) = start_with(s3.settings_behind(&proxy.url(), "s3://calls"), &settings);
    let (people, id) = talk(&livekit, &server);
    until("the room", || (server.recording(&id)["status"] == "ACTIVE").then_some(()));
    let session = Session::load("reservation");
    for (number, fault) in Fault::ALL.into_iter().enumerate() {
        let session = session.renamed(number);
        proxy.set(Some(fault), 1);
        let began = Instant::now();
        let address = server.address;
        let sent = std::thread::spawn(move || session.upload(address).status);
        std::thread::sleep(LASTS.saturating_sub(began.elapsed()));
        assert!(proxy.faults() > 0, "{fault:?} was not met");
        proxy.set(None, 1);
        assert_eq!(sent.join().unwrap(), 200, "{fault:?}");
        let chunks = server.data().join("chunks");
        until("what waited on the disk", || files(&chunks).is_empty().then_some(()));
        assert_eq!(server.recording(&id)["status"], "ACTIVE", "{fault:?}");
    }
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    people.stop();
    let recordings = until("all of them", || {
        let recordings = server.settled_all();
        recordings.iter().all(|recording| recording["status"] == "COMPLETED").then_some(recordings)
    });
    assert_eq!(recordings.len(), Fault::ALL.len() + 1);
    recordings.iter().for_each(assert_whole);
    let room = recordings.iter().find(|recording| recording["id"] == json!(id)).unwrap();
    assert!(room["duration_ms"].as_i64().unwrap() > 60_000, "{room}");
    assert!(files(&server.data().join("spool")).is_empty());
}

#[test]
fn of_many_sessions_none_is_lost_or_doubled_where_every_third_request_fails() {
    let count = std::env::var("ECHOSPHERE_TEST_UPLOADS").map_or(UPLOADS, |text| text.parse().unwrap());
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let proxy = FaultProxy::start(s3.address());
    let (_dir, server) = start_with(s3.settings_behind(&proxy.url(), "s3://calls"), &[]);
    proxy.set(Some(Fault::Busy), 3);
    let session = Session::load("reservation");
    for number in 0..count {
        assert_eq!(session.renamed(number).upload(server.address).status, 200, "{number}");
    }
    assert!(proxy.faults() >= count / 2, "{} faults", proxy.faults());
    let recordings = server.settled_all();
    assert_eq!(recordings.len(), count);
    recordings.iter().for_each(assert_whole);
}

#[test]
fn keys_that_expire_are_renewed_during_an_upload_a_room_and_a_replay() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    // They are renewed five minutes before their end: after 12 s.
    let container = Container::start(&s3, 312);
    let (livekit, proxy) = (LiveKit::start(), FaultProxy::start(s3.address()));
    let settings = [
        ("LIVEKIT_URL", &*livekit.url()),
        ("ECHOSPHERE_RECORDER_CHUNK", "2s"),
        ("ECHOSPHERE_RENDERING_WHEN", "always"),
        ("ECHOSPHERE_STORAGE_URL", "s3://calls"),
        ("ECHOSPHERE_STORAGE_ENDPOINT", &*proxy.url()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container.url),
    ];
    let (_dir, server) = start_with(Vec::new(), &settings);
    let (people, id) = talk(&livekit, &server);
    until("the room", || (server.recording(&id)["status"] == "ACTIVE").then_some(()));
    let renewed = container.handed_out();
    until("two renewals", || (container.handed_out() > renewed + 1).then_some(()));
    // The server may say so sooner than was said: each of these calls is made again with new keys.
    let renewed = container.handed_out();
    proxy.set(Some(Fault::Expired), 3);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    until("keys that expired early", || (proxy.faults() > 0 && container.handed_out() > renewed).then_some(()));
    proxy.set(None, 1);
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    people.stop();
    let recordings = server.settled_all();
    recordings.iter().for_each(assert_whole);
    for recording in &recordings {
        for (_, address) in sound::listed(recording["playlist_url"].as_str().unwrap()) {
            assert!(
                address.starts_with(&format!("http://{}/v1/recordings/", server.address)),
                "a short one: {address}"
            );
            let (_, path) = address.split_once("//").unwrap().1.split_once('/').unwrap();
            let answer = http::get(server.address, &format!("/{path}"));
            let there =
                answer.header("location").unwrap_or_else(|| panic!("{address}: {} {}", answer.status, answer.text()));
            assert!(there.starts_with(&proxy.url()) && there.contains("&X-Amz-Security-Token="), "{there}");
            let life = there.split_once("X-Amz-Expires=").unwrap().1.split('&').next().unwrap();
            assert!(life.parse::<u32>().unwrap() < 2_000, "no longer than the keys: {life}");
            assert_eq!(http::fetch(there).status, 200);
        }
    }
}
