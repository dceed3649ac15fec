//! Tests of `track_file`.

use super::*;
use crate::clock::{Placement, Step};
use crate::log::Packet;
use echosphere_media::ogg::{IndexBuilder, OpusIndex};
use proptest::prelude::*;

const CODE: [u8; 4] = [0x78, 1, 2, 3];

fn index(streams: &[(u32, i64)]) -> Index {
    let placed = |&(stream, offset): &(u32, i64)| PlacedStream {
        stream,
        track_sid: "TR_a".to_owned(),
        placement: Some(Placement { steps: vec![Step { from_rtp: i64::MIN, offset }] }),
        ..PlacedStream::default()
    };
    Index { streams: streams.iter().map(placed).collect(), samples: LONGEST as u64, ..Index::default() }
}

/// One past the last sample of the last packet, each of which is 20 ms long.
fn end(index: &Index, chunks: &[Vec<Entry>]) -> i64 {
    let ends = chunks.iter().flatten().filter_map(|entry| match &entry.body {
        Some(Body::Packet(packet)) => index.streams[packet.stream as usize].sample(packet),
        _ => None,
    });
    ends.max().unwrap_or(0) + 960
}

fn entry(stream: u32, sequence: u64, rtp: u64, payload: Vec<u8>) -> Entry {
    Entry {
        number: sequence,
        at: 0,
        body: Some(Body::Packet(Packet { stream, sequence, rtp, payload: payload.into() })),
    }
}

/// Everything that is played of a file: where each packet that is not silence begins.
fn read(bytes: &[u8]) -> (OpusIndex, Vec<(i64, Vec<u8>)>) {
    let mut builder = IndexBuilder::default();
    builder.push(bytes);
    let index = builder.finish().unwrap();
    let all = -1_000..index.total_samples() as i64;
    let range = index.byte_range(all.clone());
    let packets = index.packets(all, &bytes[range.start as usize..range.end as usize]);
    let spoken = packets.into_iter().filter(|packet| !SILENCE.iter().any(|(_, silence)| packet.data == silence));
    let spoken = spoken.map(|packet| (packet.start, packet.data)).collect();
    (index, spoken)
}

fn write(index: &Index, offset: i64, chunks: Vec<Vec<Entry>>) -> Vec<u8> {
    let mut file = TrackFile::new(index, "TR_a", offset, end(index, &chunks), Vec::new()).unwrap();
    let mut out = Vec::new();
    for chunk in chunks {
        file.take(chunk);
    }
    while file.write(i64::MAX, &mut out) {}
    file.finish(&mut out);
    out
}

#[test]
fn packets_lie_where_the_recording_has_them_over_streams_and_pauses() {
    // Speaks, is silent for 3 s, rejoins with another clock 20 s later.
    let packets = |stream, rtps: std::ops::Range<u64>| {
        rtps.map(move |n| entry(stream, n, n * 960, CODE.to_vec())).collect::<Vec<_>>()
    };
    let index = index(&[(0, 9_617), (1, 1_000_031)]);
    let chunks = vec![packets(0, 0..50), packets(0, 200..250), packets(1, 5..30)];
    let (file, spoken) = read(&write(&index, 0, chunks.clone()));
    assert_eq!(spoken.len(), 125);
    assert_eq!(spoken[0].0, 9_617, "the first packet lies on the sample");
    assert_eq!(spoken[50].0, 9_617 + 200 * 960);
    assert!((spoken[100].0 - (1_000_031 + 5 * 960)).abs() <= UNIT / 2, "{}", spoken[100].0);
    assert!(file.gaps().is_empty(), "filled, not jumped over");
    let (_, moved) = read(&write(&index, 48_000, chunks));
    assert_eq!(moved[0].0, 57_617);
    assert!(TrackFile::new(&index, "TR_b", 0, 0, Vec::new()).is_none());
}

#[test]
fn doubles_late_packets_and_the_servers_own_silence_change_nothing() {
    let index = index(&[(0, 0)]);
    let mut file = TrackFile::new(&index, "TR_a", 0, 9_600, Vec::new()).unwrap();
    let mut out = Vec::new();
    file.take((0..10).map(|n| entry(0, n, n * 960, CODE.to_vec())));
    file.take([entry(0, 3, 3 * 960, CODE.to_vec()), entry(0, 11, 9 * 960, [0xf8, 0xff, 0xfe, 0].to_vec())]);
    assert!(!file.write(8 * 960, &mut out));
    file.take([entry(0, 4, 4 * 960, CODE.to_vec())]);
    while file.write(i64::MAX, &mut out) {}
    file.finish(&mut out);
    let (index, spoken) = read(&out);
    assert_eq!((spoken.len(), index.total_samples()), (10, 9_600));
}

#[test]
fn a_file_is_as_long_as_its_track_and_ends_with_the_recording() {
    let mut index = index(&[(0, 0)]);
    index.samples = 60 * 48_000;
    let written = |until| {
        let mut file = TrackFile::new(&index, "TR_a", 480, until, Vec::new()).unwrap();
        let (mut out, mut most) = (Vec::new(), 0);
        // The last one is after the end of everything.
        file.take([0, 1, 2, 5_000].map(|n| entry(0, n, n * 960, CODE.to_vec())));
        loop {
            let before = out.len();
            let has_more = file.write(i64::MAX, &mut out);
            most = most.max(out.len() - before);
            if !has_more {
                break;
            }
        }
        file.finish(&mut out);
        assert!(most < 10_000, "{most}");
        let (file, spoken) = read(&out);
        (file.total_samples() as i64 - 480, spoken.len())
    };
    assert_eq!(written(2 * 960), (2 * 960, 2));
    assert_eq!(written(30 * 48_000), (30 * 48_000, 3), "silence to its end");
    assert_eq!(written(i64::MAX), (60 * 48_000, 3));
    // Nobody spoke: silence all the same.
    let mut silent = TrackFile::new(&index, "TR_a", 0, 960, Vec::new()).unwrap();
    let mut out = Vec::new();
    while silent.write(i64::MAX, &mut out) {}
    silent.finish(&mut out);
    assert_eq!(read(&out).0.total_samples(), 960);
}

#[test]
fn a_late_comer_does_not_fill_the_memory() {
    let index = index(&[(0, 3_600 * 48_000)]);
    let mut file = TrackFile::new(&index, "TR_a", 0, 3_600 * 48_000 + 960, Vec::new()).unwrap();
    file.take([entry(0, 0, 0, CODE.to_vec())]);
    let (mut all, mut most) = (Vec::new(), 0);
    loop {
        let mut out = Vec::new();
        let more = file.write(i64::MAX, &mut out);
        most = most.max(out.len());
        all.extend(out);
        if !more {
            break;
        }
    }
    file.finish(&mut all);
    assert!(most < 100_000, "{most}");
    assert_eq!(read(&all).1[0].0, 3_600 * 48_000);
}

proptest! {
    /// Clocks drift and packets are lost: every packet that is written is within the tolerance of its place and byte for byte
    /// what was received, and next to none is left out.
    #[test]
    fn a_drifting_clock_never_carries_the_file_away(
        ppm in -300_i64..300, sent in prop::collection::vec(prop::bool::weighted(0.97), 2_000..6_000), offset in 0_i64..5_000,
    ) {
        let steps = (0..sent.len() as i64 / 50).map(|second| {
            let off = second * ppm * 48_000 / 1_000_000 / 120 * 120;
            Step { from_rtp: second * 48_000, offset: 9_600 + off }
        });
        let mut index = index(&[(0, 0)]);
        index.streams[0].placement = Some(Placement { steps: steps.collect() });
        let placement = index.streams[0].placement.clone().unwrap();
        let payload = |n: u64| [&[0x78][..], &n.to_be_bytes()].concat();
        let came: Vec<u64> = sent.iter().enumerate().filter(|(_, sent)| **sent).map(|(n, _)| n as u64).collect();
        let entries = came.iter().map(|&n| entry(0, n, n * 960, payload(n))).collect();
        let (_, spoken) = read(&write(&index, offset, vec![entries]));
        for (start, data) in &spoken {
            let n = u64::from_be_bytes(data[1..].try_into().unwrap());
            let wanted = placement.sample(n * 960).unwrap() + offset;
            prop_assert!((start - wanted).abs() <= TOLERANCE, "packet {n} lies at {start}, not {wanted}");
            prop_assert_eq!(data, &payload(n));
        }
        prop_assert!(came.len() - spoken.len() <= 3, "{} of {}", spoken.len(), came.len());
    }
}
