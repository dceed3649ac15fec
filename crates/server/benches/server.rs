//! The server as its users meet it: how fast it starts, how soon an hour's upload plays, what it holds in memory meanwhile.
//!
//! `cargo bench --package echosphere-server`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::time::{Duration, Instant};

use echosphere_testkit::http;
use echosphere_testkit::server::Server;
use echosphere_testkit::session;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// A line of /proc/PID/status, in MiB.
fn memory(server: &Server, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap() / 1024.0
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let starts = (0..9).map(|_| {
        let dir = tempfile::tempdir().unwrap();
        Server::start(PROGRAM, dir.path(), &[]).started_in
    });
    println!("start to ready, new folder:              {:7.0} ms (median of 9)", median(starts.collect()));

    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(PROGRAM, dir.path(), &[]);
    for path in ["/", "/v1/recordings", "/readyz"] {
        assert_eq!(server.get(path).status, 200);
    }
    let idle = memory(&server, "VmRSS:");
    let hour = session::hour_long();
    let began = Instant::now();
    assert_eq!(hour.upload(server.address).status, 200);
    let uploaded = Instant::now();
    let id = loop {
        if let Some(recording) = server.recordings().into_iter().find(|recording| recording["status"] == "COMPLETED") {
            break recording["id"].as_str().unwrap().to_owned();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let segment = http::fetch(&format!("http://{}/v1/recordings/{id}/renditions/audio/segments/0.ts", server.address));
    assert_eq!(segment.status, 200);
    let first = uploaded.elapsed();
    let middle = Instant::now();
    let segment =
        http::fetch(&format!("http://{}/v1/recordings/{id}/renditions/audio/segments/450.ts", server.address));
    assert_eq!(segment.status, 200);
    let middle = middle.elapsed();
    server.settled();
    println!(
        "upload of an hour, {:.1} MB:              {:7.0} ms",
        hour.body.len() as f64 / 1e6,
        (uploaded - began).as_secs_f64() * 1e3
    );
    println!("answer to first segment:                 {:7.0} ms", first.as_secs_f64() * 1e3);
    println!("a segment in the middle, while rendering:{:7.0} ms", middle.as_secs_f64() * 1e3);
    println!("answer to all rendered and aligned:      {:7.1} s", uploaded.elapsed().as_secs_f64());
    println!("memory idle / highest meanwhile:         {idle:7.1} / {:.1} MiB", memory(&server, "VmHWM:"));
    assert!(server.stop());
}
