//! What listening costs, and what it costs that nobody does: an hour's upload whose segments are rendered at once, and one whose segments are
//! rendered when somebody asks. Both in one run, in turns.
//!
//! `cargo bench --package echosphere-server --bench listening [-- ROUNDS]`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::time::{Duration, Instant};

use echosphere_testkit::http::fetch;
use echosphere_testkit::server::{Server, cpu_seconds, files};
use echosphere_testkit::session::{self, Session};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
const LISTENERS: usize = 50;
/// Segments that each of them plays.
const EACH: usize = 12;

fn main() {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(3);
    let hour = session::hour_long();
    println!("an hour's upload, {:.1} MB; CPU-seconds are of the whole process", hour.body.len() as f64 / 1e6);
    for _ in 0..rounds {
        for when in ["asked", "always"] {
            measure(&hour, when);
        }
    }
}

/// One new server, and an hour on it.
fn measure(hour: &Session, when: &str) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_RENDERING_WHEN", when)]);
    assert_eq!(server.get("/readyz").status, 200);
    at_rest(&server);
    let (idle, before) = (server.memory("VmRSS:"), cpu_seconds(server.pid()));
    assert_eq!(hour.upload(server.address).status, 200);
    let uploaded = Instant::now();
    let first = renditions(&server, &[]);
    let ready = uploaded.elapsed();
    server.settled_all();
    let nobody = cpu_seconds(server.pid()) - before;
    let kept: u64 = files(&server.data().join("objects")).iter().map(|path| path.metadata().unwrap().len()).sum();
    println!(
        "\n{when}: nobody listens {nobody:.2} CPU-s; Opus playlist after {:.0} ms; kept {:.1} MB",
        ready.as_secs_f64() * 1e3,
        kept as f64 / 1e6,
    );
    let alone = uploads(&server, 0);
    server.settled_all();
    let known: Vec<String> = server.recordings().iter().map(id).collect();
    assert_eq!(hour.renamed(999).upload(server.address).status, 200);
    let second = renditions(&server, &known);
    let meanwhile = uploads(&server, 50);
    server.settled_all();
    println!(
        "{when}: 50 uploads of 1 minute alone p50 {:.1}, p95 {:.1} ms; after an hour's p50 {:.1}, p95 {:.1} ms",
        at(&alone, 50),
        at(&alone, 95),
        at(&meanwhile, 50),
        at(&meanwhile, 95),
    );
    listened(&server, &format!("{when}: an hour on Opus"), &segments(&server, &first, "opus"));
    many(&segments(&server, &first, "audio"), when);
    listened(&server, &format!("{when}: an hour on AAC"), &segments(&server, &second, "audio"));
    println!("{when}: memory idle {idle:.1}, at most {:.1} MiB", server.memory("VmHWM:"));
}

/// Waits until a server has nothing to do: pages are compressed after the start.
fn at_rest(server: &Server) {
    let mut used = cpu_seconds(server.pid());
    loop {
        std::thread::sleep(Duration::from_millis(300));
        let now = cpu_seconds(server.pid());
        if now - used < 0.005 {
            return;
        }
        used = now;
    }
}

/// One listener, who plays all segments.
fn listened(server: &Server, what: &str, addresses: &[String]) {
    let start = cpu_seconds(server.pid());
    let played: Vec<f64> = addresses.iter().map(|address| timed(address)).collect();
    println!(
        "{what} {:.2} CPU-s; a segment p50 {:.1}, p99 {:.1} ms",
        cpu_seconds(server.pid()) - start,
        at(&played, 50),
        at(&played, 99)
    );
}

fn id(recording: &Value) -> String {
    recording["id"].as_str().unwrap().to_owned()
}

/// Where the renditions of a recording are that was not known before, once its Opus can be played.
fn renditions(server: &Server, known: &[String]) -> String {
    loop {
        let new = server
            .recordings()
            .iter()
            .filter(|one| one["playlist_url"].is_string())
            .map(id)
            .find(|id| !known.contains(id));
        if let Some(id) = new {
            let base = format!("/v1/recordings/{id}/renditions");
            if server.get(&format!("{base}/opus/playlist.m3u8")).status == 200 {
                return base;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// How long 50 uploads of a short session are answered, one after the other, in milliseconds.
fn uploads(server: &Server, from: usize) -> Vec<f64> {
    let short = Session::load("order");
    let answered = (from..from + 50).map(|number| {
        let session = short.renamed(number);
        let began = Instant::now();
        assert_eq!(session.upload(server.address).status, 200);
        began.elapsed().as_secs_f64() * 1e3
    });
    answered.collect()
}

/// Listeners at different places, all at once, each of whom plays some segments.
fn many(addresses: &[String], when: &str) {
    let began = Instant::now();
    let times: Vec<f64> = std::thread::scope(|scope| {
        let listeners: Vec<_> = (0..LISTENERS)
            .map(|number| {
                let from = number * (addresses.len() - EACH) / LISTENERS;
                scope.spawn(move || {
                    addresses[from..from + EACH].iter().map(|address| timed(address)).collect::<Vec<f64>>()
                })
            })
            .collect();
        listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect()
    });
    println!(
        "{when}: {LISTENERS} listeners at once, {EACH} AAC segments each: p50 {:.0}, p99 {:.0} ms a segment; {:.1} s in all",
        at(&times, 50),
        at(&times, 99),
        began.elapsed().as_secs_f64()
    );
}

fn segments(server: &Server, base: &str, rendition: &str) -> Vec<String> {
    let answer = server.get(&format!("{base}/{rendition}/playlist.m3u8"));
    let absolute = |line: &str| {
        if line.starts_with("http") {
            line.to_owned()
        } else {
            format!("http://{}{base}/{rendition}/{line}", server.address)
        }
    };
    answer.text().lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(absolute).collect()
}

/// How long a segment takes, in milliseconds.
fn timed(address: &str) -> f64 {
    let began = Instant::now();
    assert_eq!(fetch(address).status, 200, "{address}");
    began.elapsed().as_secs_f64() * 1e3
}

/// So many of a hundred are not longer.
fn at(times: &[f64], hundredths: usize) -> f64 {
    let mut times = times.to_vec();
    times.sort_unstable_by(f64::total_cmp);
    times[(times.len() * hundredths / 100).min(times.len() - 1)]
}
