//! A small Ogg/Opus writer for tests, and tests of the index.

use std::ops::Range;

use super::{Error, IndexBuilder, OpusIndex, Packet};
use crate::crc;

/// A page of these packets, each of which ends on it.
pub(crate) fn page(flags: u8, granule: i64, serial: u32, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lacing = Vec::new();
    for packet in packets {
        lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        lacing.push((packet.len() % 255) as u8);
    }
    let mut page = b"OggS\0".to_vec();
    page.push(flags);
    page.extend(granule.to_le_bytes());
    page.extend(serial.to_le_bytes());
    page.extend(sequence.to_le_bytes());
    page.extend([0; 4]);
    page.push(lacing.len() as u8);
    page.extend(&lacing);
    for packet in packets {
        page.extend(*packet);
    }
    checksummed(page)
}

/// A page with its checksum recomputed.
pub(crate) fn checksummed(mut page: Vec<u8>) -> Vec<u8> {
    page[22..26].fill(0);
    let sum = crc::update(0, &page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// The two header pages of a stereo stream.
pub(crate) fn headers(serial: u32, pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01\x02".to_vec();
    head.extend(pre_skip.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let tags = b"OpusTags\x04\0\0\0test\0\0\0\0";
    [page(2, 0, serial, 0, &[&head]), page(0, 0, serial, 1, &[tags])].concat()
}

/// The identification header page of a stream, and its comment header page.
pub(crate) fn headers_of(serial: u32, channels: u8, pre_skip: u16, gain: i16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(pre_skip.to_le_bytes());
    head.extend(48_000_u32.to_le_bytes());
    head.extend(gain.to_le_bytes());
    head.push(u8::from(channels > 2));
    [page(2, 0, serial, 0, &[&head]), page(0, 0, serial, 1, &[b"OpusTags\0\0\0\0\0\0\0\0"])].concat()
}

/// A stereo packet of 20 ms.
pub(crate) const PACKET: &[u8] = &[0b1111_1100, 1, 2, 3];

/// A stream of pages of 50 packets (one second).
pub(crate) fn seconds(serial: u32, pre_skip: u16, first: i64, count: u32) -> Vec<u8> {
    let mut file = headers(serial, pre_skip);
    for n in 0..count {
        let granule = first + i64::from(n + 1) * 48_000;
        let flags = if n + 1 == count { 4 } else { 0 };
        file.extend(page(flags, granule, serial, n + 2, &[PACKET; 50]));
    }
    file
}

/// The index of a file; silence is believed up to this total length.
pub(crate) fn index_within(bytes: &[u8], longest: u64) -> Result<OpusIndex, Error> {
    let mut builder = IndexBuilder::default();
    bytes.chunks(777).for_each(|piece| builder.push(piece));
    builder.finish_within(longest)
}

/// The index of a file.
pub(crate) fn index(bytes: &[u8]) -> OpusIndex {
    index_within(bytes, super::LONGEST).unwrap()
}

/// The packets of a range of a file.
pub(crate) fn packets(index: &OpusIndex, bytes: &[u8], range: Range<i64>) -> Vec<Packet> {
    let wanted = index.byte_range(range.clone());
    index.packets(range, &bytes[wanted.start as usize..wanted.end as usize])
}

mod tests {
    use super::super::build::IN_VAIN;
    use super::super::{Error, Gap, IndexBuilder, LONGEST, OpusIndex};
    use super::*;
    use proptest::prelude::*;

    fn index(bytes: &[u8]) -> Result<OpusIndex, Error> {
        let mut builder = IndexBuilder::default();
        builder.push(bytes);
        builder.finish()
    }

    #[test]
    fn the_length_is_last_granule_less_first_sample_less_pre_skip() {
        let index = index(&seconds(7, 312, 312, 3)).unwrap();
        assert_eq!(index.total_samples(), 3 * 48_000 - 312);
        assert!(index.gaps().is_empty() && !index.is_truncated());
        assert_eq!(index.damaged_pages(), 0);
    }

    #[test]
    fn a_hole_is_a_gap_and_never_a_shift() {
        let whole = seconds(7, 0, 0, 5);
        let length = page(0, 0, 7, 2, &[PACKET; 50]).len();
        let head = headers(7, 0).len();
        let mut holed = whole[..head + length].to_vec();
        holed.extend(&whole[head + 2 * length..]);
        let holed = index(&holed).unwrap();
        assert_eq!(holed.total_samples(), 5 * 48_000);
        assert_eq!(holed.gaps(), [Gap { start: 48_000, samples: 48_000, damaged: true }]);
        let after = holed.packets(96_000..96_960, &whole[..0]);
        assert!(after.is_empty());
    }

    #[test]
    fn a_damaged_page_is_skipped_and_counted() {
        let mut bytes = seconds(7, 0, 0, 4);
        let head = headers(7, 0).len();
        bytes[head + 100] ^= 1;
        let index = index(&bytes).unwrap();
        // The first page of sound is gone; the rest does not move to its place.
        assert_eq!(index.damaged_pages(), 1);
        assert_eq!(index.total_samples(), 4 * 48_000);
        assert_eq!(index.gaps(), [Gap { start: 0, samples: 48_000, damaged: true }]);
    }

    #[test]
    fn a_cut_file_keeps_its_whole_pages() {
        let bytes = seconds(7, 312, 0, 4);
        let cut = index(&bytes[..bytes.len() - 10]).unwrap();
        assert!(cut.is_truncated());
        assert_eq!(cut.total_samples(), 3 * 48_000 - 312);
    }

    #[test]
    fn packets_lie_where_their_page_says() {
        let bytes = seconds(7, 312, 0, 4);
        let index = index(&bytes).unwrap();
        let range = index.byte_range(100_000..101_000);
        let (from, to) = (range.start as usize, range.end as usize);
        let packets = index.packets(100_000..101_000, &bytes[from..to]);
        assert!(packets.iter().all(|packet| (packet.start + 312) % 960 == 0 && packet.samples == 960));
        assert!(packets.first().unwrap().start <= 100_000 - 3_840);
        assert!(packets.last().unwrap().start + 960 >= 101_000);
        assert!(to - from < bytes.len());
    }

    /// A page whose last packet continues on the next.
    fn open_page(flags: u8, sequence: u32, packets: &[&[u8]]) -> Vec<u8> {
        let mut page = page(flags, 960, 7, sequence, packets);
        // Without its last lacing value (0: the packet's length is a multiple of 255) the packet does not end.
        let values = page[26];
        page.remove(27 + usize::from(values) - 1);
        page[26] = values - 1;
        checksummed(page)
    }

    #[test]
    fn halves_of_two_packets_are_not_joined() {
        let long = [0b1111_1100; 510];
        let mut bytes = headers(7, 0);
        bytes.extend(open_page(0, 2, &[PACKET, &long]));
        // Page 3, with that packet's end and another's beginning, is lost.
        bytes.extend(page(1, 4 * 960, 7, 4, &[&[9; 90], PACKET]));
        bytes.extend(page(4, 5 * 960, 7, 5, &[PACKET]));
        let index = index(&bytes).unwrap();
        let range = index.byte_range(0..4_800);
        let packets = index.packets(0..4_800, &bytes[range.start as usize..range.end as usize]);
        let found: Vec<_> = packets.iter().map(|packet| (packet.start, packet.data.len())).collect();
        assert_eq!(found, [(0, 4), (3 * 960, 4), (4 * 960, 4)]);
        assert_eq!(index.gaps(), [Gap { start: 960, samples: 2 * 960, damaged: true }]);
    }

    #[test]
    fn a_last_page_cannot_take_back_those_before_it() {
        let mut bytes = headers(7, 0);
        bytes.extend(page(0, 48_000, 7, 2, &[PACKET; 50]));
        bytes.extend(page(4, 1_000, 7, 3, &[PACKET]));
        assert_eq!(index(&bytes).unwrap().total_samples(), 48_960, "and not all of itself either");
    }

    #[test]
    fn no_jumps_make_a_recording_of_years() {
        let mut bytes = headers(7, 0);
        for n in 0..1000_u32 {
            bytes.extend(page(0, 960 + i64::from(n) * 12 * 3600 * 48_000, 7, n + 2, &[PACKET]));
        }
        let index = index(&bytes).unwrap();
        assert!(index.total_samples() <= LONGEST, "{}", index.total_samples());
        assert!(index.gaps().iter().filter(|gap| gap.samples == 0).count() > 900, "what is not believed is reported");
        assert_eq!(OpusIndex::from_bytes(&index.to_bytes()), Ok(index));
    }

    #[test]
    fn what_only_looks_like_pages_costs_little() {
        let mut fake = b"OggS\0".to_vec();
        fake.extend([0; 21]);
        fake.extend([255; 6]);
        let bytes = [headers(7, 0), fake.repeat(1 << 15)].concat();
        let mut builder = IndexBuilder::default();
        builder.push(&bytes);
        assert!(builder.checked_in_vain() < 2 * bytes.len() as u64 + IN_VAIN, "{}", builder.checked_in_vain());
    }

    #[test]
    fn what_is_no_opus_is_said_so() {
        assert_eq!(index(b"hello"), Err(Error::NotOgg));
        assert_eq!(index(&page(2, 0, 1, 0, &[b"\x01vorbis"])), Err(Error::NoOpus));
        assert_eq!(index(&headers(1, 0)), Err(Error::NoSound));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..300) {
            let mut builder = IndexBuilder::default();
            bytes.chunks(piece).for_each(|chunk| builder.push(chunk));
            let _ = builder.finish();
        }

        #[test]
        fn pieces_do_not_matter(piece in 1_usize..5000, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            let mut bytes = seconds(9, 312, 0, 3);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let mut builder = IndexBuilder::default();
            bytes.chunks(piece).for_each(|chunk| builder.push(chunk));
            let whole = index(&bytes);
            prop_assert_eq!(&builder.finish(), &whole);
            if let Ok(index) = whole {
                prop_assert_eq!(OpusIndex::from_bytes(&index.to_bytes()), Ok(index.clone()));
                let all = 0..index.total_samples() as i64;
                let range = index.byte_range(all.clone());
                let _ = index.packets(all, &bytes[range.start as usize..range.end as usize]);
            }
        }

        #[test]
        fn stored_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = OpusIndex::from_bytes(&[b"ESO1", bytes.as_slice()].concat());
            let _ = OpusIndex::from_bytes(&[b"ESO2", bytes.as_slice()].concat());
            let _ = OpusIndex::from_bytes(&[b"ESO3", bytes.as_slice()].concat());
        }
    }
}
