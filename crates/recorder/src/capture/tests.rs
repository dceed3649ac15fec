//! Tests of `capture`.

use std::time::Duration;

use super::*;
use crate::log::journal::recover;
use crate::log::{Packet, Stream};

const SECOND: i64 = 1_000_000_000;

struct Call {
    folder: tempfile::TempDir,
    journal: Journal,
    capture: Capture,
    began: Instant,
    chunks: Vec<Chunk>,
}

impl Call {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::start(folder.path(), Uuid::from_u128(1)).unwrap();
        let began = Instant::now();
        let live = Live { lag: SECOND, window: 8 * SECOND };
        let mut capture = Capture::new(Uuid::nil(), Timepiece::new(began, 0), &journal, Layout::AgentLeft, live);
        capture.take(began, Body::Stream(Stream { stream: 0, ..Stream::default() }));
        Self { folder, journal, capture, began, chunks: Vec::new() }
    }

    /// Takes one packet of 20 ms for each number; a chunk every two seconds.
    fn talk(&mut self, numbers: Range<u64>) {
        for n in numbers {
            let at = self.began + Duration::from_millis(n * 20);
            let packet = Packet { stream: 0, sequence: n, rtp: n * 960, payload: vec![0x78, n as u8, 0].into() };
            self.capture.take(at, Body::Packet(packet));
            if n % 100 == 99 {
                self.chunks.extend(self.capture.cut());
            }
        }
    }
}

#[test]
fn what_memory_does_not_have_any_more_is_the_same_from_chunks() {
    let mut call = Call::new();
    call.talk(0..300);
    let window = 0..4 * 48_000;
    call.capture.follow_clocks(0, call.began + Duration::from_secs(6));
    let live = |call: &Call, samples: &Range<i64>| Some(call.capture.live_sound(samples)?.tracks(samples));
    let on_time = live(&call, &window).unwrap();
    assert_eq!(on_time[0].packets.len(), 190, "the first one lies at 0.2 s");
    call.talk(300..1_000);
    assert_eq!(live(&call, &window), None, "it is gone, and that is known");
    let numbers = call.capture.assembler().live_chunks(&window);
    assert_eq!(numbers, [0, 1]);
    let chunks = numbers.iter().map(|number| call.chunks[*number as usize].bytes.clone()).collect();
    let late = call.capture.assembler().live_sound(chunks).tracks(&window);
    assert_eq!(late, on_time);
    let recent = 14 * 48_000..18 * 48_000;
    assert!(live(&call, &recent).is_some());
    call.capture.rendered(18 * 48_000);
    assert_eq!(live(&call, &recent), None, "it was rendered, and is gone");
    assert_eq!(live(&call, &(18 * 48_000..20 * 48_000)).unwrap()[0].packets.len(), 100);
}

#[test]
fn a_chunk_has_a_largest_size_and_the_journal_has_the_rest() {
    let mut call = Call::new();
    for _ in 0..10 {
        call.capture.take(call.began, Body::Data(vec![0; 1_000_000]));
        call.journal.flush().unwrap();
    }
    assert!(call.capture.filling() <= LARGEST_CHUNK && call.capture.filling() > LARGEST_CHUNK - 1_100_000);
    let Call { folder, journal, capture, .. } = call;
    drop((capture, journal));
    let recovered = recover(folder.path(), |_| Some(0)).unwrap();
    assert_eq!(recovered.captures[&Uuid::nil()].len(), 11);
}
