//! Tests of `stream`.

use super::*;

const MS: i64 = 1_000_000;
const SPEECH: [u8; 3] = [0x78, 1, 2];

/// A stream of packets of 20 ms, each 5 ms in transit. Returns it and its placement.
fn stream(packets: impl IntoIterator<Item = (u64, u64)>) -> (StreamState, Placement) {
    let mut stream = StreamState::new(&Stream::default());
    for (sequence, n) in packets {
        take(&mut stream, sequence, n * 960, n as i64 * 20 + 5);
    }
    let placement = stream.clock.placement(5 * MS);
    (stream, placement)
}

fn take(stream: &mut StreamState, sequence: u64, rtp: u64, at_ms: i64) {
    let packet = Packet { stream: 0, sequence, rtp, payload: SPEECH.to_vec().into() };
    stream.take(&packet, at_ms * MS, (at_ms / 2_000) as u32);
}

#[test]
fn a_loss_is_no_longer_than_the_packets_that_are_missing() {
    // Ten are missing, somewhere in five seconds in which the track was muted.
    let muted = (0..100).map(|n| (n, n)).chain((110..200).map(|n| (n, n + 250)));
    let (stream_muted, placement) = stream(muted);
    assert_eq!(stream_muted.losses(&placement).as_slice(), std::slice::from_ref(&(100 * 960..110 * 960)));
    // One is missing of those that are sent every 420 ms of a silence.
    let dtx = (0..100).map(|n| (n, n)).chain((100..120).filter(|n| *n != 107).map(|n| (n, 100 + (n - 100) * 21)));
    let (silent, placement) = stream(dtx);
    assert_eq!(silent.losses(&placement), []);
}

#[test]
fn a_packet_with_a_wrong_time_is_dropped() {
    let (mut stream, _) = stream((0..500).map(|n| (n, n)));
    take(&mut stream, 500, 500 * 960 + (1 << 31), 10_005);
    take(&mut stream, 501, 501 * 960 + 48_000 * 3, 10_025);
    for n in 502..600 {
        take(&mut stream, n, n * 960, n as i64 * 20 + 5);
    }
    let placement = stream.clock.placement(5 * MS);
    assert_eq!(stream.dropped(), [500, 501]);
    assert_eq!(placement.sample(599 * 960), Some(599 * 960), "all others lie where they did");
    assert_eq!(stream.newest_rtp, 599 * 960);
    assert_eq!(stream.extents(&placement), [0..500 * 960, 502 * 960..600 * 960]);
}

#[test]
fn packets_of_a_clock_that_did_jump_ahead_are_all_there() {
    let (mut stream, _) = stream((0..500).map(|n| (n, n)));
    for n in 500..800 {
        take(&mut stream, n, (n + 5_000) * 960, n as i64 * 20 + 1_005);
    }
    let placement = stream.clock.placement(5 * MS);
    assert!(stream.dropped().is_empty());
    assert_eq!(placement.sample(5_500 * 960), Some(500 * 960 + 48_000));
    assert_eq!(stream.runs.len(), 1);
    let numbers: Vec<u32> = stream.chunks_for(&placement, &(550 * 960..560 * 960)).collect();
    assert!(numbers.contains(&5), "{numbers:?}");
}

#[test]
fn a_stream_that_begins_with_a_wrong_time_is_heard() {
    let mut stream = StreamState::new(&Stream::default());
    take(&mut stream, 0, 1 << 40, 5);
    for n in 1..300 {
        take(&mut stream, n, n * 960, n as i64 * 20 + 5);
    }
    let placement = stream.clock.placement(5 * MS);
    assert_eq!(placement.sample(299 * 960), Some(299 * 960));
    assert!(placement.steps.len() < 10);
}
