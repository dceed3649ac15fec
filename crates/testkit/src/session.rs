//! Recorded sessions, sent as they were.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use echosphere_domain::time::WallTime;
use echosphere_livekit::token::{self, Grant};
use secrecy::SecretString;
use serde_json::Value;

use crate::http::{self, Answer};
use crate::server::{KEY, SECRET};

/// Every recorded session.
pub const ALL: [&str; 4] = ["node-order", "order", "reservation", "survey"];

/// A recorded session.
pub struct Session {
    /// Its name, the folder's.
    pub name: String,
    /// The body of its upload.
    pub body: Vec<u8>,
    /// The Content-Type of its upload.
    pub content_type: String,
    /// What the caller really said, and when.
    pub truth: Value,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/agent-sessions").join(name)
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The time of day.
pub fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

/// An upload token of now.
pub fn token() -> String {
    token::mint(KEY, &SecretString::from(SECRET), Grant::ObservabilityWrite, now(), 3600)
}

/// An API token of now.
pub fn api_token(key: &str, secret: &str) -> String {
    token::mint(key, &SecretString::from(secret), Grant::RoomRecord, now(), 3600)
}

impl Session {
    /// Reads a recorded session.
    pub fn load(name: &str) -> Self {
        let request: Value = serde_json::from_slice(&read(folder(name).join("request.json"))).unwrap();
        let headers = request["headers"].as_array().unwrap();
        let content_type =
            headers.iter().find(|h| h[0].as_str().unwrap().eq_ignore_ascii_case("content-type")).unwrap();
        Self {
            name: name.to_owned(),
            body: read(folder(name).join("body.bin")),
            content_type: content_type[1].as_str().unwrap().to_owned(),
            truth: serde_json::from_slice(&read(folder(name).join("caller_ground_truth.json"))).unwrap(),
        }
    }

    /// The same session as if it had been another job in another room: the ids, which have a fixed length, replaced.
    pub fn renamed(&self, number: usize) -> Self {
        let mut body = self.body.clone();
        for prefix in [b"RM_".as_slice(), b"AJ_"] {
            let Some(at) = body.windows(3).position(|window| window == prefix) else { continue };
            let old = body[at..at + 15].to_vec();
            let new = format!("{}{number:012}", String::from_utf8_lossy(prefix));
            for place in 0..body.len().min(4_000) - 15 {
                if body[place..place + 15] == old {
                    body[place..place + 15].copy_from_slice(new.as_bytes());
                }
            }
        }
        Self {
            name: format!("{}-{number}", self.name),
            body,
            content_type: self.content_type.clone(),
            truth: Value::Null,
        }
    }

    /// A body of the recorded telemetry.
    pub fn telemetry(&self, file: &str) -> Vec<u8> {
        read(folder(&self.name).join("otlp").join(file))
    }

    /// Sends the upload whole.
    pub fn upload(&self, address: SocketAddr) -> Answer {
        upload(address, &self.content_type, &self.body)
    }

    /// Announces the whole body, sends its first bytes and breaks the connection off.
    pub fn upload_cut(&self, address: SocketAddr, bytes: usize) {
        let mut stream = http::connect(address);
        let head = format!(
            "POST /observability/recordings/v0 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\
             content-type: {}\r\ncontent-length: {}\r\n\r\n",
            token(),
            self.content_type,
            self.body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&self.body[..bytes]).unwrap();
        stream.flush().unwrap();
        // What was written is on its way; give it the moment that a real network would.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a body to the upload's address with a good token.
pub fn upload(address: SocketAddr, content_type: &str, body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", token());
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
    http::send(address, "POST", "/observability/recordings/v0", &headers, body)
}
