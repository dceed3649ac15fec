//! The server as its users meet it: how fast it starts, how soon an hour's upload plays, what it holds in memory meanwhile.
//!
//! `cargo bench --package echosphere-server`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_media::hls;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Addressing, Bucket};
use echosphere_testkit::server::Server;
use echosphere_testkit::session;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// An hour's media playlist, every segment presigned: what the route does once it has the rows. At the embedded endpoint, and at those of S3 servers.
fn playlists() {
    let credentials = Credentials::fixed("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    let provider = Arc::new(Provider::fixed(credentials.clone(), || WallTime::from_millis(0)));
    let region = "ap-northeast-1";
    let minio = Bucket {
        name: "echosphere-recordings".to_owned(),
        prefix: Some(ObjectKey::parse("production").unwrap()),
        region: region.to_owned(),
        endpoint: Some("http://127.0.0.1:9000".to_owned()),
        ..Bucket::default()
    };
    let aws = Bucket { endpoint: None, addressing: Addressing::VirtualHost, ..minio.clone() };
    let embedded = Presigner::embedded(&minio.name, region.to_owned(), Arc::clone(&provider));
    playlist("the embedded endpoint:", &embedded, &credentials);
    for (server, bucket) in [("s3://, name in path:", minio), ("s3://, name in host:", aws)] {
        playlist(server, &Presigner::of_server(&bucket, None, Arc::clone(&provider)), &credentials);
    }
}

/// The time that this thread has had of a processor, in milliseconds.
fn cpu() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn playlist(server: &str, presigner: &Presigner, credentials: &Credentials) {
    const ROUNDS: u32 = 200;
    let key = |n| format!("recordings/AJ_cEzv5TDXsvVt/01a20a52-f041-783d-8c4d-9b6c3d024c84/1/audio/r1/{n:05}.ts");
    let keys: Vec<_> = (0..900).map(|n| ObjectKey::parse(key(n)).unwrap()).collect();
    let segments: Vec<_> = (0..900)
        .map(|n| hls::Segment {
            ticks: 360_000,
            wall_millis: 1_795_439_500_386 + n * 4_000,
            discontinuity: false,
            gap: false,
            map: None,
        })
        .collect();
    let began = cpu();
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let now = WallTime::from_millis(1_795_439_500_000);
        let signing = presigner.with(credentials, "http://127.0.0.1:8080", now, Duration::from_secs(7200)).unwrap();
        let mut write = |address, out: &mut String| match address {
            hls::Address::Segment(position) => signing.get(&keys[position], out),
            hls::Address::Init(_) => {}
        };
        bytes = hls::media(hls::Kind::Ended, &segments, &mut write).len();
    }
    let each = (cpu() - began) / f64::from(ROUNDS);
    println!("900 presigned, {server:<25} {each:7.2} ms CPU, {} KB", bytes / 1000);
}

fn main() {
    playlists();
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
    let idle = server.memory("VmRSS:");
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
    let segment = server.fetch(&format!("/v1/recordings/{id}/renditions/audio/segments/0.ts"));
    assert_eq!(segment.status, 200);
    let first = uploaded.elapsed();
    let middle = Instant::now();
    let segment = server.fetch(&format!("/v1/recordings/{id}/renditions/audio/segments/450.ts"));
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
    println!("memory idle / highest meanwhile:         {idle:7.1} / {:.1} MiB", server.memory("VmHWM:"));
    assert!(server.stop());
}
