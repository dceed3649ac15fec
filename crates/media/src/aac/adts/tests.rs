//! Tests of `aac::adts`.

use super::*;
use proptest::prelude::*;

/// A frame of AAC-LC, 44.1 kHz, stereo.
fn frame(length: usize) -> Vec<u8> {
    let (high, middle, low) = ((length >> 11) as u8, (length >> 3) as u8, (length << 5) as u8);
    let mut frame = vec![0xff, 0xf1, 0x50, 0x80 | high, middle, low | 0x1f, 0xfc];
    frame.resize(length, 0x21);
    frame
}

fn kinds(stream: &[u8]) -> Vec<(char, usize)> {
    let kind = |piece| match piece {
        Piece::Frame { at, .. } => ('f', at),
        Piece::Lost { at, .. } => ('l', at),
        Piece::Cut { at } => ('c', at),
    };
    pieces(stream).map(kind).collect()
}

#[test]
fn the_fields_of_a_header() {
    let format = Format { object_type: 2, sample_rate: 44_100, channels: Some(2) };
    assert_eq!(Header::parse(&frame(383)), Some(Header { format, length: 383, blocks: 1, has_checksum: false }));
    assert_eq!(format.audio_specific_config(), Some([0x12, 0x10]));
    // The first header of LiveKit's `stopped`.
    let header = Header::parse(&[0xff, 0xf1, 0x50, 0x80, 0x2f, 0x5f, 0xfc]).unwrap();
    assert_eq!((header.length, header.samples()), (378, 1024));
    // With checksums, main profile, 48 kHz, 7.1 channels, four blocks.
    let header = Header::parse(&[0xff, 0xf8, 0x0d, 0xc0, 0x02, 0x1f, 0xff]).unwrap();
    assert_eq!(header.format, Format { object_type: 1, sample_rate: 48_000, channels: Some(8) });
    assert_eq!((header.length, header.blocks, header.own_length()), (16, 4, 15));
    assert_eq!(header.format.audio_specific_config(), Some([0x09, 0xb8]));
}

#[test]
fn what_is_no_header() {
    let good = frame(100);
    for (at, byte) in [(0, 0xfe), (1, 0xe1), (1, 0xf3), (2, 0x74), (4, 0)] {
        let mut bad = good.clone();
        bad[at] = byte;
        assert_eq!(Header::parse(&bad), None, "byte {at}");
    }
    assert_eq!(Header::parse(&good[..6]), None);
}

#[test]
fn what_is_between_frames_is_lost_and_nothing_else() {
    assert_eq!(kinds(&[]), []);
    let stream = [frame(100), vec![7; 9], frame(50), frame(40)].concat();
    assert_eq!(kinds(&stream), [('f', 0), ('l', 100), ('f', 109), ('f', 159)]);
    assert_eq!(kinds(&stream[..198]), [('f', 0), ('l', 100), ('f', 109), ('c', 159)]);
    assert_eq!(kinds(&stream[..160]), [('f', 0), ('l', 100), ('f', 109), ('c', 159)]);
    // A sync word in the middle of what is lost is no frame.
    let stream = [&frame(30)[10..], &frame(60)[..8], &[1; 20], &frame(33), &frame(33)].concat();
    assert_eq!(kinds(&stream), [('l', 0), ('f', 48), ('f', 81)]);
}

proptest! {
    #[test]
    fn pieces_are_all_of_it_in_order(bytes in prop::collection::vec(prop_oneof![Just(0xff_u8), Just(0xf1), any::<u8>()], 0..400)) {
        let mut end = 0;
        for piece in pieces(&bytes) {
            let (at, length) = match piece {
                Piece::Frame { at, header, bytes } => {
                    prop_assert_eq!(header.length, bytes.len());
                    (at, header.length)
                }
                Piece::Lost { at, length } => (at, length),
                Piece::Cut { at } => (at, bytes.len() - at),
            };
            prop_assert_eq!(at, end);
            prop_assert!(length > 0);
            end = at + length;
        }
        prop_assert_eq!(end, bytes.len());
    }
}
