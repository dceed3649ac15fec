//! What a room costs: many rooms of two speakers on a real livekit-server, recorded at once.
//!
//! `cargo bench --package echosphere-server --bench rooms [-- ROOMS ... [--seconds N] [--capture | --live] [--soak]]`
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
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers};
use echosphere_testkit::server::{KEY, SECRET, Server};
use secrecy::SecretString;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
const FRAME: usize = 960;

/// What is asked for on the command line.
struct Wanted {
    counts: Vec<usize>,
    modes: Vec<bool>,
    seconds: u64,
    /// Whether a lost packet or growing memory is a failure.
    is_soak: bool,
}

impl Wanted {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let has = |name: &str| arguments.iter().any(|argument| argument == name);
        let after = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| &arguments[at + 1]);
        let mut counts: Vec<usize> = arguments.iter().map_while(|argument| argument.parse().ok()).collect();
        if counts.is_empty() {
            counts = vec![1, 10, 30];
        }
        let modes = [false, true].into_iter().filter(|live| !has(if *live { "--capture" } else { "--live" }));
        let seconds = after("--seconds").map_or(30, |text| text.parse().unwrap());
        Self { counts, modes: modes.collect(), seconds, is_soak: has("--soak") }
    }
}

fn main() {
    let wanted = Wanted::read();
    let frames = Arc::new(speech());
    println!("CPU-seconds are of a recorded minute of one room of two tracks; MiB are of one room.");
    println!(
        "rooms mode      CPU-s    MiB  packets      lost  first packet  stop to COMPLETED  livekit CPU-s  speakers' CPU-s"
    );
    for &live in &wanted.modes {
        for &rooms in &wanted.counts {
            measure(rooms, live, &wanted, &frames);
        }
    }
}

fn measure(count: usize, live: bool, wanted: &Wanted, frames: &Arc<Vec<Vec<u8>>>) {
    let (livekit, dir) = (LiveKit::start(), tempfile::tempdir().unwrap());
    let (url, live_text) = (livekit.url(), live.to_string());
    let settings =
        [("LIVEKIT_URL", url.as_str()), ("ECHOSPHERE_RECORDER_LIVE", &live_text), ("ECHOSPHERE_LOG", "warn")];
    let server = Server::start(PROGRAM, dir.path(), &settings);
    server.get("/");
    let idle = server.memory("VmRSS:");
    let rooms: Vec<String> = (0..count).map(|number| format!("room-{number}")).collect();
    let plan = Plan { url: url.clone(), token, rooms: rooms.clone(), per_room: 2, frames: Arc::clone(frames) };
    let people = Publishers::start(&plan);
    let starts: Vec<(String, f64)> = rooms.iter().map(|room| begin(&server, room)).collect();
    std::thread::sleep(Duration::from_secs(2));
    let processes = [server.pid(), livekit.pid(), std::process::id()];
    let (before, began) = (processes.map(cpu_seconds), Instant::now());
    let grown = run(&server, Duration::from_secs(wanted.seconds));
    let minutes = began.elapsed().as_secs_f64() / 60.0 * count as f64;
    let after = processes.map(cpu_seconds);
    let used: Vec<f64> = before.iter().zip(after).map(|(before, after)| (after - before) / minutes).collect();
    let a_room = (server.memory("VmRSS:") - idle) / count as f64;
    // While people still talk: the sequence numbers of the log then tell whether anything is missing.
    let stops: Vec<f64> = starts.iter().map(|(id, _)| stop(&server, id)).collect();
    people.stop();
    let (sent, kept) = streams(&server.data()).into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!(
        "{count:5} {} {:6.3} {a_room:6.2} {kept:8} {:9} {:10.0} ms {:15.0} ms {:14.3} {:16.3}",
        if live { "live   " } else { "capture" },
        used[0],
        sent - kept,
        median(starts.iter().map(|(_, first)| *first)),
        median(stops.iter().copied()),
        used[1],
        used[2],
    );
    if wanted.is_soak {
        assert_eq!(sent - kept, 0, "packets are lost");
        println!("memory grew by {grown:.1} MiB from the second quarter to the last");
        assert!(grown < 8.0, "memory is not flat");
    }
}

/// Lets time pass; returns by how many MiB memory grew from the second quarter to the last, by their medians.
fn run(server: &Server, time: Duration) -> f64 {
    let (began, mut samples) = (Instant::now(), Vec::new());
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_secs(1));
        samples.push(server.memory("VmRSS:"));
    }
    let quarter = |number: usize| {
        median(samples.chunks(samples.len().div_ceil(4)).nth(number).unwrap_or(&samples).iter().copied())
    };
    quarter(3) - quarter(1)
}

/// Stops a recording; returns how long it took until it was COMPLETED, in milliseconds.
fn stop(server: &Server, id: &str) -> f64 {
    let began = Instant::now();
    let answer = server.send("POST", &format!("/v1/recordings/{id}/stop"), &[], b"");
    assert_eq!(answer.json()["status"], "COMPLETED", "{}", answer.text());
    began.elapsed().as_secs_f64() * 1e3
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

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
