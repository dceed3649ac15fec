//! People who speak in a room what Ogg Opus files have, packet by packet: frames of any length, as some client's encoder might make them.
//! `cargo run --example publish -- PLAN`
//!
//! The plan: `{"url", "people": [{"identity", "token", "file", "at"}]}`. All join at once and are silent, in packets of 20 ms. With the first
//! line of standard input they begin, each `at` seconds later, and are silent again after the end of their file; when the input ends they hang
//! up. Prints a JSON object a line: who has `joined`; who `began`, and `at` what time (Unix time) they spoke the first sound of the file; who has
//! `left`, how many packets they sent, and how late the latest of them was.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a program of the tests")]

use std::io::BufRead as _;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use echosphere_media::ogg::{IndexBuilder, Packet};
use echosphere_recorder::wire::Wire;
use echosphere_testkit::speaker::{DATAGRAM, Speaker, join};
use serde_json::{Value, json};

/// A CELT frame of 20 ms that says that it is silent, and its ticks. It is not the one that LiveKit makes itself, which says nothing of the time.
const SILENCE: [u8; 5] = [0xf8, 0xff, 0xff, 0, 0];
const SILENCE_TICKS: u64 = 960;
/// So often the sockets are looked into, if no packet is due sooner.
const LOOK: Duration = Duration::from_millis(5);
/// Packets of people do not begin together: each one's microphone is on so long after the one before.
const APART: Duration = Duration::from_millis(7);

fn main() {
    let plan: Value = serde_json::from_str(&std::env::args().nth(1).expect("a plan")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Wire::new(None).unwrap().install();
    let (mut people, mut connections) = (Vec::new(), Vec::new());
    for about in plan["people"].as_array().unwrap() {
        let text = |name: &str| about[name].as_str().unwrap();
        let (signalling, speaker) = runtime.block_on(join(plan["url"].as_str().unwrap(), text("token")));
        connections.push(signalling);
        let hesitates = APART * people.len() as u32;
        people.push(Person::new(text("identity"), speaker, hesitates, text("file"), about["at"].as_f64().unwrap()));
    }
    talk(&mut people, &lines());
    for (person, signalling) in people.iter().zip(connections) {
        runtime.block_on(signalling.hang_up());
        person.tell("left", json!({ "packets": person.sent, "latest_ms": person.latest.as_millis() as u64 }));
    }
}

/// The lines of standard input, as they come.
fn lines() -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// Lets all of them talk until there are no more lines.
fn talk(people: &mut [Person], lines: &Receiver<String>) {
    let (mut buffer, mut begun) = ([0; DATAGRAM], None);
    loop {
        match lines.try_recv() {
            Ok(_) => begun = begun.or(Some(Instant::now())),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
        let mut next = Instant::now() + LOOK;
        for person in &mut *people {
            person.go_on(begun, &mut buffer);
            next = next.min(person.due().unwrap_or(next));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// The packets of a file, and how many samples of the first one are not to be heard.
fn read(file: &str) -> (Vec<Packet>, u16) {
    let bytes = std::fs::read(file).unwrap();
    let mut builder = IndexBuilder::default();
    builder.push(&bytes);
    let index = builder.finish().unwrap();
    let pre_skip = index.links()[0].pre_skip();
    let all = -i64::from(pre_skip)..index.total_samples() as i64;
    let needed = index.byte_range(all.clone());
    (index.packets(all, &bytes[needed.start as usize..needed.end as usize]), pre_skip)
}

struct Person {
    identity: String,
    speaker: Speaker,
    hesitates: Duration,
    file: std::vec::IntoIter<Packet>,
    pre_skip: u16,
    /// How long after the others begin they do.
    after: Duration,
    /// When their microphone was on, at zero ticks.
    since: Option<Instant>,
    /// The time of the next packet.
    ticks: u64,
    has_begun: bool,
    sent: u64,
    /// How late the latest packet was.
    latest: Duration,
}

impl Person {
    fn new(identity: &str, speaker: Speaker, hesitates: Duration, file: &str, after: f64) -> Self {
        let (packets, pre_skip) = read(file);
        Self {
            identity: identity.to_owned(),
            speaker,
            hesitates,
            file: packets.into_iter(),
            pre_skip,
            after: Duration::from_secs_f64(after),
            since: None,
            ticks: 0,
            has_begun: false,
            sent: 0,
            latest: Duration::ZERO,
        }
    }

    /// When the next packet is to be sent.
    fn due(&self) -> Option<Instant> {
        Some(self.since? + duration(self.ticks))
    }

    /// Sends what is due, and takes what has come.
    fn go_on(&mut self, begun: Option<Instant>, buffer: &mut [u8]) {
        self.speaker.go_on(buffer);
        if self.speaker.is_up() && self.since.is_none() {
            self.since = Some(Instant::now() + self.hesitates);
            self.tell("joined", json!({}));
        }
        while let Some(due) = self.due().filter(|due| *due <= Instant::now()) {
            let speaks = begun.is_some_and(|begun| due >= begun + self.after);
            let packet = if speaks { self.file.next() } else { None };
            if packet.is_some() && !self.has_begun {
                self.has_begun = true;
                self.tell("began", json!({ "at": unix(due + duration(self.pre_skip.into())) }));
            }
            match packet {
                Some(packet) => self.say(&packet.data, packet.samples.into(), due),
                None => self.say(&SILENCE, SILENCE_TICKS, due),
            }
        }
    }

    fn say(&mut self, packet: &[u8], ticks: u64, due: Instant) {
        self.speaker.say(packet, self.ticks, due);
        self.ticks += ticks;
        self.sent += 1;
        self.latest = self.latest.max(due.elapsed());
    }

    /// Says what happened to them.
    fn tell(&self, kind: &str, mut more: Value) {
        more["kind"] = kind.into();
        more["identity"] = self.identity.as_str().into();
        println!("{more}");
    }
}

/// The Unix time of a moment (s).
fn unix(at: Instant) -> f64 {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let wall = wall + at.saturating_duration_since(now) - now.saturating_duration_since(at);
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

/// How long so many ticks of 48 kHz last.
fn duration(ticks: u64) -> Duration {
    Duration::from_nanos(ticks * 62_500 / 3)
}
