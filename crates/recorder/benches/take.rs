//! What one packet costs between the socket and the disk: numbered, encoded, summed, journalled, put in its place.
//!
//! `cargo bench --package echosphere-recorder`

#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use echosphere_recorder::capture::{Capture, Live, Timepiece};
use echosphere_recorder::log::journal::Journal;
use echosphere_recorder::log::{Body, Packet, Stream};
use echosphere_recorder::sound::Layout;
use uuid::Uuid;

/// A minute of a room of two tracks, 20 ms a packet.
const PACKETS: u64 = 60 * 100;

/// A minute of a room, on the clock that counts; a chunk is cut every 2 s.
fn minute(capture: &mut Capture, began: Instant, number: &mut u64) -> Duration {
    let payload = [0x78; 100];
    let start = Instant::now();
    for _ in 0..PACKETS {
        let sequence = *number / 2;
        let packet = Packet {
            stream: (*number % 2) as u32,
            sequence,
            rtp: sequence * 960,
            payload: Bytes::copy_from_slice(&payload),
        };
        capture.take(began + Duration::from_millis(*number * 10), black_box(Body::Packet(packet)));
        *number += 1;
        if number.is_multiple_of(200)
            && let Some(chunk) = capture.cut()
        {
            capture.kept(chunk.before);
        }
    }
    start.elapsed()
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::start(folder.path(), Uuid::from_u128(1)).unwrap();
    let began = Instant::now();
    let live = Live { lag: 1_000_000_000, window: 11_000_000_000 };
    let clock = Timepiece::new(began, 1_795_439_500_000_000_000);
    let mut capture = Capture::new(Uuid::from_u128(2), clock, &journal, Layout::AgentLeft, live);
    for stream in 0..2 {
        capture.take(began, Body::Stream(Stream { stream, clock_rate: 48_000, ..Stream::default() }));
    }
    let mut number = 0;
    let mut minutes: Vec<Duration> = (0..30)
        .map(|_| {
            let took = minute(&mut capture, began, &mut number);
            journal.flush().unwrap();
            took
        })
        .collect();
    minutes.sort_unstable();
    let nanos = |took: Duration| took.as_nanos() as u64 / PACKETS;
    println!("take: median {} ns a packet, best {} ns", nanos(minutes[15]), nanos(minutes[0]));
    println!("held: {} KiB", capture.held() / 1024);
}
