//! Three in the morning: the process killed at any instant, the disk full.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use echosphere_testkit::senders::Senders;
use echosphere_testkit::server::{Server, files};
use echosphere_testkit::session::{self, Session};
use echosphere_testkit::{hostile, http};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");
/// As many as a run of the tests has time for; `make soak` asks for more.
#[expect(clippy::disallowed_methods, reason = "the number of kills is the test's own setting")]
fn kills() -> usize {
    std::env::var("ECHOSPHERE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(100)
}

/// Pseudo-random, the same in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

#[test]
fn a_hundred_kills_lose_nothing_and_double_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_RENDERING_WHEN", "always")]);
    let senders = Senders::new(Session::load("reservation"));
    let foreign = dir.path().join("data/objects/echosphere-recordings/recordings/somebody-else.bin");
    std::fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    std::fs::write(&foreign, "not ours").unwrap();
    let mut seed = 7;
    let kills = kills();
    for _ in 0..kills {
        let address = server.address;
        let wait = Duration::from_millis(next(&mut seed) % 250);
        std::thread::scope(|scope| {
            senders.send_two(scope, address);
            std::thread::sleep(wait);
            server.kill9();
        });
        server.restart();
    }
    let acknowledged = senders.acknowledged();
    let recordings = server.settled_all();
    let mut by_job: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for recording in &recordings {
        by_job.entry(recording["session_id"].as_str().unwrap().to_owned()).or_default().push(recording);
    }
    println!(
        "{kills} kills: {} uploads, {} acknowledged, {} recordings",
        senders.sent(),
        acknowledged.len(),
        recordings.len()
    );
    assert!(acknowledged.len() >= 10, "kills that leave no time for anything show nothing");
    for job in &acknowledged {
        let of_job = by_job.get(job).unwrap_or_else(|| panic!("{job} is lost"));
        assert_eq!(
            (&of_job[0]["status"], &of_job[0]["partial"]),
            (&json!("COMPLETED"), &json!(false)),
            "{}",
            of_job[0]
        );
    }
    assert!(by_job.values().all(|of_job| of_job.len() == 1), "none is doubled");

    server.kill9();
    nothing_is_left_over_once_the_sweeper_has_been(dir.path(), &foreign);
}

/// There are an analysis and its segments for each recording with sound, the parts of one upload for each, and what is not ours stays.
fn nothing_is_left_over_once_the_sweeper_has_been(dir: &Path, foreign: &Path) {
    let variables = [
        ("ECHOSPHERE_RENDERING_WHEN", "always"),
        ("ECHOSPHERE_STORAGE_SWEEP_AFTER", "0s"),
        ("ECHOSPHERE_STORAGE_SWEEP_EVERY", "100ms"),
    ];
    let server = Server::start(PROGRAM, dir, &variables);
    let recordings = server.settled_all();
    let of = |r: &Value| (r["id"].as_str().unwrap().to_owned(), r["duration_ms"].as_i64().unwrap());
    let durations: BTreeMap<String, i64> = recordings.iter().map(of).collect();
    let objects = dir.join("data/objects/echosphere-recordings/recordings");
    let until = Instant::now() + Duration::from_secs(30);
    let mut wrong = left_over(&objects, &durations);
    while !wrong.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        wrong = left_over(&objects, &durations);
    }
    assert_eq!(wrong, [""; 0], "every byte has a recording that needs it");
    assert_eq!(std::fs::read_to_string(foreign).unwrap(), "not ours");
    assert!(files(&dir.join("data/spool")).is_empty());
    assert!(files(&dir.join("data/objects/.tmp")).is_empty());
}

/// What is in object storage and should not be, or is not and should.
fn left_over(objects: &Path, durations: &BTreeMap<String, i64>) -> Vec<String> {
    let mut by_recording: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files(objects) {
        let parts: Vec<&str> = path.strip_prefix(objects).unwrap().iter().map(|part| part.to_str().unwrap()).collect();
        match parts[..] {
            [_, recording, attempt, .., name] if durations.contains_key(recording) => {
                by_recording.entry(recording.to_owned()).or_default().push(format!("{attempt}/{name}"));
            }
            _ if path.file_name().is_some_and(|name| name == "somebody-else.bin") => {}
            _ => wrong.push(path.display().to_string()),
        }
    }
    for (recording, duration) in durations {
        let all = by_recording.remove(recording).unwrap_or_default();
        let attempts: BTreeSet<&str> = all.iter().filter_map(|name| Some(name.split_once('/')?.0)).collect();
        let count = |end: &str| all.iter().filter(|name| name.ends_with(end)).count();
        let masters = count("sound.ogg") + count("chat_history.json") + count("header.binpb");
        let (segments, analyses) = if *duration == 0 { (0, 0) } else { (grid_segments(*duration), 1) };
        let is_right = attempts.len() == 1
            && (count(".ts"), count(".bin")) == (segments, analyses)
            && all.len() == segments + analyses + masters
            && (1..=3).contains(&masters);
        if !is_right {
            wrong.push(format!("{recording} of {duration} ms has {all:?}"));
        }
    }
    wrong
}

/// Segments of about 4 s of so many milliseconds; a rest of under a fifth of a second belongs to the last one.
fn grid_segments(ms: i64) -> usize {
    let frames = (ms * 48 + 1023) / 1024;
    let boundaries = (1..=frames).take_while(|n| n * 192_000 / 1024 + 10 <= frames).count();
    boundaries + 1
}

/// A file system of a few megabytes, and the end of it.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: PathBuf, megabytes: u32) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a small tmpfs: run it as root (sudo make test)"
        );
        Self(at)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_asks_for_another_attempt_and_then_takes_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(dir.path().join("data"), 8);
    let server = Server::start(
        PROGRAM,
        dir.path(),
        &[("ECHOSPHERE_UPLOADS_RETRY_DELAY", "2s"), ("ECHOSPHERE_RECORDER_MIN_FREE_DISK", "0")],
    );
    let filler = disk.0.join("filler");
    let _ = std::fs::write(&filler, vec![1; 16 << 20]);
    let session = Session::load("order");
    let answer = session.upload(server.address);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, Some("application/x-protobuf")),
        "{}",
        answer.text()
    );
    // google.rpc.Status: code 14, and a RetryInfo with two seconds.
    assert_eq!(&answer.body[..2], [8, 14]);
    assert!(answer.text().contains("type.googleapis.com/google.rpc.RetryInfo"));
    assert!(answer.body.ends_with(&[0x0a, 2, 8, 2]), "{:?}", answer.body);
    // What was found is answered for moments.
    let readiness = |status: u16| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while server.get("/readyz").status != status {
            assert!(std::time::Instant::now() < until, "{}", server.get("/readyz").text());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        server.get("/readyz").text()
    };
    assert!(readiness(503).contains(r#""storage":"failing""#));
    // Logs are taken all the same: the Node SDK would send no recording without.
    let authorization = format!("Bearer {}", session::token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let logs = http::send(server.address, "POST", "/observability/logs/otlp/v0", &headers, b"{}");
    assert_eq!(logs.status, 200);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(session.upload(server.address).status, 200);
    let recordings = server.settled();
    assert_eq!(recordings.len(), 1);
    assert_eq!((&recordings[0]["status"], &recordings[0]["partial"]), (&json!("COMPLETED"), &json!(false)));
    readiness(200);
}

#[test]
fn what_is_left_of_a_nearly_full_disk_is_for_the_rooms() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(dir.path().join("data"), 64);
    let server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_RECORDER_MIN_FREE_DISK", "32 MiB")]);
    // While it comes: there is space for it, and there would be less than 32 MiB after it.
    let long = hostile::upload("long", &[("audio", vec![b'a'; 48 << 20])]);
    let answer = session::upload(server.address, hostile::CONTENT_TYPE, &long);
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/x-protobuf")));
    assert_eq!(files(&disk.0.join("spool")), [] as [PathBuf; 0], "what had come is not kept");
    // Before it comes: a small one is refused as well.
    std::fs::write(disk.0.join("filler"), vec![1; 33 << 20]).unwrap();
    let session = Session::load("reservation");
    assert_eq!(session.upload(server.address).status, 503);
    assert!(server.log().contains("recorder.min_free_disk asks for 32 MiB"), "{}", server.log());
    // Telemetry is answered with success, always, and waits.
    let authorization = format!("Bearer {}", session::token());
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let logs = http::send(server.address, "POST", "/observability/logs/otlp/v0", &headers, b"{}");
    let telemetry = || files(&disk.0.join("objects")).iter().any(|path| path.to_string_lossy().contains("telemetry"));
    assert_eq!((logs.status, telemetry()), (200, false));
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !telemetry() {
        assert!(Instant::now() < until, "what waited is not kept: {}", server.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(session.upload(server.address).status, 200);
    assert_eq!(server.settled()[0]["status"], "COMPLETED");
}

#[test]
fn while_the_disk_of_object_storage_is_not_mounted_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mounted, away) = (dir.path().join("mounted"), dir.path().join("away"));
    let storage = format!("file://{}", mounted.display());
    let mut server = Server::start(PROGRAM, dir.path(), &[("ECHOSPHERE_STORAGE_URL", storage.as_str())]);
    assert_eq!(Session::load("reservation").upload(server.address).status, 200);
    let before = server.settled();
    let segment = format!("/v1/recordings/{}/renditions/audio/segments/0.ts", before[0]["id"].as_str().unwrap());
    let sound = server.fetch(&segment);
    assert!(sound.status == 200 && server.stop());
    std::fs::rename(&mounted, &away).unwrap();
    server.restart();
    assert!(server.log().contains("Is its disk mounted?"), "{}", server.log());
    assert_eq!(server.get("/readyz").status, 503);
    assert_eq!(server.fetch(&segment).status, 503, "not there now, which is not lost");
    assert_eq!(Session::load("order").upload(server.address).status, 200, "it waits");
    assert!(server.stop());
    std::fs::remove_dir_all(&mounted).unwrap();
    std::fs::rename(&away, &mounted).unwrap();
    server.restart();
    let after = server.settled();
    assert!(after.len() == 2 && after.iter().all(|recording| recording["status"] == "COMPLETED"), "{after:?}");
    let same = after.iter().find(|recording| recording["id"] == before[0]["id"]).unwrap();
    for what in ["partial", "gaps", "duration_ms", "revision"] {
        assert_eq!(same[what], before[0][what], "{what}");
    }
    assert_eq!(server.fetch(&segment).body, sound.body);
}

#[test]
fn a_second_process_is_refused_and_a_stop_is_orderly() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(PROGRAM, dir.path(), &[]);
    let second = Command::new(PROGRAM)
        .arg("serve")
        .env_clear()
        .env("ECHOSPHERE_LISTEN", "127.0.0.1:0")
        .env("ECHOSPHERE_DATA_DIR", dir.path().join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains(&format!("in use by process {}", server.pid())), "{said}");
    Session::load("reservation").upload(server.address);
    assert!(server.stop(), "{}", server.log());
    server.restart();
    assert_eq!(server.settled()[0]["status"], "COMPLETED");
}
