//! What is refused: bad tokens, rooms that are not recorded, bodies that are too large, and paths that lead nowhere.

use std::io::Write;

use echosphere_testkit::http;
use echosphere_testkit::server::{KEY, SECRET, Server, files};
use echosphere_testkit::session::{self, Session};
use serde_json::json;

use super::{PROGRAM, UPLOAD, bearer, post, server};

#[test]
fn only_a_good_token_opens_the_door() {
    let config = "projects:\n  - {name: default, livekit: [{api_key: devkey, api_secret: secretsecretsecretsecretsecretsecret}]}\n  \
        - {name: other, livekit: [{api_key: otherkey, api_secret: 'another secret of another project'}]}\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("c.yaml"), config).unwrap();
    let path = dir.path().join("c.yaml");
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_CONFIG", path.to_str().unwrap())]);
    let session = Session::load("survey");
    // `{"alg":"none"}` and the claims of a good token, unsigned.
    let good = session::token();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    let expired = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJvYnNlcnZhYmlsaXR5Ijp7IndyaXRlIjp0cnVlfSwic3ViIjoiIiwiaXNzIjoiZGV2a2V5IiwibmJmIjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMjE2MDB9.x";
    for (token, detail) in [
        (unsigned.as_str(), "HS256"),
        (expired, ""),
        ("nonsense", "not a JSON Web Token"),
        (&session::api_token(KEY, SECRET), "observability.write"),
        (&good.replace('.', "x"), "not a JSON Web Token"),
    ] {
        let headers = [("authorization", bearer(token)), ("content-type", session.content_type.clone())];
        let headers: Vec<_> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let answer = post(&server, UPLOAD, &headers, &session.body);
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{}", answer.text());
    }
    assert_eq!(post(&server, UPLOAD, &[], &session.body).status, 401);
    assert_eq!(session.upload(server.address).status, 200);
    let mine = server.settled();
    assert_eq!(mine.len(), 1);
    // Another project's key sees nothing of it, on any route.
    let foreign = bearer(&session::api_token("otherkey", "another secret of another project"));
    let id = mine[0]["id"].as_str().unwrap();
    let headers = [("authorization", foreign.as_str())];
    let openapi = server.get("/openapi.json").json();
    let mut walked = 0;
    for (path, methods) in openapi["paths"].as_object().unwrap() {
        if !path.contains("{id}") {
            continue;
        }
        let path = path.replace("{id}", id).replace("{rendition}", "audio").replace("{segment}", "0.ts");
        for method in methods.as_object().unwrap().keys() {
            let answer = http::send(server.address, &method.to_uppercase(), &path, &headers, &[]);
            assert_eq!(answer.status, 404, "{method} {path}");
            walked += 1;
        }
    }
    assert!(walked >= 10, "{walked}");
    let list = http::send(server.address, "GET", "/v1/recordings", &headers, &[]).json();
    assert_eq!(list["items"], json!([]));
    let log = server.log();
    assert!(!log.contains(&good) && !log.contains(SECRET), "no token and no secret in the log");
}

#[test]
fn recording_that_is_switched_off_is_refused_so_that_the_sdk_goes_quiet() {
    let dir = tempfile::tempdir().unwrap();
    let config = "projects:\n  - name: default\n    excluded_rooms: ['obs-survey-*']\n    livekit: []\n";
    std::fs::write(dir.path().join("c.yaml"), config).unwrap();
    let path = dir.path().join("c.yaml");
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_CONFIG", path.to_str().unwrap())]);
    let answer = Session::load("survey").upload(server.address);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("data recording is disabled"), "{}", answer.text());
    assert_eq!(Session::load("reservation").upload(server.address).status, 200);
    assert_eq!(server.settled().len(), 1);
    assert!(files(&dir.path().join("data/spool")).is_empty(), "nothing of the refused session is kept");
}

#[test]
fn a_body_over_the_limit_gets_an_answer() {
    let (_dir, server) = server(&[("ECHOSPHERE_UPLOADS_MAX_BYTES", "1 MiB")]);
    let announced = vec![b'x'; 3 << 20];
    let answer = session::upload(server.address, "multipart/form-data; boundary=x", &announced);
    assert_eq!(answer.status, 413);
    assert!(answer.json()["detail"].as_str().unwrap().contains("1048576"), "{}", answer.text());
    // 2 GB, announced and never sent.
    let authorization = bearer(&session::token());
    let mut stream = http::connect(server.address);
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\ncontent-length: 2000000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&announced).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(http::read_answer(&mut stream).status, 413);
    // Chunked: the length is known only at the end.
    let mut stream = http::connect(server.address);
    let head = format!(
        "POST {UPLOAD} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: {authorization}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        stream.write_all(format!("{:x}\r\n", 1 << 20).as_bytes()).unwrap();
        stream.write_all(&announced[..1 << 20]).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(http::read_answer(&mut stream).status, 413);
    assert!(server.settled().is_empty());
}

#[test]
fn path_tricks_find_nothing_and_leave_nothing() {
    let (_dir, server) = server(&[]);
    let before = server.objects();
    for id in ["..", "%2e%2e%2f%2e%2e", "..%00", "1", "01A20A52-F05C-7EAD-9F6B-2DA16A9AAEE8", "%252e%252e"] {
        for rest in ["", "/transcript", "/playlist.m3u8", "/renditions/audio/segments/0.ts"] {
            let answer = server.get(&format!("/v1/recordings/{id}{rest}"));
            assert!(matches!(answer.status, 404 | 400), "{id}{rest}: {}", answer.status);
        }
    }
    for path in [
        "/echosphere-recordings/../secrets/links",
        "/echosphere-recordings/%2e%2e/secrets/links",
        "/assets/../../Cargo.toml",
        "/assets/%2e%2e/x",
    ] {
        let answer = server.get(path);
        assert!(matches!(answer.status, 403 | 404 | 400), "{path}: {}", answer.status);
    }
    assert_eq!(server.objects(), before);
}
