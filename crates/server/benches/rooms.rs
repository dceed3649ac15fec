//! What a room costs: many rooms of two speakers on a real livekit-server, recorded at once.
//!
//! `cargo bench --package echosphere-server --bench rooms [-- ROOMS ... [--seconds N] [--capture | --live | --beside] [--soak]]`
//!
//! `--beside` measures capture alone and live at the same time, each with a livekit-server of its own, and then once more in the other order: what the
//! machine does otherwise is the same for both.
//! The speakers and livekit-server run on the same cores; what they need is printed alongside. A room counts as lost when a
//! packet that was sent into it is not in its capture log.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

mod live_rooms;
mod streams;

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::server::{Server, cpu_seconds};
use live_rooms::{begin, speech, stop};
use streams::streams;

const PROGRAM: &str = env!("CARGO_BIN_EXE_echosphere");

/// After so long a recording is read by nobody: to see that it has begun it was read (`recording::onlookers`).
const UNREAD: Duration = Duration::from_secs(32);

/// What is asked for on the command line.
struct Wanted {
    counts: Vec<usize>,
    /// What is measured one after another: each at once with and without live rendering, as it says.
    modes: Vec<Vec<bool>>,
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
        let modes: Vec<bool> = modes.collect();
        let modes = if has("--beside") {
            // Which of two servers is started first makes a difference, too.
            vec![modes.clone(), modes.into_iter().rev().collect()]
        } else {
            modes.into_iter().map(|live| vec![live]).collect()
        };
        let seconds = after("--seconds").map_or(30, |text| text.parse().unwrap());
        Self { counts, modes, seconds, is_soak: has("--soak") }
    }
}

fn main() {
    let wanted = Wanted::read();
    let frames = Arc::new(speech());
    println!("CPU-seconds are of a recorded minute of one room of two tracks; MiB are of one room.");
    println!(
        "rooms mode      CPU-s    MiB  packets      lost  first packet  stop to COMPLETED  livekit CPU-s  speakers' CPU-s"
    );
    let mut used = [0.0; 2];
    for modes in &wanted.modes {
        for &rooms in &wanted.counts {
            for (mode, seconds) in measure(rooms, modes, &wanted, &frames) {
                used[usize::from(mode)] += seconds;
            }
        }
    }
    if used[0] > 0.0 && used[1] > 0.0 {
        println!("over all of these, live costs {:+.1} % of capture alone", (used[1] / used[0] - 1.0) * 100.0);
    }
}

/// Rooms that are being recorded, and everything that takes part.
struct Recorded {
    live: bool,
    livekit: LiveKit,
    server: Server,
    people: Publishers,
    /// Each recording's id, and how long it took to its first packet.
    starts: Vec<(String, f64)>,
    /// Memory before the first room, in MiB.
    idle: f64,
    _dir: tempfile::TempDir,
}

impl Recorded {
    fn start(count: usize, live: bool, frames: &Arc<Vec<Vec<u8>>>) -> Self {
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
        let starts = rooms.iter().map(|room| begin(&server, room)).collect();
        Self { live, livekit, server, people, starts, idle, _dir: dir }
    }

    fn processes(&self) -> [u32; 3] {
        [self.server.pid(), self.livekit.pid(), std::process::id()]
    }

    /// Stops, and prints what it cost: the CPU-seconds of EchoSphere, livekit-server and the speakers in so many minutes of rooms. Returns how many
    /// packets were lost, and the CPU-seconds of EchoSphere in a minute of a room.
    fn finish(self, used: [f64; 3], minutes: f64) -> (u64, f64) {
        let count = self.starts.len();
        let used = used.map(|seconds| seconds / minutes);
        let a_room = (self.server.memory("VmRSS:") - self.idle) / count as f64;
        // While people still talk: the sequence numbers of the log then tell whether anything is missing.
        let stops: Vec<f64> = self.starts.iter().map(|(id, _)| stop(&self.server, id)).collect();
        self.people.stop();
        let streams = streams(&self.server.data()).into_iter();
        let (sent, kept) = streams.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        println!(
            "{count:5} {} {:6.4} {a_room:6.2} {kept:8} {:9} {:10.0} ms {:15.0} ms {:14.3} {:16.3}",
            if self.live { "live   " } else { "capture" },
            used[0],
            sent - kept,
            median(self.starts.iter().map(|(_, first)| *first)),
            median(stops.iter().copied()),
            used[1],
            used[2],
        );
        (sent - kept, used[0])
    }
}

/// Measures so many rooms in each of these modes, at once; returns the CPU-seconds of each.
fn measure(count: usize, modes: &[bool], wanted: &Wanted, frames: &Arc<Vec<Vec<u8>>>) -> Vec<(bool, f64)> {
    let all: Vec<Recorded> = modes.iter().map(|live| Recorded::start(count, *live, frames)).collect();
    std::thread::sleep(UNREAD);
    let cpu = || all.iter().map(|one| one.processes().map(cpu_seconds)).collect::<Vec<_>>();
    let (before, began) = (cpu(), Instant::now());
    let grown = run(&all[0].server, Duration::from_secs(wanted.seconds));
    let (minutes, after) = (began.elapsed().as_secs_f64() / 60.0 * count as f64, cpu());
    let mut costs = Vec::new();
    for ((one, before), after) in all.into_iter().zip(before).zip(after) {
        let mode = one.live;
        let (lost, used) = one.finish([0, 1, 2].map(|which| after[which] - before[which]), minutes);
        costs.push((mode, used));
        if wanted.is_soak {
            assert_eq!(lost, 0, "packets are lost");
        }
    }
    if wanted.is_soak {
        println!("memory grew by {grown:.1} MiB from the second quarter to the last");
        assert!(grown < 8.0, "memory is not flat");
    }
    costs
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

fn median(times: impl Iterator<Item = f64>) -> f64 {
    let mut times: Vec<f64> = times.collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
