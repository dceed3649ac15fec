//! Recorded agent sessions, to be uploaded unchanged, in part or with other ids.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use echosphere_domain::time::WallTime;
use echosphere_livekit::token::{self, Grant};
use echosphere_media::ogg::{IndexBuilder, OpusIndex};
use prost::Message as _;
use secrecy::SecretString;
use serde_json::Value;

use crate::http::{self, Answer};
use crate::keys::{KEY, SECRET};

/// Every recorded session.
pub const ALL: [&str; 4] = ["node-order", "order", "reservation", "survey"];

/// A recorded session.
pub struct Session {
    /// Its name, which is the folder's.
    pub name: String,
    /// The body of its upload.
    pub body: Vec<u8>,
    /// The Content-Type of its upload.
    pub content_type: String,
    /// What the caller really said, and when.
    pub truth: Value,
}

/// Which part of a session is taken, and for which room and job.
pub struct Part {
    /// The number of its room.
    pub room: usize,
    /// The number of its job; `None` as for SDKs before 1.6.
    pub job: Option<usize>,
    /// How much later it took place, in seconds.
    pub later: i64,
    /// How many seconds of it are taken.
    pub seconds: i64,
}

/// The range of Unix seconds within which all sessions were recorded.
const THEN: std::ops::Range<i64> = 1_795_400_000..1_795_500_000;

impl Part {
    /// The header of the part: its ids, start and length.
    fn header(&self, header: &[u8]) -> Vec<u8> {
        let mut wire = Wire::decode(header).unwrap();
        wire.room_id = format!("RM_{:012}", self.room);
        wire.job_id = self.job.map(|job| format!("AJ_{job:012}")).unwrap_or_default();
        wire.duration = self.seconds as u64 * 1000;
        wire.start_time.as_mut().unwrap().seconds += self.later;
        let mut summary: Value = serde_json::from_str(&wire.session_summary).unwrap();
        summary["agent_name"] = format!("agent-{}", self.job.unwrap_or(0)).into();
        wire.session_summary = summary.to_string();
        wire.encode_to_vec()
    }

    /// The chat history of the part.
    fn chat(&self, chat: &[u8]) -> Vec<u8> {
        let mut document: Value = serde_json::from_slice(chat).unwrap();
        let items = document["items"].as_array_mut().unwrap();
        let first = items.iter().filter_map(|item| item["created_at"].as_f64()).fold(f64::MAX, f64::min);
        let is_in = |item: &Value| item["created_at"].as_f64().is_some_and(|at| at < first + self.seconds as f64);
        items.retain(is_in);
        for item in items.iter_mut() {
            self.shift(item);
        }
        document.to_string().into_bytes()
    }

    fn shift(&self, value: &mut Value) {
        match value {
            Value::Array(all) => all.iter_mut().for_each(|value| self.shift(value)),
            Value::Object(all) => all.values_mut().for_each(|value| self.shift(value)),
            Value::Number(number) => {
                let time = number.as_f64().filter(|time| THEN.contains(&(*time as i64)));
                if let Some(time) = time {
                    *value = (time + self.later as f64).into();
                }
            }
            _ => {}
        }
    }

    /// The sound of the part, as a complete file.
    fn sound(&self, ogg: &[u8]) -> Vec<u8> {
        let pages = pages(ogg);
        let granule = |page: &[u8]| i64::from_le_bytes(page[6..14].try_into().unwrap());
        let count =
            pages.iter().position(|page| granule(page) >= self.seconds * 48_000).map_or(pages.len(), |at| at + 1);
        let mut kept = pages[..count].to_vec();
        let last = kept.last_mut().unwrap();
        last[5] |= 4;
        seal(last);
        kept.concat()
    }
}

/// `livekit.MetricsRecordingHeader` (`livekit_metrics.proto`), as far as it is changed here.
#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(string, tag = "1")]
    room_id: String,
    #[prost(uint64, tag = "3")]
    duration: u64,
    #[prost(message, optional, tag = "4")]
    start_time: Option<Start>,
    #[prost(string, tag = "8")]
    job_id: String,
    #[prost(string, tag = "11")]
    session_summary: String,
}

/// google.protobuf.Timestamp.
#[derive(Clone, PartialEq, prost::Message)]
struct Start {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/agent-sessions").join(name)
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The current time.
pub fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

/// An upload token, valid from now on for an hour.
pub fn token() -> String {
    token::mint(KEY, &SecretString::from(SECRET), Grant::ObservabilityWrite, now(), 3600)
}

/// An API token, valid from now on for a day.
pub fn api_token(key: &str, secret: &str) -> String {
    token::mint(key, &SecretString::from(secret), Grant::RoomRecord, now(), 24 * 3600)
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

    /// The same session as if it had been another job in another room: replaces the ids, which have a fixed length.
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

    /// The beginning of the same session, as if another job had held it in another room at another time. The ids are made of the
    /// part's numbers; without a job number the header has no job.
    pub fn part(&self, part: &Part) -> Self {
        let name = format!("{}-{}-{}", self.name, part.room, part.job.unwrap_or(0));
        let header = part.header(&self.content("header"));
        let (chat, audio) = (part.chat(&self.content("chat_history")), part.sound(&self.ogg()));
        self.of_parts(name, &header, &chat, &audio)
    }

    /// The same session with another header and chat history.
    pub fn changed(&self, header: impl FnOnce(Vec<u8>) -> Vec<u8>, chat: impl FnOnce(Value) -> Value) -> Self {
        let history = chat(serde_json::from_slice(&self.content("chat_history")).unwrap());
        let header = header(self.content("header"));
        self.of_parts(self.name.clone(), &header, &serde_json::to_vec(&history).unwrap(), &self.ogg())
    }

    fn of_parts(&self, name: String, header: &[u8], chat: &[u8], audio: &[u8]) -> Self {
        let boundary = self.content_type.rsplit_once('=').unwrap().1;
        let mut body = Vec::new();
        for (name, kind, content) in [
            ("header", "application/protobuf", header),
            ("chat_history", "application/json", chat),
            ("audio", "audio/ogg", audio),
        ] {
            let head = format!(
                "--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: form-data; name=\"{name}\"\r\nContent-Length: {}\r\n\r\n",
                content.len()
            );
            body.extend([head.as_bytes(), content, b"\r\n"].concat());
        }
        body.extend(format!("--{boundary}--\r\n").bytes());
        Self { name, body, content_type: self.content_type.clone(), truth: Value::Null }
    }

    /// Its sound, as it was sent: the user on the left, the agent on the right.
    pub fn ogg(&self) -> Vec<u8> {
        self.content("audio")
    }

    /// The content of a part.
    fn content(&self, name: &str) -> Vec<u8> {
        let find = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).position(|window| window == needle);
        let at = find(&self.body, format!("name=\"{name}\"").as_bytes()).unwrap();
        let start = at + find(&self.body[at..], b"\r\n\r\n").unwrap() + 4;
        let boundary = self.content_type.rsplit_once('=').unwrap().1;
        let end = start + find(&self.body[start..], format!("\r\n--{boundary}").as_bytes()).unwrap();
        self.body[start..end].to_vec()
    }

    /// A body of the recorded telemetry.
    pub fn telemetry(&self, file: &str) -> Vec<u8> {
        read(folder(&self.name).join("otlp").join(file))
    }

    /// Sends the whole upload.
    pub fn upload(&self, address: SocketAddr) -> Answer {
        upload(address, &self.content_type, &self.body)
    }

    /// Announces the whole body, sends its first bytes and breaks off the connection.
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
        // What was written is in transit; this gives it the moment that a real network would.
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends an upload body to its endpoint, with a valid token.
pub fn upload(address: SocketAddr, content_type: &str, body: &[u8]) -> Answer {
    let authorization = format!("Bearer {}", token());
    let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
    http::send(address, "POST", "/observability/recordings/v0", &headers, body)
}

/// Where the sound of an Ogg file lies. It is read in pieces, as it comes.
pub fn index(ogg: &[u8]) -> OpusIndex {
    let mut builder = IndexBuilder::default();
    ogg.chunks(10_000).for_each(|chunk| builder.push(chunk));
    builder.finish().unwrap()
}

/// The sound of `order` repeated until it lasts an hour, as one continuous Ogg file: granule positions and page numbers go on,
/// checksums are recomputed.
pub fn hour_of_ogg() -> Vec<u8> {
    const HOUR: i64 = 3600 * 48_000;
    let pages = pages(&Session::load("order").ogg());
    let (headers, sound) = pages.split_at(2);
    let granule = |page: &[u8]| i64::from_le_bytes(page[6..14].try_into().unwrap());
    // The last page may be cut short by its granule position; without it every round is a whole number of packets.
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
            seal(&mut page);
            out.extend_from_slice(&page);
            number += 1;
        }
    }
    unreachable!("an hour ends")
}

/// Recomputes the checksum of a page.
fn seal(page: &mut [u8]) {
    page[22..26].fill(0);
    let sum = page.iter().fold(0_u32, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |crc, _| {
            if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04c1_1db7 }
        })
    });
    page[22..26].copy_from_slice(&sum.to_le_bytes());
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
