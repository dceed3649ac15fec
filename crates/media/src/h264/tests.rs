//! Tests of `h264`.

use super::*;
use proptest::prelude::*;

/// Writes the bits of a unit; a test's own, which shares nothing with the reader.
#[derive(Default)]
struct BitWriter(Vec<bool>);

impl BitWriter {
    fn bits(mut self, count: u32, number: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| number >> bit & 1 == 1));
        self
    }

    fn unsigned(self, number: u32) -> Self {
        let length = (number + 1).ilog2();
        self.bits(length, 0).bits(length + 1, number + 1)
    }

    /// The bytes, with those that keep start codes out.
    fn unit(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0.resize(self.0.len().next_multiple_of(8), false);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        let mut unit = Vec::new();
        for byte in self.0.chunks(8).map(byte) {
            if unit.ends_with(&[0, 0]) && byte <= 3 {
                unit.push(3);
            }
            unit.push(byte);
        }
        unit
    }
}

fn header(profile: u32, level: u32) -> BitWriter {
    BitWriter::default().bits(8, 0x67).bits(8, profile).bits(8, 0x40).bits(8, level).unsigned(0)
}

/// From the order of pictures on: `blocks` across and down, `fields` in a frame, cropped at the left, right, top and bottom.
fn sized(writer: BitWriter, blocks: (u32, u32), fields: u32, crop: Option<[u32; 4]>) -> Vec<u8> {
    let writer = writer.unsigned(0).unsigned(2).unsigned(4).bits(1, 0).unsigned(blocks.0 - 1).unsigned(blocks.1 - 1);
    let writer = if fields == 1 { writer.bits(1, 1) } else { writer.bits(2, 0) };
    let writer = writer.bits(1, 1).bits(1, u32::from(crop.is_some()));
    crop.into_iter().flatten().fold(writer, BitWriter::unsigned).bits(1, 0).unit()
}

fn size(unit: &[u8]) -> Option<(u32, u32)> {
    Parameters::parse(unit).map(|parameters| (parameters.width, parameters.height))
}

#[test]
fn sizes_are_those_that_are_shown() {
    assert_eq!(size(&sized(header(77, 31), (80, 45), 1, None)), Some((1280, 720)));
    // 1080 is no multiple of 16: of 4:2:0, one step down is two pixels, or four when a frame has two fields.
    assert_eq!(size(&sized(header(66, 40), (120, 68), 1, Some([0, 0, 0, 4]))), Some((1920, 1080)));
    assert_eq!(size(&sized(header(77, 40), (120, 34), 2, Some([0, 0, 0, 2]))), Some((1920, 1080)));
    assert_eq!(size(&sized(header(66, 30), (40, 30), 1, Some([1, 2, 3, 4]))), Some((634, 466)));
    // High: 4:4:4, where one step is a pixel, and 4:2:2.
    let high = |format: u32| {
        let writer = header(100, 31).unsigned(format);
        let writer = if format == 3 { writer.bits(1, 0) } else { writer };
        writer.unsigned(0).unsigned(0).bits(2, 0)
    };
    assert_eq!(size(&sized(high(3), (10, 10), 1, Some([1, 0, 1, 0]))), Some((159, 159)));
    assert_eq!(size(&sized(high(2), (10, 10), 1, Some([1, 0, 1, 0]))), Some((158, 159)));
    assert_eq!(size(&sized(high(1), (10, 10), 1, Some([1, 0, 1, 0]))), Some((158, 158)));
}

#[test]
fn scaling_lists_and_picture_orders_are_passed_over() {
    // Two lists: one that ends at once (8 + -8 = 0), one of 16 steps of 1; six are absent.
    let lists = header(100, 31).unsigned(1).unsigned(0).unsigned(0).bits(2, 1).bits(1, 1).unsigned(16).bits(1, 1);
    let lists = (0..16).fold(lists, |writer, _| writer.unsigned(1)).bits(6, 0);
    assert_eq!(size(&sized(lists, (80, 45), 1, None)), Some((1280, 720)));
    let order =
        header(66, 31).unsigned(0).unsigned(1).bits(1, 0).unsigned(3).unsigned(4).unsigned(2).unsigned(7).unsigned(8);
    let order = order.unsigned(4).bits(1, 0).unsigned(79).unsigned(44).bits(1, 1).bits(2, 0).unit();
    assert_eq!(size(&order), Some((1280, 720)));
}

#[test]
fn bytes_that_keep_start_codes_out_are_passed_over() {
    let long =
        header(66, 31).unsigned(0).unsigned(1).bits(1, 0).unsigned((1 << 30) - 1).unsigned((1 << 30) - 1).unsigned(0);
    let unit = long.unsigned(4).bits(1, 0).unsigned(79).unsigned(44).bits(1, 1).bits(2, 0).unit();
    assert!(unit.windows(3).filter(|bytes| *bytes == [0, 0, 3]).count() > 3, "{unit:x?}");
    assert_eq!(size(&unit), Some((1280, 720)));
}

#[test]
fn the_name_of_a_codec() {
    let parameters = Parameters::parse(&sized(header(77, 31), (80, 45), 1, None)).unwrap();
    assert_eq!(parameters.codec(), "avc1.4d401f");
    assert_eq!(Parameters { level: 9, ..parameters }.codec(), "avc1.4d4009");
}

#[test]
fn what_cannot_be_is_not_believed() {
    assert_eq!(size(&sized(header(77, 31), (80, 45), 1, Some([320, 320, 0, 0]))), None, "all of it is cropped");
    assert_eq!(size(&sized(header(77, 31), (1056, 45), 1, None)), None);
    let good = sized(header(77, 31), (80, 45), 1, None);
    assert!((0..good.len() - 1).all(|end| size(&good[..end]).is_none()));
    assert_eq!(size(&[&[0x68], &good[1..]].concat()), None, "picture parameters");
}

#[test]
fn units_are_between_start_codes() {
    let stream = [9, 9, 0, 0, 1, 0x65, 5, 0, 0, 0, 1, 0x41, 0, 0, 1];
    let found: Vec<_> = units(&stream).collect();
    assert_eq!(found, [(5, &[0x65, 5, 0][..]), (11, &[0x41]), (15, &[])]);
    assert_eq!(found.iter().map(|(_, unit)| is_key(unit)).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!(units(&[]).count(), 0);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x67), Just(100), any::<u8>()], 0..200)) {
        for (_, unit) in units(&bytes) {
            let _ = Parameters::parse(unit);
        }
        if let Some((width, height)) = size(&[&[0x67], &bytes[..]].concat()) {
            prop_assert!(width > 0 && height > 0 && width <= 16_880 && height <= 16_880);
        }
    }
}
