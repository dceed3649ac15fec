//! What one client takes does not cost the others: connections, bodies, places, memory.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use echosphere_testkit::hostile::{self, Hostile};
use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::{KEY, SECRET, Server};
use echosphere_testkit::session::{self, Session};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn server(variables: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), variables);
    (dir, server)
}

/// A connection on which this was sent.
fn begun(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = http::connect(server.address);
    stream.write_all(bytes).unwrap();
    stream
}

/// Whether the connection is ended by the server within that time.
fn is_ended(stream: &mut TcpStream, within: Duration) -> bool {
    stream.set_read_timeout(Some(within)).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

/// The first line of what is answered to these bytes, before more of them are sent.
fn first_line(server: &Server, bytes: &[u8]) -> String {
    let mut stream = begun(server, bytes);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|count| count > 0) && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim().to_owned()
}

fn metrics(server: &Server) -> String {
    let authorization = format!("Bearer {}", session::api_token(KEY, SECRET));
    http::send(server.address, "GET", "/metrics", &[("authorization", &authorization)], &[]).text()
}

fn limit(server: &Server, name: &str) -> bool {
    metrics(server).contains(&format!("echosphere_http_limits_total{{limit=\"{name}\"}}"))
}

#[test]
fn connections_that_ask_for_nothing_make_room_for_those_that_do() {
    let limits = [("ECHOSPHERE_HTTP_MAX_CONNECTIONS", "16"), ("ECHOSPHERE_HTTP_HEADER_TIMEOUT", "2s")];
    let (_dir, server) = server(&limits);
    let mut slow: Vec<_> = (0..200).map(|_| begun(&server, b"GET / HTTP/1.1\r\nX: ")).collect();
    for _ in 0..5 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    assert!(limit(&server, "max_connections"));
    assert!(server.log().contains("a limit of the HTTP listener is met"));
    assert!(slow.iter_mut().all(|stream| is_ended(stream, Duration::from_secs(10))));
    // One that does ask is not ended by those that come after it.
    let mut asking = begun(&server, b"POST /observability/recordings/v0 HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n");
    let authorization = format!("authorization: Bearer {}\r\n\r\nabc", session::token());
    asking.write_all(authorization.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let _more: Vec<_> = (0..100).map(|_| begun(&server, b"GET / HTTP/1.1\r\n")).collect();
    asking.write_all(b"defghi").unwrap();
    let mut line = [0; 12];
    asking.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"HTTP/1.1 200");
}

#[test]
fn nothing_is_read_of_a_body_before_its_sender_is_known() {
    let (_dir, server) = server(&[]);
    let part = b"--xyz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\n";
    for (head, status) in [
        ("POST /echosphere-recordings HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=xyz", "501"),
        ("POST /echosphere-recordings/a HTTP/1.1\r\ncontent-type: Multipart/Form-Data; boundary=xyz", "501"),
        ("PUT /echosphere-recordings/a HTTP/1.1\r\ncontent-type: text/plain", "403"),
        ("POST /livekit/webhook HTTP/1.1\r\nauthorization: x", "401"),
        ("POST /livekit/webhook HTTP/1.1", "401"),
        ("POST /observability/recordings/v0 HTTP/1.1\r\ncontent-type: multipart/form-data; boundary=xyz", "401"),
        ("POST /observability/logs/otlp/v0 HTTP/1.1\r\ncontent-type: application/json", "401"),
        ("POST /nowhere HTTP/1.1", "404"),
    ] {
        for length in ["content-length: 30000000", "transfer-encoding: chunked"] {
            let head = format!("{head}\r\nhost: {}\r\n{length}\r\n\r\n", server.address);
            let chunk = if length.starts_with('t') { "ffff\r\n" } else { "" };
            let line = first_line(&server, &[head.as_bytes(), chunk.as_bytes(), part].concat());
            assert!(line.starts_with(&format!("HTTP/1.1 {status}")), "{head} {line}");
        }
    }
    // Who sends all of it gets to read the answer.
    let headers = [("content-type", hostile::CONTENT_TYPE)];
    let answer = http::send(server.address, "POST", "/echosphere-recordings", &headers, &vec![b'a'; 10 << 20]);
    assert_eq!(answer.status, 501);
    let readiness = server.get("/readyz").text();
    assert_eq!(
        readiness,
        r#"{"ready":true,"database":"ok","storage":"ok","uploads_waiting":{"count":0,"since":null}}"#
    );
}

#[test]
fn a_request_is_one_for_all_who_read_it() {
    let (_dir, server) = server(&[]);
    let host = server.address;
    for bad in [
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n\r\n"),
        "GET /healthz HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n"),
    ] {
        assert_eq!(first_line(&server, bad.as_bytes()), "HTTP/1.1 400 Bad Request", "{bad}");
    }
    assert_eq!(first_line(&server, b"GET /healthz HTTP/1.0\r\n\r\n"), "HTTP/1.0 200 OK");
    let line = first_line(&server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    assert!(!line.contains("200") && (line.is_empty() || line.starts_with("HTTP/1.")), "{line:?}");
    let long = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert!(first_line(&server, long.as_bytes()).starts_with("HTTP/1.1 431"));
}

#[test]
fn what_takes_too_long_is_ended() {
    let limits = [("ECHOSPHERE_HTTP_BODY_TIMEOUT", "1s"), ("ECHOSPHERE_HTTP_IDLE_TIMEOUT", "1s")];
    let (_dir, server) = server(&limits);
    let authorization = format!("authorization: Bearer {}", session::token());
    let head = "POST /observability/recordings/v0 HTTP/1.1\r\nhost: x\r\ncontent-length: 9999";
    let mut halted = begun(&server, format!("{head}\r\n{authorization}\r\n\r\nabc").as_bytes());
    assert!(is_ended(&mut halted, Duration::from_secs(10)));
    assert!(limit(&server, "body_timeout"));
    let mut idle = begun(&server, b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(is_ended(&mut idle, Duration::from_secs(10)));
    assert!(limit(&server, "idle_timeout"));
}

#[test]
fn a_listener_comes_again() {
    let nobody = ("LIVEKIT_URL", "ws://127.0.0.1:9");
    let (_dir, server) = server(&[nobody, ("ECHOSPHERE_HTTP_LISTENER_LIFE", "1s")]);
    let authorization = format!("Bearer {}", session::api_token(KEY, SECRET));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let body = br#"{"room_name":"a"}"#;
    let made = http::send(server.address, "POST", "/v1/recordings", &headers, body);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let began = Instant::now();
    let target = format!("/v1/recordings/{id}/events");
    let events = http::send(server.address, "GET", &target, &headers[..1], &[]);
    assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
    let text = events.text();
    assert!(
        text.contains("retry: 2000") && text.contains("event: status\ndata: {") && text.contains("\nid: "),
        "{text}"
    );
    assert!((1..20).contains(&began.elapsed().as_secs()));
}

fn send(server: &Server, hostile: &Hostile) -> Answer {
    let authorization = format!("Bearer {}", session::token());
    let mut headers = hostile.headers.to_vec();
    headers.push(("authorization", &authorization));
    http::send(server.address, "POST", hostile.target, &headers, &hostile.body)
}

#[test]
fn what_is_costly_to_read_takes_little_memory_and_harms_nobody() {
    let too_much: Vec<String> = hostile::all(0.25, "").iter().filter_map(memory_taken).collect();
    assert!(too_much.is_empty(), "{too_much:#?}");
}

/// What a body takes of a server's memory, should it be too much.
fn memory_taken(hostile: &Hostile) -> Option<String> {
    let (_dir, server) = server(&[]);
    let idle = server.memory("VmHWM:");
    let answer = send(&server, hostile);
    assert!(matches!(answer.status, 200 | 400 | 413), "{}: {}", hostile.name, answer.text());
    let until = Instant::now() + Duration::from_secs(60);
    while !metrics(&server).contains(r#"echosphere_tasks{kind="ingest",state="open"} 0"#) {
        assert!(Instant::now() < until, "{} is not read", hostile.name);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(Session::load("order").upload(server.address).status, 200);
    assert!(!server.log().contains("panicked"));
    let grown = server.memory("VmHWM:") - idle;
    println!("{:40} {grown:.1} MiB above {idle:.1}", hostile.name);
    (grown > 64.0).then(|| format!("{}: {grown:.1} MiB", hostile.name))
}
