//! Tests of cutting, on files that are made for it.

use proptest::prelude::*;

use super::*;
use crate::ogg::OpusIndex;
use crate::ogg::testing::{PACKET, headers, index, page, seconds};

/// What a window of a file is cut into.
fn cut_of(file: &[u8], index: &OpusIndex, window: std::ops::Range<i64>) -> Cut {
    let range = index.byte_range(window.clone());
    cut(index, &file[range.start as usize..range.end as usize], window)
}

fn is_silence(sample: &Sample) -> bool {
    sample.data.ends_with(&[0xff, 0xfe])
}

#[test]
fn a_hole_is_silence_of_its_length() {
    // A second, 1.5 s without a packet, a second.
    let mut file = headers(1, 312);
    file.extend(page(0, 48_000, 1, 2, &[PACKET; 50]));
    file.extend(page(4, 48_000 * 7 / 2, 1, 3, &[PACKET; 50]));
    let index = index(&file);
    let total = index.total_samples() as i64;
    let whole = cut_of(&file, &index, 0..total);
    assert_eq!(whole.duration(), (total + 312) as u64);
    let silence: u32 = whole.samples.iter().filter(|sample| is_silence(sample)).map(|sample| sample.duration).sum();
    assert_eq!(silence, 72_000);
    let inside = cut_of(&file, &index, 60_000..70_000);
    assert!(inside.start == 60_000 && inside.duration() == 10_000 && inside.samples.iter().all(is_silence));
}

#[test]
fn whatever_the_pre_skip_the_first_packet_has_the_same_decode_time() {
    for pre_skip in [0, 312, 313, 960, 3_840] {
        let file = seconds(1, pre_skip, 0, 3);
        let index = index(&file);
        let total = index.total_samples() as i64;
        let whole = cut_of(&file, &index, 0..total);
        assert_eq!((whole.start, whole.decode_time()), (-312, BASE), "{pre_skip}");
        assert_eq!(whole.duration(), (total + 312) as u64, "{pre_skip}");
        // Each packet that is heard is where it is in the file.
        let mut at = whole.start;
        for sample in &whole.samples {
            assert!(is_silence(sample) || (at + i64::from(pre_skip)).rem_euclid(960) == 0, "{pre_skip} {at}");
            at += i64::from(sample.duration);
        }
    }
}

#[test]
fn boxes_say_how_long_they_are() {
    let samples = [Sample { data: vec![1; 300], duration: 960 }, Sample { data: vec![2; 7], duration: 500 }];
    for bytes in [init(Layout::Voices, -256), segment(7, 1 << 33, &samples)] {
        let (mut at, mut kinds) = (0, Vec::new());
        while at < bytes.len() {
            let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            kinds.push(String::from_utf8(bytes[at + 4..at + 8].to_vec()).unwrap());
            at += size;
        }
        assert_eq!(at, bytes.len());
        assert!(kinds == ["ftyp", "moov"] || kinds == ["moof", "mdat"], "{kinds:?}");
    }
    let bytes = segment(7, 0, &samples);
    let mdat = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    let trun = bytes.windows(4).position(|window| window == b"trun").unwrap() + 12;
    assert_eq!(u32::from_be_bytes(bytes[trun..trun + 4].try_into().unwrap()) as usize, mdat);
}

proptest! {
    #[test]
    fn another_files_pages_yield_no_more_than_the_window_and_a_packet(
        lengths in prop::collection::vec(prop::sample::select(vec![0xf8_u8, 0xf0, 0xe0, 0x18, 0xfb]), 1..40),
        from in 0_i64..200_000, length in 1_i64..100_000, skip in 0_usize..3_000,
    ) {
        let file = seconds(1, 312, 0, 5);
        let index = index(&file);
        // Packets of other lengths, on pages that are whole: 20, 10 and 2.5 ms, 60 ms of SILK, six frames in one.
        let packets: Vec<Vec<u8>> = lengths.iter().map(|&toc| vec![toc, 6, 1, 2, 3, 4, 5, 6]).collect();
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let mut other = Vec::new();
        for number in 0..20 {
            other.extend(page(0, i64::from(number) * 9_600, 1, number + 2, &packets));
        }
        let bytes = [&file[..skip.min(file.len())], &other].concat();
        let part = cut(&index, &bytes, from..from + length);
        let end = from + length;
        prop_assert!(part.duration() as i64 <= (end - part.start).max(0) + 5_760);
        prop_assert!(part.samples.iter().all(|sample| sample.duration > 0));
    }

    #[test]
    fn any_bytes_yield_packets_of_the_windows_length(
        bytes in prop::collection::vec(any::<u8>(), 0..400), from in 0_i64..200_000, length in 1_i64..100_000,
    ) {
        let file = seconds(1, 312, 0, 5);
        let index = index(&file);
        let part = cut(&index, &bytes, from..from + length);
        let end = from + length;
        prop_assert!(part.start >= -312);
        prop_assert!(part.duration() as i64 <= (end - part.start).max(0) + 5_760);
    }
}
