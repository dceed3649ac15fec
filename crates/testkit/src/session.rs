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

/// The sound of `order` again and again until it lasts an hour, as one unbroken Ogg file: granules and numbers go on, checksums
/// are made anew.
pub fn hour_of_ogg() -> Vec<u8> {
    const HOUR: i64 = 3600 * 48_000;
    let session = Session::load("order");
    let start = session.body.windows(4).position(|window| window == b"OggS").unwrap();
    let end = session.body.windows(4).rposition(|window| window == b"\r\n--").unwrap();
    let pages = pages(&session.body[start..end]);
    let (headers, sound) = pages.split_at(2);
    let granule = |page: &[u8]| i64::from_le_bytes(page[6..14].try_into().unwrap());
    // The last page may be cut short by its granule; without it every round is a whole number of packets.
    let sound = &sound[..sound.len() - 1];
    let (first, length) = (granule(&sound[0]) - 48_000, granule(sound.last().unwrap()) - granule(&sound[0]) + 48_000);
    let mut out = headers.concat();
    let mut number = 2_u32;
    for round in 0.. {
        for page in sound {
            let at = granule(page) + round * length;
            if at - first > HOUR {
                return out;
            }
            let mut page = page.clone();
            page[5] &= !4;
            page[6..14].copy_from_slice(&at.to_le_bytes());
            page[18..22].copy_from_slice(&number.to_le_bytes());
            page[22..26].fill(0);
            let sum = page.iter().fold(0_u32, |crc, &byte| {
                (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
                    if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
                })
            });
            page[22..26].copy_from_slice(&sum.to_le_bytes());
            out.extend_from_slice(&page);
            number += 1;
        }
    }
    unreachable!("an hour ends")
}

fn pages(mut ogg: &[u8]) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    while ogg.len() > 27 {
        let segments = usize::from(ogg[26]);
        let length = 27 + segments + ogg[27..27 + segments].iter().map(|&n| usize::from(n)).sum::<usize>();
        pages.push(ogg[..length].to_vec());
        ogg = &ogg[length..];
    }
    pages
}

/// An upload of an hour: the header and chat history of `order`, and an hour of its sound.
pub fn hour_long() -> Session {
    let session = Session::load("order");
    let start = session.body.windows(4).position(|window| window == b"OggS").unwrap();
    let declared = session.body[..start].windows(14).rposition(|window| window == b"Content-Length").unwrap();
    let boundary = session.content_type.rsplit_once('=').unwrap().1;
    let ogg = hour_of_ogg();
    let mut body = session.body[..declared].to_vec();
    body.extend_from_slice(format!("Content-Length: {}\r\n\r\n", ogg.len()).as_bytes());
    body.extend_from_slice(&ogg);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Session { name: "hour".to_owned(), body, ..session }
}
