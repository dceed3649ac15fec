//! A capture log as it was written: a caller who gave its source nothing for 2.5 s in the middle of a tone, while the reader was held
//! up by load just before that (`testdata/README.md`).

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::Path;

use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::{Body, Packet, chunk};
use echosphere_recorder::sound::{Assembler, Layout};

const MS: i64 = 1_000_000;
/// The caller's stream, and its first packet after the stall.
const CALLER: u32 = 1;
const AFTER_STALL: u64 = 23_981;
/// What LiveKit sends of its own accord when a track is closed.
const CLOSING: [u8; 4] = [0xf8, 0xff, 0xfe, 0];

#[test]
fn sound_after_a_stall_lies_where_it_came_and_no_track_is_longer_than_its_recording() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/capture-logs/stall");
    let mut assembler = Assembler::new(Layout::AgentLeft, 1_000 * MS);
    let mut packets: Vec<(i64, Packet)> = Vec::new();
    for number in 0..4 {
        let chunk = chunk::decode(&std::fs::read(folder.join(format!("{number:06}.esc"))).unwrap().into()).unwrap();
        for entry in chunk.entries {
            assembler.take(&entry, chunk.number);
            if let Some(Body::Packet(packet)) = entry.body
                && packet.stream == CALLER
                && !packet.payload.starts_with(&CLOSING)
            {
                packets.push((entry.at, packet));
            }
        }
    }
    let index = assembler.index().unwrap();
    let stream = index.streams.iter().find(|stream| stream.stream == CALLER).unwrap();
    let placement = stream.placement.as_ref().unwrap();
    assert_eq!(packets.len(), 199);
    for (at, packet) in packets {
        let late = (at - index.zero - nanos(placement.sample(packet.rtp).unwrap())) / MS;
        let most = if packet.sequence < AFTER_STALL { 110 } else { 20 };
        assert!((-5..most).contains(&late), "packet {} came {late} ms after its place", packet.sequence);
    }
    assert_eq!(index.gaps, []);
    // It was stopped at 6.678 s; what LiveKit sends when a track is closed has times of long after.
    assert!((6_678 * 48..6_800 * 48).contains(&index.samples), "{}", index.samples);
    let tracks = assembler.received_tracks();
    assert_eq!(tracks.len(), 2);
    for track in tracks {
        let samples = track.samples;
        assert!(0 <= samples.start && samples.end <= index.samples as i64, "{samples:?} of {}", index.samples);
        assert!(samples.end > 6_500 * 48, "{samples:?}");
    }
}
