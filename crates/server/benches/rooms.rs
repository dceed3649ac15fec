//! What a room costs: many rooms of two speakers on a real livekit-server, recorded at once.
//!
//! `cargo bench --package echosphere-server --bench rooms [-- ROOMS ...] [--seconds N] [--capture | --live]`
//!
//! The speakers and livekit-server run on the same cores; what they need is printed beside. A room counts as lost when a
//! packet that was sent into it is not in its capture log.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use echosphere_domain::time::WallTime;
use echosphere_livekit::token;
use echosphere_recorder::log::{Body, chunk};
use echosphere_testkit::http;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers};
use echosphere_testkit::server::{KEY, SECRET, Server};
use secrecy::SecretString;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
const FRAME: usize = 960;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let after = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| &arguments[at + 1]);
    let seconds = after("--seconds").map_or(30, |text| text.parse().unwrap());
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut counts: Vec<usize> = arguments.iter().map_while(|argument| argument.parse().ok()).collect();
    if counts.is_empty() {
        counts = vec![1, 10, 30];
    }
    let frames = Arc::new(speech());
    println!(
        "rooms mode      CPU-s a recorded minute  MiB a room  sent/kept          first packet  stop to COMPLETED   livekit  speakers"
    );
    for live in [false, true] {
        if (live && has("--capture")) || (!live && has("--live")) {
            continue;
        }
        for &rooms in &counts {
            measure(rooms, live, seconds, &frames);
        }
    }
}

fn measure(count: usize, live: bool, seconds: u64, frames: &Arc<Vec<Vec<u8>>>) {
    let (livekit, dir) = (LiveKit::start(), tempfile::tempdir().unwrap());
    let url = livekit.url();
    let live_text = live.to_string();
    let settings = [("LIVEKIT_URL", url.as_str()), ("ECHOSPHERE_RECORDER_LIVE", &live_text)];
    let server = Server::start(PROGRAM, dir.path(), &settings);
    server.get("/");
    let idle = memory(server.pid());
    let rooms: Vec<String> = (0..count).map(|number| format!("room-{number}")).collect();
    let plan = Plan { url: url.clone(), token, rooms: rooms.clone(), per_room: 2, frames: Arc::clone(frames) };
    let people = Publishers::start(&plan);
    let starts: Vec<(String, f64)> = rooms.iter().map(|room| begin(&server, room)).collect();
    std::thread::sleep(Duration::from_secs(2));
    let cpu = [server.pid(), livekit.pid(), std::process::id()];
    let (before, began) = (cpu.map(cpu_seconds), Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, minutes) = (cpu.map(cpu_seconds), began.elapsed().as_secs_f64() / 60.0);
    let a_room = (memory(server.pid()) - idle) / count as f64;
    let used: Vec<f64> =
        before.iter().zip(after).map(|(before, after)| (after - before) / minutes / count as f64).collect();
    people_hang_up_after(&server, &starts, people, &dir, |stops, sent, kept| {
        println!(
            "{count:5} {}  {:23.3}  {a_room:10.2}  {sent:8}/{kept:<8}  {:9.0} ms  {:14.0} ms  {:8.3}  {:8.3}",
            if live { "live   " } else { "capture" },
            used[0],
            median(starts.iter().map(|(_, first)| *first)),
            median(stops.iter().copied()),
            used[1],
            used[2],
        );
    });
}

/// Stops the recordings while people still talk, lets them hang up, and counts.
fn people_hang_up_after(
    server: &Server,
    starts: &[(String, f64)],
    people: Publishers,
    dir: &tempfile::TempDir,
    print: impl FnOnce(&[f64], u64, u64),
) {
    // What is sent between the first packet and the stop is counted by the log's own sequence numbers: a hole is a loss.
    let stops: Vec<f64> = starts
        .iter()
        .map(|(id, _)| {
            let began = Instant::now();
            let answer = http::send(server.address, "POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
            assert_eq!(answer.json()["status"], "COMPLETED", "{}", answer.text());
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    people.stop();
    let (mut sent, mut kept) = (0, 0);
    for (expected, found) in streams(&server.data()) {
        sent += expected;
        kept += found;
    }
    print(&stops, sent, kept);
    assert!(dir.path().exists());
}

/// Of each stream in each capture log: how many packets its sequence numbers span, and how many are there.
fn streams(data: &Path) -> Vec<(u64, u64)> {
    let mut found: HashMap<([u8; 16], u32), HashSet<u64>> = HashMap::new();
    for path in chunks(data) {
        let chunk = chunk::decode(&std::fs::read(path).unwrap()).unwrap();
        for entry in chunk.entries {
            if let Some(Body::Packet(packet)) = entry.body {
                found.entry((*chunk.capture.as_bytes(), packet.stream)).or_default().insert(packet.sequence);
            }
        }
    }
    let span = |numbers: &HashSet<u64>| numbers.iter().max().unwrap() - numbers.iter().min().unwrap() + 1;
    found.values().map(|numbers| (span(numbers), numbers.len() as u64)).collect()
}

fn chunks(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(chunks(&path));
        } else if path.extension().is_some_and(|ending| ending == "esc") {
            found.push(path);
        }
    }
    found
}

/// Starts a recording; returns its id and how long it took until its first packet was kept, in milliseconds.
fn begin(server: &Server, room: &str) -> (String, f64) {
    let began = Instant::now();
    let body = json!({ "room_name": room }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = http::send(server.address, "POST", "/v1/recordings", &headers, body.as_bytes());
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

fn token(room: &str, identity: &str) -> String {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = WallTime::from_millis(wall.as_millis() as i64);
    token::mint_speaker(KEY, &SecretString::from(SECRET), room, identity, now, 3600)
}

/// A minute of what was said in a recorded session, as packets of 20 ms at 32 kb/s.
fn speech() -> Vec<Vec<u8>> {
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

/// CPU time of a process so far, in seconds: user and system (proc(5), /proc/PID/stat), in hundredths.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Resident memory of a process, in MiB.
fn memory(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix("VmRSS:")).unwrap();
    value.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap() / 1024.0
}

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
