//! Tests that the size of an index is bounded: empty pages, short ones, and more of anything than there ought to be.

use super::Gap;
use super::page::build;
use super::testing::{PACKET, headers, index, packets, page, seconds};

const SECOND: u64 = 48_000;

#[test]
fn empty_pages_cost_nothing_and_lose_nothing() {
    let mut bytes = headers(7, 0);
    let mut sequence = 2;
    let mut push = |bytes: &mut Vec<u8>, page: &dyn Fn(u32) -> Vec<u8>| {
        bytes.extend(page(sequence));
        sequence += 1;
    };
    for n in 0..5 {
        push(&mut bytes, &|sequence| page(0, (n + 1) * 48_000, 7, sequence, &[PACKET; 50]));
        (0..1_000).for_each(|_| push(&mut bytes, &|sequence| page(0, -1, 7, sequence, &[])));
    }
    // A packet that continues across a page that has nothing of it.
    push(&mut bytes, &|sequence| build(0, -1, 7, sequence, &[255], &[0xfc; 255]));
    push(&mut bytes, &|sequence| build(1, -1, 7, sequence, &[], &[]));
    push(&mut bytes, &|sequence| build(5, 5 * 48_000 + 960, 7, sequence, &[5], &[1; 5]));
    let index = index(&bytes);
    assert_eq!((index.total_samples(), index.gaps().len(), index.is_truncated()), (5 * SECOND + 960, 0, false));
    assert!(index.to_bytes().len() < 400, "{}", index.to_bytes().len());
    let packets = packets(&index, &bytes, 0..6 * SECOND as i64);
    assert_eq!((packets.len(), packets[250].data.len()), (251, 260));
}

#[test]
fn an_index_has_an_end() {
    let mut bytes = headers(7, 0);
    // Two of these pages are longer than a run.
    let most = super::build::MOST_ENTRIES as u32;
    for n in 0..most + 5_000 {
        bytes.extend(page(0, (i64::from(n) + 1) * 26 * 960, 7, n + 2, &[PACKET; 26]));
    }
    let found = index(&bytes);
    assert_eq!((found.total_samples(), found.is_truncated()), (u64::from(most) * 26 * 960, true));
    let links = (0..5_000).flat_map(|serial| seconds(serial, 0, 0, 1));
    let found = index(&links.collect::<Vec<_>>());
    assert!(found.links().len() <= 4_097 && found.is_truncated(), "{}", found.links().len());
    let mut bytes = headers(7, 0);
    for n in 0..30_000_i64 {
        bytes.extend(page(0, (n + 1) * 960 + (n + 1) * 2_000, 7, n as u32 + 2, &[PACKET]));
    }
    let found = index(&bytes);
    assert!(found.gaps().len() <= 10_000 && found.is_truncated(), "{}", found.gaps().len());
}

#[test]
fn pages_of_one_packet_make_runs_of_a_second() {
    let (mut bytes, seconds) = (headers(7, 0), 2 * 3_600);
    let packet = |n: i64| [0xfc, n as u8, (n >> 8) as u8];
    for n in 0..seconds * 50 {
        let claimed = if n < 100_000 { 0 } else { SECOND as i64 };
        bytes.extend(page(0, (n + 1) * 960 + claimed, 7, n as u32 + 2, &[&packet(n)]));
    }
    let index = index(&bytes);
    assert_eq!(index.gaps(), [Gap { start: 100_000 * 960, samples: SECOND, damaged: false }]);
    assert_eq!((index.total_samples(), index.is_truncated()), ((seconds as u64 + 1) * SECOND, false));
    // One more, because the gap is inside a second.
    assert!(index.to_bytes().len() < 100 + (seconds as usize + 1) * 24, "{}", index.to_bytes().len());
    for at in [0, 959, 47_999, 48_000, 99_999 * 960, 100_000 * 960, 100_050 * 960, 200_000 * 960] {
        let found = packets(&index, &bytes, at..at + 10_000);
        let heard = found.iter().filter(|packet| packet.start + 960 > at && packet.start < at + 10_000);
        let wanted = (0..seconds * 50).map(|n| (n, n * 960 + if n < 100_000 { 0 } else { SECOND as i64 }));
        let wanted = wanted.filter(|(_, start)| start + 960 > at && *start < at + 10_000);
        let wanted: Vec<_> = wanted.map(|(n, start)| (start, packet(n).to_vec())).collect();
        assert_eq!(heard.map(|packet| (packet.start, packet.data.clone())).collect::<Vec<_>>(), wanted, "{at}");
    }
}

#[test]
fn a_run_begins_in_the_middle_of_a_packet() {
    // Each page but the first begins with the rest of a packet, and two pages make a run. A reader that begins with the second run
    // does not have what the first leaves open, and yet what follows keeps its place.
    let mut bytes = headers(7, 0);
    let long = [0xfc; 300];
    bytes.extend(build(
        0,
        24 * 960,
        7,
        2,
        &[[3; 24].as_slice(), &[255]].concat(),
        &[&[0xfc; 72], &long[..255]].concat(),
    ));
    for n in 1..20_i64 {
        let lacing = [[45].as_slice(), &[3; 23], &[255]].concat();
        let payload = [&long[..45], &[0xfc; 69], &long[..255]].concat();
        bytes.extend(build(1, (n + 1) * 24 * 960, 7, n as u32 + 2, &lacing, &payload));
    }
    let index = index(&bytes);
    // The last packet has no end.
    assert_eq!(index.gaps(), [Gap { start: 480 * 960, samples: 0, damaged: true }]);
    assert!(index.to_bytes().len() < 100 + 10 * 24 + 25, "{}", index.to_bytes().len());
    for at in (0..480).step_by(7).map(|n| n * 960) {
        let found = packets(&index, &bytes, at..at + 960);
        let lengths: Vec<_> = found.iter().map(|packet| (packet.start, packet.data.len())).collect();
        assert!(
            lengths
                .iter()
                .all(|(start, length)| start % 960 == 0 && (*length == 300) == (start / 960 % 24 == 0 && *start > 0)),
            "{at} {lengths:?}"
        );
        assert!(lengths.iter().any(|(start, _)| *start == at), "{at} {lengths:?}");
    }
}
