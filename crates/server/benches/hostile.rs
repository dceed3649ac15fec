//! What hostile bodies cost: memory, and how long everybody else waits meanwhile. One by one, and 50 at once.
//!
//! `cargo bench --package echosphere-server --bench hostile`; `-- many` does the second alone.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod health;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use echosphere_testkit::hostile::{self, Hostile};
use echosphere_testkit::http;
use echosphere_testkit::server::{KEY, SECRET, Server};
use echosphere_testkit::session;
use health::Health;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// Asks for `/healthz` every 10 ms until it is stopped.
fn watch(server: &Arc<Server>, stop: &Arc<AtomicBool>) -> JoinHandle<Health> {
    let (server, stop) = (Arc::clone(server), Arc::clone(stop));
    std::thread::spawn(move || {
        let mut health = Health::default();
        while !stop.load(Ordering::Relaxed) {
            health.ask(&server, Duration::from_millis(10));
        }
        health
    })
}

fn send(server: &Server, hostile: &Hostile) -> u16 {
    let authorization = format!("Bearer {}", session::token());
    let mut headers = hostile.headers.to_vec();
    headers.push(("authorization", &authorization));
    http::send(server.address, "POST", hostile.target, &headers, &hostile.body).status
}

/// Waits until nothing is left to do.
fn settle(server: &Server) {
    let authorization = format!("Bearer {}", session::api_token(KEY, SECRET));
    let is_done = || {
        let headers = [("authorization", authorization.as_str())];
        let metrics = http::send(server.address, "GET", "/metrics", &headers, &[]).text();
        ["ingest", "render"].iter().all(|kind| {
            let open = format!("echosphere_tasks{{kind=\"{kind}\",state=\"open\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(open.as_str()).map(|n| n == "0")).unwrap_or(true)
        })
    };
    let until = Instant::now() + Duration::from_secs(120);
    while !is_done() {
        if Instant::now() > until {
            println!("not settled after 2 min: {}", server.log().lines().rev().take(5).collect::<Vec<_>>().join("\n"));
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn measure(name: &str, bodies: &[Hostile]) {
    let dir = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::start(PROGRAM, dir.path(), &[]));
    std::thread::sleep(Duration::from_millis(500));
    let (idle, stop) = (server.memory("VmHWM:"), Arc::new(AtomicBool::new(false)));
    let watch = watch(&server, &stop);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for body in bodies {
            scope.spawn(|| send(&server, body));
        }
    });
    settle(&server);
    let took = began.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(1));
    stop.store(true, Ordering::Relaxed);
    let health = watch.join().unwrap();
    println!(
        "{name:38} {:6.1} MB sent, {took:5.1} s, +{:5.1} MiB above {idle:.0}, then {:4.0}; {health}",
        bodies.iter().map(|body| body.body.len()).sum::<usize>() as f64 / 1e6,
        server.memory("VmHWM:") - idle,
        server.memory("VmRSS:"),
    );
}

fn main() {
    let is_many = std::env::args().any(|argument| argument == "many");
    for body in hostile::all(0.97, "").iter().filter(|_| !is_many) {
        measure(body.name, std::slice::from_ref(body));
    }
    let many: Vec<Hostile> = (0..5).flat_map(|copy| hostile::all(0.97, &copy.to_string())).take(50).collect();
    measure("50 of these at once", &many);
}
