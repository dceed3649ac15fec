//! What a server answers of everything that it keeps, without what differs from one asking to the next: hosts, signatures, expiry.

use std::thread::sleep;
use std::time::{Duration, Instant};

use echosphere_testkit::http::{self, Answer};
use echosphere_testkit::server::Server;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// How a server is started that is asked: the room that was being recorded has ended with its LiveKit.
pub const VARIABLES: [(&str, &str); 2] =
    [("LIVEKIT_URL", "ws://127.0.0.1:9"), ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", "1s")];

/// Everything, recording by recording, in the order of their ids.
pub fn of(server: &Server) -> Value {
    let began = Instant::now();
    let is_over = |recording: &Value| matches!(recording["status"].as_str(), Some("COMPLETED" | "FAILED"));
    while !server.settled_all().iter().all(is_over) {
        assert!(began.elapsed() < Duration::from_secs(60), "a room does not come to its end: {}", server.log());
        sleep(Duration::from_millis(100));
    }
    let mut recordings = server.settled_all();
    recordings.sort_by_key(|recording| recording["id"].as_str().unwrap().to_owned());
    let ids = recordings.iter().map(|recording| recording["id"].as_str().unwrap());
    let each: Map<String, Value> = ids.map(|id| (id.to_owned(), recording(server, id))).collect();
    let uploads = |state| plain(server.get(&format!("/v1/uploads?state={state}")).json());
    json!({ "recordings": each, "held": uploads("held"), "quarantined": uploads("quarantined") })
}

fn recording(server: &Server, id: &str) -> Value {
    let get = |rest: &str| server.get(&format!("/v1/recordings/{id}{rest}"));
    let shown = get("").json();
    let listed = server.recordings().into_iter().find(|recording| recording["id"] == id);
    let text = |rest: &str| Value::String(lines(&get(rest)).join("\n"));
    let tracks = shown["tracks"].as_array().into_iter().flatten().map(|track| {
        let url = track["url"].as_str().unwrap_or_default();
        (track["id"].as_str().unwrap_or(url).to_owned(), hash(&server.fetch(url)))
    });
    json!({
        "recording": plain(without_noted_end(shown.clone())),
        "listed": plain(without_noted_end(listed.unwrap_or_default())),
        "transcript": plain(get("/transcript").json()),
        "vtt": text("/transcript.vtt"),
        "srt": text("/transcript.srt"),
        "txt": text("/transcript.txt"),
        "waveform": plain(get("/waveform").json()),
        "playlist": text("/playlist.m3u8"),
        "media_playlist": text("/renditions/audio/playlist.m3u8"),
        "segments": segments(server, &get("/renditions/audio/playlist.m3u8")),
        "tracks": tracks.collect::<Map<String, Value>>(),
    })
}

/// A recording whose captures do not say when a process noted, later, that nothing more comes of them.
fn without_noted_end(mut recording: Value) -> Value {
    let end = recording["ended_at"].as_str().unwrap_or_default().to_owned();
    for capture in recording["captures"].as_array_mut().into_iter().flatten() {
        if capture["ended_at"].as_str().is_some_and(|noted| noted > end.as_str()) {
            capture["ended_at"] = Value::from("noted later");
        }
    }
    recording
}

/// The hash of each segment of a playlist.
fn segments(server: &Server, playlist: &Answer) -> Vec<Value> {
    let text = playlist.text();
    let uris = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#') && playlist.status == 200);
    let fetch = |uri: &str| if uri.starts_with("http") { http::fetch(uri) } else { server.fetch(uri) };
    uris.map(|uri| hash(&fetch(uri))).collect()
}

fn hash(answer: &Answer) -> Value {
    json!([answer.status, answer.body.len(), hex::encode(Sha256::digest(&answer.body))])
}

fn lines(answer: &Answer) -> Vec<String> {
    let text = answer.text();
    [answer.status.to_string()].into_iter().chain(text.lines().map(without_query)).collect()
}

/// JSON without what is signed.
fn plain(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_query(&text)),
        Value::Array(items) => items.into_iter().map(plain).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        other => other,
    }
}

/// Text without hosts, and addresses in it without what comes after their path.
fn without_query(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once("http://127.0.0.1:") {
        plain.push_str(before);
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    plain.push_str(rest);
    let is_signed = |query: &str| query.starts_with("sig=") || query.starts_with("X-Amz-");
    match plain.split_once('?') {
        Some((before, query)) if is_signed(query) => {
            let after = query.find('"').map_or("", |at| &query[at..]);
            format!("{before}{after}")
        }
        _ => plain,
    }
}
