//! How many requests it takes to keep a recording: each costs money.

use std::collections::BTreeMap;

use echosphere_testkit::http;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::Server;
use echosphere_testkit::session::{self, Session};
use echosphere_testkit::sound;

use super::{assert_whole, is_nothing_left, start, talk, until};

/// The most reads that go on beside those of what is counted: of the marker once a minute, and of what is small.
const BESIDE: u64 = 12;

/// What was asked for since then.
fn since(before: &BTreeMap<String, u64>, server: &Server) -> BTreeMap<String, u64> {
    let now = server.s3_requests().into_iter();
    now.map(|(what, count)| (what.clone(), count - before.get(&what).unwrap_or(&0))).collect()
}

fn all(requests: &BTreeMap<String, u64>, what: &str) -> u64 {
    requests.iter().filter(|(name, _)| name.starts_with(what)).map(|(_, count)| count).sum()
}

#[test]
fn an_hour_that_is_uploaded_is_read_in_large_parts() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls", &[]);
    let before = server.s3_requests();
    assert_eq!(session::hour_long().upload(server.address).status, 200);
    server.settled_all().iter().for_each(assert_whole);
    until("sound, words and header", || s3.keys("calls").iter().any(|key| key.ends_with("/sound.ogg")).then_some(()));
    let requests = since(&before, &server);
    assert!(all(&requests, "get ") <= 60, "{requests:?}");
    assert!(all(&requests, "put ") <= 30, "{requests:?}");
}

#[test]
fn a_chunk_of_a_room_is_read_once_for_each_thing_that_is_done_with_it() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let livekit = LiveKit::start();
    let settings = [("LIVEKIT_URL", &*livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "1s")];
    let (_dir, server) = start(&s3, "s3://calls", &settings);
    let (people, id) = talk(&livekit, &server);
    until("chunks", || (server.s3_requests().get("put chunk") >= Some(&15)).then_some(()));
    let before = server.s3_requests();
    server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    people.stop();
    server.settled_all().iter().for_each(assert_whole);
    until("sound and words", || s3.keys("calls").iter().any(|key| key.ends_with("/words.esl")).then_some(()));
    let (chunks, requests) = (server.s3_requests()["put chunk"], since(&before, &server));
    // It is found out what they amount to, their levels are measured, and they become two objects. One more is looked for after the last.
    assert!(requests["get chunk"] <= 3 * chunks + 1, "{chunks} chunks: {requests:?}");
    assert!(all(&requests, "get ") - requests["get chunk"] <= BESIDE, "{requests:?}");
}

#[test]
fn a_segment_that_is_asked_for_is_looked_at_once_at_most() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls", &[]);
    assert_eq!(session::hour_long().upload(server.address).status, 200);
    let recording = server.settled_all().remove(0);
    let (before, listed) = (server.s3_requests(), sound::listed(recording["playlist_url"].as_str().unwrap()));
    for (_, address) in &listed[..30] {
        assert_eq!(http::fetch(address).status, 200);
    }
    let requests = since(&before, &server);
    assert!(requests.get("get segment") <= Some(&30), "{requests:?}");
}

#[test]
fn nothing_is_read_of_what_is_deleted() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls", &[]);
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    let recording = server.settled_all().remove(0);
    until("sound, words and header", || s3.keys("calls").iter().any(|key| key.ends_with("/sound.ogg")).then_some(()));
    let before = server.s3_requests();
    server.send("DELETE", &format!("/v1/recordings/{}", recording["id"].as_str().unwrap()), &[], b"");
    until("its end", || is_nothing_left(&s3).then_some(()));
    let requests = since(&before, &server);
    assert_eq!(all(&requests, "get "), all(&requests, "get marker"), "{requests:?}");
}
