//! Tests that no sound is lost silently: whatever is wrong with granule positions, serial numbers and flags, all packets are on the
//! timeline, or the index says that something is missing; and the timeline is no longer than packets and believable silence.

use std::ops::Range;

use super::page::build;
use super::testing::{PACKET, headers, headers_of, index, index_within, packets, page, seconds};
use super::{Error, Gap, OpusIndex};
use crate::render::{ChannelMap, Renderer};

const SECOND: u64 = 48_000;

/// A second of sound on each page, with these granule positions.
fn with_granules(granules: &[i64]) -> Vec<u8> {
    let mut bytes = headers(7, 312);
    for (at, &granule) in granules.iter().enumerate() {
        let flags = if at + 1 == granules.len() { 4 } else { 0 };
        bytes.extend(page(flags, granule, 7, at as u32 + 2, &[PACKET; 50]));
    }
    bytes
}

#[test]
fn links_lie_one_after_another_each_with_its_own_header() {
    let link = |serial, channels, pre_skip, gain, seconds: u32| {
        let mut bytes = headers_of(serial, channels, pre_skip, gain);
        for n in 0..seconds {
            bytes.extend(page(
                if n + 1 == seconds { 4 } else { 0 },
                (i64::from(n) + 1) * 48_000,
                serial,
                n + 2,
                &[PACKET; 50],
            ));
        }
        bytes
    };
    // The second link has the serial number of the first.
    let bytes = [link(7, 2, 312, 0, 5), link(7, 1, 3_840, -512, 5), link(9, 2, 0, 256, 2)].concat();
    let index = index(&bytes);
    assert_eq!(index.total_samples(), 12 * SECOND - 312 - 3_840);
    let heard: Vec<_> = index.links().iter().map(|link| (link.heard(), link.gain())).collect();
    assert_eq!(heard, [(0..239_688, 0), (239_688..475_848, -512), (475_848..571_848, 256)]);
    assert!(index.gaps().is_empty() && !index.is_truncated() && index.damaged_pages() == 0);
    // What comes before a link's zero is there for its decoder, and begins before the end of the link before it.
    let around = packets(&index, &bytes, 239_000..240_000);
    let first = around.iter().find(|packet| packet.link == 1).unwrap();
    assert_eq!(first.start, 239_688 - 3_840);
    assert_eq!(around.iter().filter(|packet| packet.link == 0).map(|packet| packet.start + 960).max(), Some(239_688));
    assert_eq!(OpusIndex::from_bytes(&index.to_bytes()), Ok(index));
}

#[test]
fn each_link_is_heard_with_its_own_gain_and_without_its_pre_skip() {
    let sound = |serial, channels: u8, pre_skip: u16, gain| {
        let (kind, count) = if channels == 1 { (opus::Channels::Mono, 1) } else { (opus::Channels::Stereo, 2) };
        let mut encoder = opus::Encoder::new(48_000, kind, opus::Application::Audio).unwrap();
        let mut bytes = headers_of(serial, channels, pre_skip, gain);
        for n in 0..100_u32 {
            let at = |sample: u32| f64::from(n * 960 + sample) / 48_000.0 * 400.0 * std::f64::consts::TAU;
            let pcm: Vec<i16> = (0..960).flat_map(|sample| vec![(8_000.0 * at(sample).sin()) as i16; count]).collect();
            let packet = encoder.encode_vec(&pcm, 4_000).unwrap();
            bytes.extend(page(if n == 99 { 4 } else { 0 }, (i64::from(n) + 1) * 960, serial, n + 2, &[&packet]));
        }
        bytes
    };
    let bytes = [sound(1, 2, 312, 0), sound(2, 1, 960, -1_541), sound(3, 2, 312, 0)].concat();
    let index = index(&bytes);
    let length = index.total_samples() as i64;
    assert_eq!(length, 3 * 96_000 - 312 - 960 - 312);
    let mut renderer: Renderer = Renderer::new();
    let mut listen = |range: Range<i64>| {
        let wanted = index.byte_range(range.clone());
        renderer.listen(&index, &bytes[wanted.start as usize..wanted.end as usize], ChannelMap::Keep, range).unwrap()
    };
    let all = listen(0..length);
    let loud = |range: Range<usize>| {
        let squares = all[2 * range.start..2 * range.end].iter().map(|&sample| f64::from(sample).powi(2));
        (squares.sum::<f64>() / (2 * range.len()) as f64).sqrt()
    };
    let (first, second, third) = (loud(20_000..90_000), loud(100_000..180_000), loud(200_000..280_000));
    assert!((first - third).abs() < 100.0 && (first / second - 2.0).abs() < 0.1, "{first} {second} {third}");
    // The third link is the first one again, from its first sample on.
    let again = 2 * (length as usize - 95_688);
    assert_eq!(all[..2 * 90_000], all[again..again + 2 * 90_000]);
    // A window across two links is the same as the whole there, except for how a decoder converges.
    let across = listen(190_000..192_000);
    let most = across.iter().zip(&all[2 * 190_000..]).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(most < Some(500), "{most:?}");
}

#[test]
fn granule_positions_that_cannot_be_cost_nothing() {
    let second = |n: i64| n * 48_000;
    let day = 86_400 * 48_000;
    let cases: [(&str, Vec<i64>); 12] = [
        ("all zero", vec![0; 10]),
        ("none", vec![-1; 10]),
        ("the same", vec![48_000; 10]),
        ("the least", vec![i64::MIN; 10]),
        ("the most", vec![i64::MAX; 10]),
        ("half as fast", (1..=10).map(|n| n * 24_000).collect()),
        ("wrapped at 64 bits", (1..=10).map(|n| (i64::MAX - second(5)).wrapping_add(second(n))).collect()),
        ("wrapped at 32 bits", (1..=10).map(|n| (i64::from(u32::MAX) - second(5) + second(n)) & 0xffff_ffff).collect()),
        ("begun again", (1..=10).map(|n| if n <= 5 { second(n) } else { second(n - 5) }).collect()),
        ("one that is days ahead", (1..=10).map(|n| if n == 5 { 2 * day } else { second(n) }).collect()),
        ("one that is zero", (1..=10).map(|n| if n == 5 { 0 } else { second(n) }).collect()),
        ("cut into", (1..=10).map(|n| 2 * day + second(n)).collect()),
    ];
    for (what, granules) in cases {
        let index = index(&with_granules(&granules));
        assert_eq!(index.total_samples(), 10 * SECOND - 312, "{what}");
        assert_eq!(index.gaps(), [], "{what}");
        assert!(!index.is_truncated() && index.damaged_pages() == 0, "{what}");
    }
}

#[test]
fn silence_is_believed_as_far_as_the_whole_may_be_long() {
    let later = |jump: i64| {
        let granules: Vec<i64> = (1..=10).map(|n| n * 48_000 + if n > 5 { jump } else { 0 }).collect();
        with_granules(&granules)
    };
    let hour = 3_600 * 48_000;
    let gap = |samples| Gap { start: 5 * SECOND - 312, samples, damaged: samples == 0 };
    for (jump, longest, gaps) in [
        (hour, super::LONGEST, gap(hour as u64)),
        (hour, hour as u64 + 10 * SECOND, gap(hour as u64)),
        (hour, hour as u64, gap(0)),
        (hour, 0, gap(0)),
        (48 * hour, super::LONGEST, gap(0)),
    ] {
        let index = index_within(&later(jump), longest).unwrap();
        assert_eq!(index.gaps(), [gaps], "{jump} of {longest}");
        assert_eq!(index.total_samples(), 10 * SECOND - 312 + gaps.samples);
        assert_eq!(index.is_silent(5 * SECOND as i64..6 * SECOND as i64), gaps.samples > 0);
        assert!(!index.is_silent(5 * SECOND as i64 - 1_000..6 * SECOND as i64));
    }
}

#[test]
fn a_link_that_breaks_off_says_so_and_the_next_one_is_heard() {
    let first = seconds(7, 0, 0, 3);
    let last_page = page(4, 0, 7, 4, &[PACKET; 50]).len();
    // Without its last page, which says that it is the last: nothing shows that one is missing.
    let whole = [&first[..first.len() - last_page], &seconds(8, 0, 0, 3)].concat();
    assert_eq!((index(&whole).total_samples(), index(&whole).gaps()), (5 * SECOND, &[][..]));
    // In the middle of its last page.
    let cut = [&first[..first.len() - 50], &seconds(8, 0, 0, 3)].concat();
    let cut = index(&cut);
    assert_eq!((cut.total_samples(), cut.damaged_pages()), (5 * SECOND, 1));
    assert_eq!(cut.gaps(), [Gap { start: 2 * SECOND, samples: 0, damaged: true }]);
    // In the middle of a packet.
    let open = build(0, 48_960, 7, 5, &[255], &[0xfc; 255]);
    let open = [&seconds(7, 0, 0, 3)[..], &open, &seconds(8, 0, 0, 3)].concat();
    let open = index(&open);
    assert_eq!((open.total_samples(), open.gaps()[0].start), (6 * SECOND, 3 * SECOND));
}

#[test]
fn what_cannot_be_played_is_a_gap_of_its_length() {
    let sound = |serial| {
        (0..3)
            .flat_map(move |n| page(if n == 2 { 4 } else { 0 }, (n + 1) * 48_000, serial, n as u32 + 2, &[PACKET; 50]))
    };
    let surround: Vec<u8> = headers_of(8, 6, 480, 0).into_iter().chain(sound(8)).collect();
    let bytes = [&seconds(7, 0, 0, 3)[..], &surround, &seconds(9, 0, 0, 3)].concat();
    let found = index(&bytes);
    assert_eq!(found.gaps(), [Gap { start: 3 * SECOND, samples: 3 * SECOND - 480, damaged: true }]);
    assert_eq!(found.total_samples(), 9 * SECOND - 480);
    assert!(found.is_silent(150_000..200_000));
    assert_eq!(index_within(&surround, 0), Err(Error::Unsupported));
    let first = index(&[&surround[..], &seconds(9, 0, 0, 3)].concat());
    assert_eq!((first.links().len(), first.gaps()[0].samples), (1, 3 * SECOND - 480));
}

#[test]
fn streams_parallel_to_the_sound_are_ignored_and_those_in_its_place_are_not() {
    let first = page(2, 0, 1, 0, &[b"\x80theora"]);
    let other = |n: u32| page(0, i64::from(n), 1, n, &[&[n as u8; 40]]);
    let sound = seconds(7, 0, 0, 4);
    let (head, page_length) = (headers(7, 0).len(), page(0, 0, 7, 2, &[PACKET; 50]).len());
    let head_page = page(2, 0, 7, 0, &[&[0; 19]]).len();
    let at = |n: usize| head + n * page_length;
    // Parallel: its pages are between those of the sound, and after them.
    let parallel = [
        &first,
        &sound[..head_page],
        &other(1),
        &sound[head_page..at(1)],
        &other(2),
        &sound[at(1)..at(2)],
        &other(3),
        &other(4),
        &sound[at(2)..],
        &other(5),
    ];
    let parallel = index(&parallel.concat());
    assert_eq!((parallel.total_samples(), parallel.ignored_pages(), parallel.unheard_pages()), (4 * SECOND, 6, 0));
    assert!(parallel.gaps().is_empty() && !parallel.is_truncated() && parallel.damaged_pages() == 0);
    // In a place of its own, between two links, before them or after them.
    for (order, start) in [([1, 0, 1], 4), ([0, 1, 1], 0), ([1, 1, 0], 8)] {
        let parts = order.iter().enumerate().map(|(n, &kind)| match kind {
            0 => [&first[..], &other(1), &other(2)].concat(),
            _ => seconds(7 + n as u32, 0, 0, 4),
        });
        let between = index(&parts.collect::<Vec<_>>().concat());
        assert_eq!((between.total_samples(), between.unheard_pages()), (8 * SECOND, 2), "{order:?}");
        assert_eq!(between.gaps(), [Gap { start: start * SECOND, samples: 0, damaged: true }], "{order:?}");
    }
    // A second Opus stream at the same time.
    let (a, b) = (seconds(7, 0, 0, 4), seconds(8, 0, 0, 4));
    let both = [&a[..head_page], &b[..head_page], &a[head_page..], &b[head_page..]].concat();
    let both = index(&both);
    assert_eq!((both.total_samples(), both.unheard_pages()), (4 * SECOND, 5));
}

#[test]
fn pages_that_are_not_counted_are_not_lost() {
    let mut bytes = headers(7, 0);
    for n in 0..5 {
        bytes.extend(page(0, (n + 1) * 48_000, 7, 1, &[PACKET; 50]));
    }
    let index = index(&bytes);
    assert_eq!((index.total_samples(), index.gaps().len()), (5 * SECOND, 0));
    assert_eq!(packets(&index, &bytes, 0..5 * SECOND as i64).len(), 250);
}

#[test]
fn indexes_that_earlier_versions_stored_are_read() {
    let mut stored = b"ESO1\x01\x38\x01\x00\xff".to_vec();
    stored.extend(96_000_u64.to_le_bytes());
    stored.push(1);
    for number in [3_u32, 4, 1] {
        stored.extend(number.to_le_bytes());
    }
    stored.extend(48_000_u64.to_le_bytes());
    stored.extend(960_u64.to_le_bytes());
    stored.push(1);
    stored.extend(1_u32.to_le_bytes());
    stored.extend(100_u64.to_le_bytes());
    stored.extend(300_u32.to_le_bytes());
    stored.extend((-312_i64).to_le_bytes());
    stored.extend(48_000_u32.to_le_bytes());
    let index = OpusIndex::from_bytes(&stored).unwrap();
    assert_eq!((index.total_samples(), index.is_truncated()), (96_000, true));
    assert_eq!((index.damaged_pages(), index.ignored_pages(), index.unheard_pages()), (3, 4, 0));
    assert_eq!(index.gaps(), [Gap { start: 48_000, samples: 960, damaged: true }]);
    assert_eq!((index.links().len(), index.links()[0].gain(), index.links()[0].heard()), (1, -256, 0..96_000));
    assert_eq!(index.byte_range(0..960), 100..400);
    assert_eq!(OpusIndex::from_bytes(&index.to_bytes()), Ok(index));
}
