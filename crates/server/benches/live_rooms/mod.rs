//! Rooms of people who talk on a real livekit-server, recorded.

use std::process::Command;
use std::time::{Duration, Instant};

use echosphere_testkit::server::Server;
use serde_json::json;

/// The samples of a packet.
const FRAME: usize = 960;

/// Starts a recording; returns its id and how long it took until its first packet was kept, in milliseconds.
pub fn begin(server: &Server, room: &str) -> (String, f64) {
    let began = Instant::now();
    let body = json!({ "room_name": room }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = server.send("POST", "/v1/recordings", &headers, body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    loop {
        let recording = server.recording(&id);
        if let Some(at) = recording["started_at"].as_str().filter(|_| recording["status"] == "ACTIVE") {
            assert!(!at.is_empty());
            return (id, began.elapsed().as_secs_f64() * 1e3);
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{recording}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops a recording; returns how long it took until it was COMPLETED, in milliseconds.
pub fn stop(server: &Server, id: &str) -> f64 {
    let began = Instant::now();
    let answer = server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    assert_eq!(answer.json()["status"], "COMPLETED", "{}", answer.text());
    began.elapsed().as_secs_f64() * 1e3
}

/// A minute of what was said in a recorded session, as packets of 20 ms at 32 kb/s.
pub fn speech() -> Vec<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/agent-sessions/order/body.bin");
    let body = std::fs::read(path).unwrap();
    let start = body.windows(4).position(|window| window == b"OggS").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (ogg, pcm) = (dir.path().join("in.ogg"), dir.path().join("out.pcm"));
    std::fs::write(&ogg, &body[start..]).unwrap();
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(&ogg)
        .args(["-ac", "1", "-ar", "48000", "-f", "s16le"])
        .arg(&pcm)
        .output();
    let output = output.expect("ffmpeg is missing: scripts/install.sh test");
    assert!(pcm.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    let samples: Vec<i16> =
        std::fs::read(&pcm).unwrap().chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(32_000)).unwrap();
    samples.chunks_exact(FRAME).map(|frame| encoder.encode_vec(frame, 1_500).unwrap()).collect()
}
