//! Tests of taking packets apart, against what libopus makes of them.

use opus::{Channels, Decoder, MSDecoder, Repacketizer, packet};
use proptest::prelude::*;

use super::*;

fn packet_of(parsed: &Frames<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    append_packet(&mut out, parsed.kind, &parsed.frames);
    out
}

/// Packets as libopus makes them: a second of a tone, in frames of this length.
fn tone(samples: usize, bitrate: i32) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, Channels::Mono, opus::Application::Audio).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(bitrate)).unwrap();
    let wave = |at: usize| ((at as f32 * 0.05).sin() * 9_000.0) as i16;
    let blocks = (0..48_000 / samples).map(|block| (block * samples..(block + 1) * samples).map(wave).collect());
    blocks.map(|pcm: Vec<i16>| encoder.encode_vec(&pcm, 2_000).unwrap()).collect()
}

#[test]
fn frames_are_those_that_libopus_finds() {
    let mut joined = vec![0; 4_000];
    for count in 1..=3 {
        let packets = tone(480, 300_000);
        for packets in packets.chunks_exact(count) {
            let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
            let length = Repacketizer::new().unwrap().combine(&packets, &mut joined).unwrap();
            let parsed = Frames::parse(&joined[..length]).unwrap();
            assert_eq!((parsed.frames.len(), parsed.samples), (count, 480));
            let found = packet::parse(&joined[..length]).unwrap();
            assert_eq!(found.frames, parsed.frames.to_vec());
        }
    }
    // Padding, by another packet's length.
    let one = &tone(960, 64_000)[7];
    for extra in [1, 2, 200, 253, 254, 255, 256, 600] {
        let mut padded = one.clone();
        padded.resize(one.len() + extra, 0);
        packet::pad(&mut padded, one.len()).unwrap();
        assert_eq!(Frames::parse(&padded).unwrap().frames.to_vec(), [&one[1..]], "{extra}");
    }
}

#[test]
fn two_packets_in_one_are_two_voices() {
    let (left, right) = (tone(960, 24_000), tone(480, 64_000));
    let mut both = MSDecoder::new(48_000, 2, 0, &[0, 1]).unwrap();
    let mut alone = [Decoder::new(48_000, Channels::Mono).unwrap(), Decoder::new(48_000, Channels::Mono).unwrap()];
    for (left, right) in left.iter().zip(right.chunks_exact(2)) {
        let halves: Vec<Frames<'_>> = right.iter().map(|half| Frames::parse(half).unwrap()).collect();
        let first = Frames::parse(left).unwrap();
        let second = [halves[0].frames[0], halves[1].frames[0]];
        let sample = packet_of_two((first.kind, &first.frames), (halves[0].kind, &second));
        let mut heard = [0; 1_920];
        assert_eq!(both.decode(&sample, &mut heard, false).unwrap(), 960);
        let mut mono = [0; 960];
        alone[0].decode(left, &mut mono, false).unwrap();
        assert!(heard.chunks_exact(2).map(|pair| pair[0]).eq(mono));
        for (half, expected) in right.iter().zip(heard.chunks_exact(960)) {
            let decoded = alone[1].decode(half, &mut mono, false).unwrap();
            assert!(expected.chunks_exact(2).map(|pair| pair[1]).eq(mono[..decoded].iter().copied()));
        }
    }
}

#[test]
fn silence_is_what_says_so() {
    for silent in
        [&[0xf8, 0xff, 0xfe][..], &[0xf8, 0xff, 0xff, 0, 0], &[0x08, 0], &[0x08], &[0xf9, 0xff, 0xfe, 0xff, 0xfe]]
    {
        assert!(Frames::parse(silent).unwrap().is_silent(), "{silent:?}");
    }
    for heard in [&[0xf8, 0xff, 0xfd][..], &[0x08, 0xff, 0xfe], &[0xf9, 0xff, 0xfe, 1, 2]] {
        assert!(!Frames::parse(heard).unwrap().is_silent(), "{heard:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_refused_as_libopus_does(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let found = Frames::parse(&bytes);
        let expected = packet::parse(&bytes).ok();
        prop_assert_eq!(expected.map(|packet| packet.frames), found.as_ref().map(|found| found.frames.to_vec()));
        if let Some(found) = found {
            let again = packet_of(&found);
            let again = Frames::parse(&again).map(|again| (again.kind, again.samples, again.frames.to_vec()));
            prop_assert_eq!(again, Some((found.kind, found.samples, found.frames.to_vec())));
        }
    }
}
