//! Tests of `ts`.

use super::*;
use proptest::prelude::*;

/// The audio stream's payload, after checking every packet's header.
fn audio_payload(ts: &[u8]) -> Vec<u8> {
    assert_eq!(ts.len() % PACKET, 0);
    let (mut payload, mut expected) = (Vec::new(), 0);
    for packet in ts.chunks(PACKET) {
        assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        if pid != AUDIO_PID {
            continue;
        }
        assert_eq!(packet[3] & 0x0f, expected);
        expected = (expected + 1) & 0x0f;
        let skip = if packet[3] & 0x20 == 0 { 4 } else { 5 + usize::from(packet[4]) };
        payload.extend_from_slice(&packet[skip..]);
    }
    assert_eq!(expected, 0, "the counter begins the next segment at zero");
    payload
}

fn pts_of(pes: &[u8]) -> u64 {
    let p: Vec<u64> = pes[9..14].iter().map(|&byte| u64::from(byte)).collect();
    (p[0] >> 1 & 7) << 30 | p[1] << 22 | (p[2] >> 1) << 15 | p[3] << 7 | p[4] >> 1
}

#[test]
fn section_checksums_are_those_of_the_standard() {
    // The PAT that every HLS packager writes for program 1 at PID 0x1000.
    assert_eq!(pat()[12..], [0x2a, 0xb1, 0x04, 0xb2]);
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(lengths in prop::collection::vec(8_u32..700, 1..200), first in 0_u64..1 << 34) {
        let total = lengths.iter().sum::<u32>() as usize;
        let bytes: Vec<u8> = (0..total).map(|n| (n % 251) as u8).collect();
        let ts = segment(3, first, Frames { bytes: &bytes, lengths: &lengths });
        let payload = audio_payload(&ts);
        let (mut at, mut seen, mut frame) = (0, Vec::new(), first);
        for group in lengths.chunks(FRAMES_PER_PES) {
            let length = group.iter().sum::<u32>() as usize;
            prop_assert_eq!(&payload[at..at + 4], &[0, 0, 1, 0xc0]);
            prop_assert_eq!(pts_of(&payload[at..]), (PTS_BASE + frame * 1920) & PTS_MASK);
            seen.extend_from_slice(&payload[at + 14..at + 14 + length]);
            at += 14 + length;
            frame += group.len() as u64;
        }
        prop_assert_eq!(seen, bytes);
        prop_assert_eq!(at, payload.len());
    }
}
