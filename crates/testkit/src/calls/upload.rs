//! Encodes a call as an agents SDK's upload: its sound as Ogg/Opus, its report as a chat history.

use echosphere_media::ogg::{About, Writer, serial};
use opus::{Application, Bitrate, Channels, Encoder};
use serde_json::json;

use super::reported::{Item, ZERO};
use super::{Call, RATE};

/// Samples per packet: 20 ms.
const PACKET: usize = RATE / 50;

/// The call's sound as Ogg/Opus, the user on the left.
pub fn ogg(call: &Call) -> Vec<u8> {
    let mut encoder = Encoder::new(RATE as u32, Channels::Stereo, Application::Audio).unwrap();
    encoder.set_bitrate(Bitrate::Bits(96_000)).unwrap();
    encoder.set_complexity(5).unwrap();
    let pre_skip = encoder.get_lookahead().unwrap() as u16;
    let about = About { serial: serial(&call.name), channels: 2, pre_skip, comments: Vec::new() };
    let mut out = Vec::new();
    let mut writer = Writer::begin(&about, &mut out);
    let whole = |x: f32| (x * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16;
    let samples: Vec<i16> = call.user.iter().zip(&call.agent).flat_map(|(l, r)| [whole(*l), whole(*r)]).collect();
    for packet in samples.chunks(PACKET * 2) {
        let mut packet = packet.to_vec();
        packet.resize(PACKET * 2, 0);
        assert!(writer.push(&encoder.encode_vec(&packet, 4_000).unwrap(), &mut out), "an Opus packet");
    }
    writer.finish(&mut out);
    out
}

/// The content type and the body of the upload. The ids of its room and job are made of `id`.
pub fn body(id: &str, items: &[Item], ogg: &[u8]) -> (String, Vec<u8>) {
    let history = json!({ "items": items.iter().map(Item::json).collect::<Vec<_>>() });
    let history = serde_json::to_vec(&history).unwrap();
    let header = header(id);
    let parts = [
        ("header", "header.binpb", "application/protobuf", header.as_slice()),
        ("chat_history", "chat_history.json", "application/json", history.as_slice()),
        ("audio", "recording.ogg", "audio/ogg", ogg),
    ];
    let boundary = format!("----{id}----");
    let mut body = Vec::new();
    for (name, file, kind, content) in parts {
        let head = format!(
            "--{boundary}\r\nContent-Type: {kind}\r\nContent-Disposition: form-data; name=\"{name}\"; \
             filename=\"{file}\"\r\nContent-Length: {}\r\n\r\n",
            content.len()
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// The id of an upload's job.
pub fn job(id: &str) -> String {
    format!("AJ_{id}")
}

/// `livekit.MetricsRecordingHeader`: `room_id` 1, `start_time` 4, `job_id` 8.
fn header(id: &str) -> Vec<u8> {
    let mut out = Vec::new();
    field(&mut out, 1, format!("RM_{id}").as_bytes());
    let mut time = vec![1 << 3];
    varint(&mut time, ZERO as u64);
    time.push(2 << 3);
    varint(&mut time, (ZERO.fract() * 1e9) as u64);
    field(&mut out, 4, &time);
    field(&mut out, 8, job(id).as_bytes());
    out
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}
