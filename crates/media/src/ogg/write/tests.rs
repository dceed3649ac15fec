//! Tests of `write`.

use super::super::{IndexBuilder, OpusIndex};
use super::*;
use proptest::prelude::*;

fn about(pre_skip: u16) -> About {
    About { serial: serial("TR_a"), channels: 1, pre_skip, comments: vec!["TITLE=alice".to_owned()] }
}

fn file(pre_skip: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Writer::begin(&about(pre_skip), &mut out);
    for packet in packets {
        assert!(writer.push(packet, &mut out));
    }
    writer.finish(&mut out);
    out
}

fn index(bytes: &[u8]) -> Result<OpusIndex, super::super::Error> {
    let mut builder = IndexBuilder::default();
    builder.push(bytes);
    builder.finish()
}

/// A packet of a known length: code 0, CELT fullband, 2.5 to 20 ms.
fn packet() -> impl Strategy<Value = Vec<u8>> {
    (28_u8..32, prop::collection::vec(any::<u8>(), 0..700)).prop_map(|(config, mut bytes)| {
        bytes.insert(0, config << 3);
        bytes
    })
}

#[test]
fn a_file_without_sound_is_a_file_and_what_is_no_packet_is_dropped() {
    let bytes = file(312, &[]);
    assert_eq!(index(&bytes), Err(super::super::Error::NoSound));
    let mut out = Vec::new();
    let mut writer = Writer::begin(&about(0), &mut out);
    assert!(!writer.push(&[], &mut out) && !writer.push(&vec![0xf8; 255 * 255], &mut out));
    assert_eq!(writer.granule(), 0);
}

#[test]
fn comments_that_fit_on_no_page_are_dropped() {
    let comments = vec!["A=1".to_owned(), "B=".to_owned() + &"x".repeat(70_000), "C=3".to_owned()];
    let bytes = tags(&comments);
    let has = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(has(b"A=1") && has(b"C=3") && !has(b"B=") && bytes[22..26] == 2_u32.to_le_bytes());
}

proptest! {
    #[test]
    fn what_is_written_is_what_our_index_reads(packets in prop::collection::vec(packet(), 1..300), skip in 0_u16..120) {
        let bytes = file(skip, &packets);
        let index = index(&bytes).unwrap();
        let total: u64 = packets.iter().map(|packet| u64::from(duration(packet).unwrap())).sum();
        prop_assert_eq!(index.total_samples(), total - u64::from(skip));
        prop_assert!(!index.is_truncated() && index.gaps().is_empty() && index.damaged_pages() == 0);
        let all = -i64::from(skip)..index.total_samples() as i64;
        let range = index.byte_range(all.clone());
        let read = index.packets(all, &bytes[range.start as usize..range.end as usize]);
        prop_assert_eq!(read.len(), packets.len());
        let mut start = -i64::from(skip);
        for (read, packet) in read.iter().zip(&packets) {
            prop_assert_eq!(&read.data, packet);
            prop_assert_eq!(read.start, start);
            start += i64::from(read.samples);
        }
    }
}
