//! An hour of hostile clients alongside three live rooms and uploads: whether a packet is lost, how long everybody else waits, and what
//! memory it takes.
//!
//! `cargo bench --package echosphere-server --bench busy_hour [-- SECONDS]`
//!
//! It fails when a packet of a room is lost, an upload is refused or not rendered, or the server says anything else than that it lives.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

mod health;
mod live_rooms;
mod streams;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use echosphere_testkit::hostile;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::server::Server;
use echosphere_testkit::session::{self, Session};
use health::Health;
use live_rooms::{begin, speech, stop};
use streams::streams;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// What the clients did, by kind.
#[derive(Default)]
struct Counts {
    bodies: AtomicUsize,
    connections: AtomicUsize,
    refused: AtomicUsize,
    listeners: AtomicUsize,
    deletions: AtomicUsize,
    uploads: AtomicUsize,
}

impl Counts {
    fn one_more(count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every client is given.
#[derive(Clone)]
struct Client {
    server: Arc<Server>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    /// Whether the disk has to be cleared before more bodies are sent.
    is_full: Arc<AtomicBool>,
}

/// What may be kept of what was sent, in bytes: a disk has an end, and an hour of bodies has 150 GB.
const MOST_DATA: u64 = 20_000_000_000;

impl Client {
    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Does it over and over with a pause in between, until all stop.
    fn again_and_again(
        self,
        pause: Duration,
        mut act: impl FnMut(&Self, usize) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        thread::spawn(move || {
            for round in 0.. {
                if self.stop.load(Ordering::Relaxed) {
                    return;
                }
                act(&self, round);
                thread::sleep(pause);
            }
        })
    }

    /// One body after another that costs much to read, most of them small ones.
    fn send_bodies(&self, round: usize, name: &str) {
        let scale = if round.is_multiple_of(8) { 0.97 } else { 0.05 };
        for body in hostile::all(scale, &format!("x{name}{round}")) {
            while self.is_full.load(Ordering::Relaxed) && !self.stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(200));
            }
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let authorization = format!("Bearer {}", session::token());
            let mut headers = body.headers.to_vec();
            headers.push(("authorization", &authorization));
            self.attempt("POST", body.target, &headers, &body.body);
            Counts::one_more(&self.counts.bodies);
        }
    }

    /// Sends a request; the server may end the connection at any time.
    fn attempt(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let Some(mut stream) = self.connect() else { return };
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address());
        head.push_str(&format!("content-length: {}\r\n", body.len()));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let _ = stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(body));
        let _ = stream.read_to_end(&mut Vec::new());
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(self.address()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(30))).unwrap();
        Counts::one_more(&self.counts.connections);
        Some(stream)
    }

    /// A thousand connections that begin something and do not end it, held until the next round.
    fn hold_connections(&self, held: &mut Vec<TcpStream>) {
        let authorization = format!("authorization: Bearer {}\r\n", session::token());
        let upload = format!(
            "POST /observability/recordings/v0 HTTP/1.1\r\nhost: x\r\n{authorization}content-length: 99999\r\n\r\n--"
        );
        held.clear();
        for number in 0..1_000 {
            let Some(mut stream) = self.connect() else { return };
            let begun: &[u8] = match number % 4 {
                0 => b"",
                1 => b"GET / HTTP/1.1\r\nX: ",
                2 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
                _ => upload.as_bytes(),
            };
            let _ = stream.write_all(begun);
            held.push(stream);
        }
    }

    /// Requests of somebody without credentials, or with wrong ones.
    fn knock(&self, round: usize) {
        let wrong = [("authorization", "Bearer eyJhbGciOiJub25lIn0.e30."), ("content-type", hostile::CONTENT_TYPE)];
        let foreign = session::api_token("stranger", "another secret of another secret of");
        let foreign = format!("Bearer {foreign}");
        match round % 5 {
            0 => self.attempt("POST", "/echosphere-recordings", &wrong[1..], &vec![b'a'; 1 << 20]),
            1 => self.attempt("POST", "/observability/recordings/v0", &wrong, &vec![b'a'; 1 << 20]),
            2 => self.attempt("POST", "/livekit/webhook", &[("authorization", &foreign)], b"{}"),
            3 => self.attempt("GET", "/v1/recordings", &[("authorization", &foreign)], b""),
            _ => self.attempt("GET", &format!("/{}", "%2e%2e/".repeat(2_000)), &[], b""),
        }
        Counts::one_more(&self.counts.refused);
    }

    /// Listeners of one caller, more than there are places for.
    fn listen(&self, id: &str, held: &mut Vec<TcpStream>) {
        held.clear();
        for _ in 0..200 {
            let Some(mut stream) = self.connect() else { return };
            let authorization = &self.server.authorization;
            let head = format!(
                "GET /v1/recordings/{id}/events HTTP/1.1\r\nhost: {}\r\nauthorization: {authorization}\r\n\r\n",
                self.address()
            );
            let _ = stream.write_all(head.as_bytes());
            held.push(stream);
            Counts::one_more(&self.counts.listeners);
        }
    }

    /// Deletes what hostile bodies became: recordings, and uploads in quarantine.
    fn delete(&self) {
        self.is_full.store(bytes_in(&self.server.data()) > MOST_DATA, Ordering::Relaxed);
        let quarantined = self.server.get("/v1/uploads?state=quarantined&limit=200").json();
        for upload in quarantined["items"].as_array().into_iter().flatten() {
            let target = format!("/v1/uploads/{}", upload["id"].as_str().unwrap());
            if self.server.send("DELETE", &target, &[], b"").status < 300 {
                Counts::one_more(&self.counts.deletions);
            }
        }
        for recording in self.server.recordings() {
            let is_theirs = recording["room_sid"].as_str().is_some_and(|sid| sid.starts_with("RM_x"));
            let id = recording["id"].as_str().unwrap();
            if is_theirs && self.server.send("DELETE", &format!("/v1/recordings/{id}"), &[], b"").status < 300 {
                Counts::one_more(&self.counts.deletions);
            }
        }
    }

    /// The upload of a session, as SDKs send it.
    fn upload(&self, number: usize) {
        let answer = Session::load(session::ALL[number % session::ALL.len()]).renamed(number).upload(self.address());
        assert_eq!(answer.status, 200, "{}", answer.text());
        Counts::one_more(&self.counts.uploads);
    }
}

/// Asks for `/healthz` twenty times a second, and says every five minutes how it goes.
fn watch(server: &Server, time: Duration) -> Health {
    let (began, mut health, mut printed) = (Instant::now(), Health::default(), 0);
    while began.elapsed() < time {
        health.ask(server, Duration::from_millis(50));
        let fives = began.elapsed().as_secs() / 300;
        if fives > printed {
            printed = fives;
            let memory = server.memory("VmRSS:");
            println!("{:4} s: {memory:.0} MiB, {} of data", began.elapsed().as_secs(), of_data(server));
        }
    }
    health
}

/// What lies in a folder, in bytes.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().map_or(0, |data| data.len()) }
    };
    entries.map(of).sum()
}

fn of_data(server: &Server) -> String {
    format!("{:.1} GB", bytes_in(&server.data()) as f64 / 1e9)
}

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(3_600);
    let (livekit, dir) = (LiveKit::start(), tempfile::tempdir().unwrap());
    let url = livekit.url();
    let server =
        Arc::new(Server::start(PROGRAM, dir.path(), &[("LIVEKIT_URL", url.as_str()), ("ECHOSPHERE_LOG", "warn")]));
    server.get("/");
    let idle = server.memory("VmRSS:");
    let rooms: Vec<String> = (0..3).map(|number| format!("room-{number}")).collect();
    let plan = Plan { url, token, rooms: rooms.clone(), per_room: 2, frames: Arc::new(speech()) };
    let people = Publishers::start(&plan);
    let recordings: Vec<String> = rooms.iter().map(|room| begin(&server, room).0).collect();

    let client =
        Client { server: Arc::clone(&server), counts: Arc::default(), stop: Arc::default(), is_full: Arc::default() };
    let pause = Duration::from_millis;
    let mut clients: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| client.clone().again_and_again(pause(200), move |client, round| client.send_bodies(round, name)))
        .collect();
    let (mut held, mut listening, id) = (Vec::new(), Vec::new(), recordings[0].clone());
    clients.push(client.clone().again_and_again(pause(15_000), move |client, _| client.hold_connections(&mut held)));
    clients.push(client.clone().again_and_again(pause(20_000), move |client, _| client.listen(&id, &mut listening)));
    clients.push(client.clone().again_and_again(pause(20), Client::knock));
    clients.push(client.clone().again_and_again(pause(5_000), |client, _| client.delete()));
    clients.push(client.clone().again_and_again(pause(10_000), Client::upload));
    let health = watch(&server, Duration::from_secs(seconds));
    let most = server.memory("VmHWM:") - idle;
    client.stop.store(true, Ordering::Relaxed);
    let failed = clients.into_iter().filter_map(|client| client.join().err()).count();

    // While people still talk: the sequence numbers of the log then tell whether anything is missing.
    for id in &recordings {
        stop(&server, id);
    }
    people.stop();
    let (sent, kept) = streams(&server.data()).into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let counts = &client.counts;
    let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!("{seconds} s; packets of three rooms: {sent}, missing {}", sent - kept);
    println!("{health}");
    println!("memory: {most:.0} MiB above {idle:.0} at the most");
    println!(
        "hostile: {} bodies, {} connections, {} without credentials, {} listeners; {} deletions, {} uploads of sessions",
        of(&counts.bodies),
        of(&counts.connections),
        of(&counts.refused),
        of(&counts.listeners),
        of(&counts.deletions),
        of(&counts.uploads)
    );
    client.delete();
    let whole = server.settled_all();
    let of_sessions = |recording: &&serde_json::Value| {
        recording["room_sid"].as_str().is_some_and(|sid| sid.starts_with("RM_0")) && recording["status"] == "COMPLETED"
    };
    let completed = whole.iter().filter(of_sessions).count();
    println!("sessions that are COMPLETED: {completed}");
    assert!(!server.log().contains("panicked"));
    assert_eq!((sent - kept, failed, completed), (0, 0, of(&counts.uploads)));
}
