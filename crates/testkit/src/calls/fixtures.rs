//! The recorded sessions as test calls: their sound, decoded, and when each line is heard in it.

use std::collections::HashMap;

use serde_json::Value;

use super::{Call, Line, Typed, Who};
use crate::session::Session;
use crate::sound;

/// When the lines are heard, in milliseconds: the first and the last sample above -50 dBFS around them, in the order of `items`.
const ORDER: [(i64, i64); 11] = [
    (253, 4_655),
    (6_530, 11_341),
    (13_189, 21_453),
    (23_371, 26_416),
    (27_464, 32_889),
    (32_261, 35_228),
    (36_222, 39_545),
    (41_503, 43_965),
    (45_683, 51_555),
    (53_439, 55_503),
    (56_549, 59_305),
];
const NODE_ORDER: [(i64, i64); 11] = [
    (422, 4_794),
    (6_719, 11_517),
    (13_402, 21_656),
    (23_586, 26_641),
    (27_694, 33_080),
    (32_507, 35_476),
    (36_440, 39_754),
    (41_748, 44_210),
    (45_864, 51_725),
    (53_626, 55_685),
    (56_699, 59_455),
];

/// A recorded session, and its call.
pub struct Fixture {
    /// The session as it was uploaded.
    pub session: Session,
    /// The call.
    pub call: Call,
}

/// The sessions for which the truth is known.
pub fn all() -> Vec<Fixture> {
    vec![load("order", &ORDER), load("node-order", &NODE_ORDER)]
}

fn load(name: &str, heard: &[(i64, i64)]) -> Fixture {
    let session = Session::load(name);
    let parts = parts(&session);
    let history: Value = serde_json::from_slice(&parts["chat_history"]).unwrap();
    let spoken = history["items"].as_array().unwrap().iter().filter(|item| item["type"] == "message");
    let lines = spoken.zip(heard).map(|(item, (start, end))| {
        let (start, end) = (*start as f64 / 1e3, *end as f64 / 1e3);
        let text = item["content"][0].as_str().unwrap().to_owned();
        Line {
            id: item["id"].as_str().unwrap().to_owned(),
            who: if item["role"] == "user" { Who::User } else { Who::Agent },
            pieces: vec![(start, end, text.clone())],
            text,
            start,
            end,
            interrupted: item["interrupted"] == true,
        }
    });
    let pcm = sound::decode(&parts["audio"], "ogg");
    let channel = |n| pcm.channel(n).into_iter().map(|x| (x / 32_768.0) as f32).collect();
    let typed: Vec<Typed> = Vec::new();
    let call = Call { name: name.to_owned(), user: channel(0), agent: channel(1), lines: lines.collect(), typed };
    Fixture { session, call }
}

/// The parts of an upload, by name.
fn parts(session: &Session) -> HashMap<String, Vec<u8>> {
    let boundary = format!("--{}", session.content_type.rsplit_once("boundary=").unwrap().1.trim_matches('"'));
    let body = &session.body;
    let ends: Vec<usize> =
        (0..body.len() - boundary.len()).filter(|&at| body[at..].starts_with(boundary.as_bytes())).collect();
    let part = |pair: &[usize]| {
        let part = &body[pair[0] + boundary.len()..pair[1] - 2];
        let head = part.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let text = String::from_utf8_lossy(&part[..head]).into_owned();
        let name = text.split("name=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (name, part[head + 4..].to_vec())
    };
    ends.windows(2).map(part).collect()
}
