//! Hostile request bodies: expensive to read for their size, if they are read carelessly.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

/// The Content-Type of [`upload`].
pub const CONTENT_TYPE: &str = "multipart/form-data; boundary=xyz";

/// A hostile body.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// What it is, in a few words.
    pub name: &'static str,
    /// The path to which it is sent.
    pub target: &'static str,
    /// Its headers, without credentials.
    pub headers: &'static [(&'static str, &'static str)],
    /// The bytes.
    pub body: Vec<u8>,
}

/// One of each kind, at `scale` times 64 MiB where size is what costs. `tag` distinguishes the sessions of one call from those of
/// another.
pub fn all(scale: f64, tag: &str) -> Vec<Hostile> {
    let session = |name, part: &str, content| session(name, tag, part, content);
    let size = (f64::from(64 << 20) * scale) as usize;
    let otlp = |name, unit: &str| Hostile {
        name,
        target: "/observability/logs/otlp/v0",
        headers: &[("content-type", "application/json"), ("content-encoding", "gzip")],
        body: gzip(&list(unit, size - 64)),
    };
    let chat =
        |name, unit: &str| session(name, "chat_history", [&b"{\"items\":"[..], &list(unit, size - 64), b"}"].concat());
    vec![
        otlp("OTLP [0,0,...], gzip", "0,"),
        otlp("OTLP [{},{},...], gzip", "{},"),
        Hostile {
            name: "OTLP protobuf of empty fields, gzip",
            target: "/observability/traces/otlp/v0",
            headers: &[("content-type", "application/x-protobuf"), ("content-encoding", "gzip")],
            body: gzip(&b"\x0a\x00".repeat(size / 2)),
        },
        chat("chat [0,0,...]", "0,"),
        chat("chat [{},{},...]", "{},"),
        chat("chat [[[0],[0],...", "[0],"),
        session("chat nested", "chat_history", [&b"{\"items\":"[..], &b"[".repeat(size / 2)].concat()),
        session("one item of lists", "chat_history", one_item(size / 8)),
        session("100,000 turns", "chat_history", turns((100_000.0 * scale) as usize)),
        session("empty Ogg pages", "audio", ogg(size, &[])),
        session("Ogg pages of one packet", "audio", ogg(size, &[0xe0])),
        session("multipart headers without end", "audio\r\n", b"X: y\r\n".repeat(size / 16)),
    ]
}

fn session(name: &'static str, tag: &str, part: &str, content: Vec<u8>) -> Hostile {
    Hostile {
        name,
        target: "/observability/recordings/v0",
        headers: &[("content-type", CONTENT_TYPE)],
        body: upload(&format!("{tag}{name}"), &[(part, content)]),
    }
}

/// A session upload for a job and room of this name, with these parts after its header.
pub fn upload(name: &str, parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let field = |number: u8, text: String| [&[number << 3 | 2, text.len() as u8], text.as_bytes()].concat();
    // MetricsRecordingHeader {1: room_id, 8: job_id}.
    let header = [field(1, format!("RM_{name}")), field(8, format!("AJ_{name}"))].concat();
    let mut body = part("header", &header);
    for (name, content) in parts {
        body.extend(part(name, content));
    }
    body.extend(b"--xyz--\r\n");
    body
}

fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{name}\"\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// A JSON list that repeats `unit`, of about `size` bytes.
pub fn list(unit: &str, size: usize) -> Vec<u8> {
    format!("[{}0]", unit.repeat(size / unit.len())).into_bytes()
}

fn one_item(size: usize) -> Vec<u8> {
    let lists = "[0],".repeat(size / 4);
    format!(r#"{{"items":[{{"id":"a","type":"message","role":"user","content":[{lists}0],"created_at":1}}]}}"#)
        .into_bytes()
}

/// A chat history of many turns.
pub fn turns(count: usize) -> Vec<u8> {
    let text = "word ".repeat(20);
    let turn = |n: usize| {
        let (role, at) = (if n.is_multiple_of(2) { "assistant" } else { "user" }, 1_790_000_000.0 + n as f64 * 0.0006);
        format!(
            r#"{{"id":"i{n}","type":"message","role":"{role}","content":["{text}"],"created_at":{at},"metrics":{{"started_speaking_at":{at},"stopped_speaking_at":{}}}}}"#,
            at + 0.5
        )
    };
    format!(r#"{{"items":[{}]}}"#, (0..count).map(turn).collect::<Vec<_>>().join(",")).into_bytes()
}

/// An Ogg/Opus file of at least `size` bytes, with this packet on each page (none when it is empty), and a second of sound at its
/// end.
pub fn ogg(size: usize, packet: &[u8]) -> Vec<u8> {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0";
    let mut out = [page(2, 0, 0, &[head]), page(0, 0, 1, &[b"OpusTags\x01\0\0\0x\0\0\0\0"])].concat();
    let (mut sequence, mut granule) = (2, 0);
    while out.len() < size {
        if packet.is_empty() {
            out.extend(page(0, -1, sequence, &[]));
        } else {
            granule += 120;
            out.extend(page(0, granule, sequence, &[packet]));
        }
        sequence += 1;
    }
    let frame: &[u8] = &[0xfc, 0xff, 0xfe];
    out.extend(page(4, granule + 48_000, sequence, &[frame; 50]));
    out
}

/// An Ogg page (RFC 3533, section 6).
fn page(flags: u8, granule: i64, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut page = [b"OggS\0", &[flags][..], &granule.to_le_bytes(), &7_u32.to_le_bytes()].concat();
    page.extend([&sequence.to_le_bytes()[..], &[0; 4], &[packets.len() as u8]].concat());
    page.extend(packets.iter().map(|packet| packet.len() as u8));
    for packet in packets {
        page.extend(*packet);
    }
    let mut sum = 0_u32;
    for &byte in &page {
        sum ^= u32::from(byte) << 24;
        for _ in 0..8 {
            sum = (sum << 1) ^ if sum & 0x8000_0000 == 0 { 0 } else { 0x04c1_1db7 };
        }
    }
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// Compresses bytes.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
