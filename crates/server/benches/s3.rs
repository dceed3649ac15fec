//! What it costs to keep recordings on MinIO: an hour's upload beside a plain put of the same file, and the requests of a room.
//!
//! `cargo bench --package echosphere-server --bench s3 [-- SECONDS]`: how long the room goes on.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

mod live_rooms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use echosphere_testkit::http::fetch;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::s3::{Kind, S3Server, wait_for};
use echosphere_testkit::server::{Server, cpu_seconds, start_on};
use echosphere_testkit::{session, sound};
use live_rooms::{begin, speech, stop};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(120);
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    an_hour(&s3);
    a_room(&s3, Duration::from_secs(seconds));
}

fn server(s3: &S3Server, folder: &str, others: &[(&str, &str)]) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    let settings = s3.settings(&format!("s3://calls/{folder}"));
    let server = start_on(PROGRAM, dir.path(), &settings, others);
    (dir, server)
}

/// An hour's upload, three times; and the same bytes put by themselves.
fn an_hour(s3: &S3Server) {
    let hour = session::hour_long();
    let (_dir, server) = server(s3, "hour", &[]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &hour.body).unwrap();
    let store = s3.store("calls");
    server.get("/readyz");
    let idle = server.memory("VmRSS:");
    for round in 0..3 {
        let key = ObjectKey::parse(format!("plain/{round}")).unwrap();
        let began = Instant::now();
        wait_for(store.put_file(&key, file.path())).unwrap();
        let plain = began.elapsed().as_secs_f64();
        let (began, before) = (Instant::now(), cpu_seconds(server.pid()));
        assert_eq!(hour.renamed(round).upload(server.address).status, 200);
        let answered = began.elapsed().as_secs_f64();
        server.settled_all();
        let used = cpu_seconds(server.pid()) - before;
        println!(
            "an hour's upload ({:.1} MB): answered after {answered:.2} s, a plain put takes {plain:.2} s; {used:.2} CPU-s in all",
            hour.body.len() as f64 / 1e6
        );
    }
    println!("peak memory: {:.0} MiB more than idle ({idle:.0} MiB)", server.memory("VmHWM:") - idle);
    let recording = server.recordings().remove(0);
    let mut times: Vec<f64> = Vec::new();
    for (_, address) in sound::listed(recording["playlist_url"].as_str().unwrap()).into_iter().step_by(9) {
        let began = Instant::now();
        assert_eq!(fetch(&address).status, 200);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!(
        "an AAC segment on demand, from MinIO and stored there: p50 {:.0}, p99 {:.0} ms of {}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times.len()
    );
    requests(&server, "the hours", 1.0);
}

/// A room of two to which nobody listens.
fn a_room(s3: &S3Server, time: Duration) {
    let livekit = LiveKit::start();
    let (_dir, server) = server(s3, "room", &[("LIVEKIT_URL", &livekit.url())]);
    let (rooms, frames) = (vec!["room".to_owned()], Arc::new(speech()));
    let people = Publishers::start(&Plan { url: livekit.url(), token, rooms, per_room: 2, frames });
    let (id, _) = begin(&server, "room");
    std::thread::sleep(time);
    requests(&server, "the room while it goes on, an hour of it", 3_600.0 / time.as_secs_f64());
    stop(&server, &id);
    people.stop();
    server.settled_all();
    requests(&server, "the room when it is over, in all", 1.0);
}

/// Prints the requests so far, times a factor.
fn requests(server: &Server, what: &str, factor: f64) {
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for line in server.get("/metrics").text().lines() {
        let Some(rest) = line.strip_prefix("echosphere_s3_requests_total{") else { continue };
        let label = |name: &str| rest.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *counts.entry(format!("{} {}", label("request"), label("purpose"))).or_default() += count * factor;
    }
    let counts: Vec<String> = counts.iter().map(|(what, count)| format!("{what} {count:.0}")).collect();
    println!("requests of {what}: {}", counts.join(", "));
}
