//! A load generator: many speakers without libwebrtc, as cheap as possible, so that one machine carries many rooms of them next to
//! what is measured. One thread sends for all of them, a packet each every 20 ms.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use echosphere_livekit::token;
use echosphere_recorder::wire::Wire;
use secrecy::SecretString;
use tokio::runtime::Runtime;

use crate::server::{KEY, SECRET};
use crate::session;
use crate::speaker::{DATAGRAM, Signalling, Speaker, join};

/// The time between two packets.
const FRAME: Duration = Duration::from_millis(20);
/// RTP ticks per packet.
const TICKS: u64 = 960;

/// Makes a token for a room and an identity.
pub type MakeToken = fn(room: &str, identity: &str) -> String;

/// Who is to talk, and where.
pub struct Plan {
    /// LiveKit's URL.
    pub url: String,
    /// Makes tokens.
    pub token: MakeToken,
    /// The rooms' names.
    pub rooms: Vec<String>,
    /// How many talk in each.
    pub per_room: usize,
    /// What they say: Opus packets of 20 ms, repeated; each speaker begins at another one.
    pub frames: Arc<Vec<Vec<u8>>>,
}

/// A token with which somebody talks in a room.
pub fn token(room: &str, identity: &str) -> String {
    token::mint_speaker(KEY, &SecretString::from(SECRET), room, identity, session::now(), 3_600)
}

/// Speakers who talk until they are stopped.
pub struct Publishers {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u64>>,
    runtime: Runtime,
    signalling: Vec<Signalling>,
    per_room: usize,
}

impl Publishers {
    /// Connects everybody, one after another, and lets them talk.
    pub fn start(plan: &Plan) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Wire::new(None).unwrap().install();
        let (mut signalling, mut people) = (Vec::new(), Vec::new());
        for room in &plan.rooms {
            for number in 0..plan.per_room {
                let offset = people.len() * 37;
                let token = (plan.token)(room, &format!("speaker-{number}"));
                let (theirs, speaker) = runtime.block_on(join(&plan.url, &token));
                signalling.push(theirs);
                people.push(Person { speaker, frames: Arc::clone(&plan.frames), offset, sent: 0 });
            }
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&stopping);
        let thread = thread::Builder::new().name("publishers".to_owned()).spawn(move || talk(people, &theirs)).unwrap();
        Self { stopping, thread, runtime, signalling, per_room: plan.per_room }
    }

    /// Lets everybody hang up; returns how many packets were sent into each room.
    pub fn stop(self) -> Vec<u64> {
        self.stopping.store(true, Ordering::Relaxed);
        let sent = self.thread.join().unwrap();
        // What is in transit arrives before they are gone.
        thread::sleep(Duration::from_millis(300));
        self.runtime.block_on(async {
            for theirs in self.signalling {
                theirs.hang_up().await;
            }
        });
        sent.chunks(self.per_room).map(|room| room.iter().sum()).collect()
    }
}

struct Person {
    speaker: Speaker,
    frames: Arc<Vec<Vec<u8>>>,
    offset: usize,
    sent: u64,
}

fn talk(mut people: Vec<Person>, stopping: &AtomicBool) -> Vec<u64> {
    let began = Instant::now();
    let mut buffer = [0; DATAGRAM];
    for tick in 1_u32.. {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        for person in &mut people {
            person.tick(&mut buffer);
        }
        thread::sleep((began + FRAME * tick).saturating_duration_since(Instant::now()));
    }
    people.iter().map(|person| person.sent).collect()
}

impl Person {
    fn tick(&mut self, buffer: &mut [u8]) {
        self.speaker.go_on(buffer);
        if self.speaker.is_up() {
            let frame = &self.frames[(self.sent as usize + self.offset) % self.frames.len()];
            self.speaker.say(frame, self.sent * TICKS, Instant::now());
            self.sent += 1;
        }
    }
}
