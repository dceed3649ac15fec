//! What it costs to keep recordings on MinIO: an hour's upload beside a plain put of the same file, the requests of both and of a room, and
//! to divide an hour of either.
//!
//! `cargo bench --package echosphere-server --bench s3 [-- SECONDS]`: how long rooms go on.

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

type Requests = BTreeMap<String, u64>;

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(120);
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    an_hour(&s3);
    a_room(&s3, Duration::from_secs(seconds));
    an_hours_log(&s3, Duration::from_secs(seconds));
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
    let all = requests(&server, &Requests::new(), "an upload", 1.0 / 3.0);
    assert_eq!(hour.renamed(3).upload(server.address).status, 200);
    division(&server, "an hour's upload");
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
    let all = requests(&server, &all, "another upload, and of listening to a hundred segments of it", 1.0);
    listening(&server, &all);
}

/// The requests of listening to an hour for the first time, by a hundred segments one after another. Those of the player itself are not
/// among them: one for each segment in AAC.
fn listening(server: &Server, before: &Requests) {
    let recording = server.recordings().remove(1);
    let url = recording["playlist_url"].as_str().unwrap();
    for (_, address) in &sound::listed(url)[..100] {
        assert_eq!(fetch(address).status, 200);
    }
    let before = requests(server, before, "listening to an hour in AAC", 9.0);
    let id = recording["id"].as_str().unwrap();
    for segment in 0..100 {
        let cut = server.get(&format!("/v1/recordings/{id}/renditions/opus/segments/{segment}.m4s"));
        assert_eq!(cut.status, 200);
    }
    requests(server, &before, "listening to an hour in Opus", 9.0);
}

/// A room of two to which nobody listens.
fn a_room(s3: &S3Server, time: Duration) {
    let livekit = LiveKit::start();
    let (_dir, server) = server(s3, "room", &[("LIVEKIT_URL", &livekit.url())]);
    let (rooms, frames) = (vec!["room".to_owned()], Arc::new(speech()));
    let people = Publishers::start(&Plan { url: livekit.url(), token, rooms, per_room: 2, frames });
    let (id, _) = begin(&server, "room");
    let begun = requests(&server, &Requests::new(), "the room while it begins", 1.0);
    std::thread::sleep(time.saturating_sub(Duration::from_secs(6)));
    let before = requests(&server, &begun, "the room while it goes on, an hour of it", 3_600.0 / time.as_secs_f64());
    stop(&server, &id);
    people.stop();
    server.settled_all();
    let all = requests(&server, &before, "the room when it is over", 1.0);
    println!("the room has {} chunks", all["put chunk"]);
}

/// An hour of two speakers, as so many in a room for this time: its log is divided.
fn an_hours_log(s3: &S3Server, time: Duration) {
    let livekit = LiveKit::start();
    let (_dir, server) = server(s3, "log", &[("LIVEKIT_URL", &livekit.url()), ("ECHOSPHERE_RECORDER_CHUNK", "1s")]);
    let per_room = (2 * 3_600 / time.as_secs().max(1)) as usize;
    let (rooms, frames) = (vec!["room".to_owned()], Arc::new(speech()));
    let people = Publishers::start(&Plan { url: livekit.url(), token, rooms, per_room, frames });
    let (id, _) = begin(&server, "room");
    std::thread::sleep(time);
    stop(&server, &id);
    people.stop();
    division(&server, &format!("an hour's log, of {per_room} speakers in {time:?},"));
    let size = s3.keys("calls").into_iter().find(|key| key.ends_with("/sound.esl")).map_or(0, |key| size(s3, key));
    println!("{:.1} MB of sound in {} chunks", size as f64 / 1e6, server.s3_requests()["put chunk"]);
}

fn size(s3: &S3Server, key: String) -> u64 {
    wait_for(s3.store("calls").head(&ObjectKey::parse(key).unwrap())).unwrap().unwrap().size
}

/// Prints what it costs to divide the master that has just come: from when its levels are measured nothing else is done.
fn division(server: &Server, what: &str) {
    let done = tasks(server, "task_seconds_count", "divide");
    while ["ingest", "settle", "render"].iter().any(|kind| tasks(server, "tasks", kind) > 0.0) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let (used, idle) = (cpu_seconds(server.pid()), server.memory("VmRSS:"));
    let before = tasks(server, "task_seconds_sum", "divide");
    // The peak is that from now on (proc(5)).
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    while tasks(server, "task_seconds_count", "divide") <= done {
        std::thread::sleep(Duration::from_millis(20));
    }
    let (took, peak) = (tasks(server, "task_seconds_sum", "divide") - before, server.memory("VmHWM:"));
    let used = cpu_seconds(server.pid()) - used;
    println!("{what} is divided in {took:.2} s; {used:.2} CPU-s, at most {:.0} MiB more than before", peak - idle);
}

/// How many tasks of a kind are open (`tasks`), were done (`task_seconds_count`), or how long they took (`task_seconds_sum`).
fn tasks(server: &Server, what: &str, kind: &str) -> f64 {
    let name = format!("echosphere_{what}{{kind=\"{kind}\"");
    let metrics = server.get("/metrics").text();
    let line = metrics.lines().find(|line| line.starts_with(&name) && !line.contains("dead"));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Prints the requests since then, times a factor; returns those so far.
fn requests(server: &Server, before: &Requests, what: &str, factor: f64) -> Requests {
    // Sidecars are written 5 s after what they are of.
    std::thread::sleep(Duration::from_secs(6));
    let now = server.s3_requests();
    let since = |(what, count): (&String, &u64)| (what.clone(), count - before.get(what).unwrap_or(&0));
    let counts = now.iter().map(since).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(what, count)| format!("{what} {:.0}", count as f64 * factor)).collect();
    println!("requests of {what}: {}", counts.join(", "));
    now
}
