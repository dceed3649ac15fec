//! Recordings in a bucket of an S3 server: what is kept there, and that it plays from there.

#![allow(clippy::unwrap_used, reason = "a test may")]

use echosphere_testkit::http;
use echosphere_testkit::s3::{Kind, S3Server};
use echosphere_testkit::server::Server;
use echosphere_testkit::session::Session;
use echosphere_testkit::sound;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// A server whose objects are in a bucket.
fn start(s3: &S3Server, url: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let settings = s3.settings(url);
    let mut variables: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (&**name, &**value)).collect();
    variables.extend_from_slice(others);
    let server = Server::start(PROGRAM, dir.path(), &variables);
    (dir, server)
}

fn a_session_is_kept_in_the_bucket_and_plays_from_it(kind: Kind) {
    let s3 = S3Server::start(kind);
    s3.make_bucket("calls");
    let (_dir, server) = start(&s3, "s3://calls/here", &[("ECHOSPHERE_RENDERING_WHEN", "always")]);
    let session = Session::load("order");
    assert_eq!(session.upload(server.address).status, 200);
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
