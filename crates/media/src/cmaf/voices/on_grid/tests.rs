//! Tests of where tracks go that move while somebody speaks.

use opus::{Application, Bitrate, Channels, Encoder};
use proptest::prelude::*;

use super::*;
use crate::cmaf::{put_together, voices_stretch};
use crate::opus_frames::append_packet;
use crate::tracks::Channel;

const LENGTH: i64 = 192_000;

/// Whether the sound of these tests is loud at a sample: words of 0.6 s with 0.1 s between them.
fn is_spoken(at: i64) -> bool {
    at % 33_600 < 28_800
}

/// A track of words, in packets of 20 ms, which moves by so many samples from each of these times on.
fn track(first: i64, moves: &[(i64, i64)]) -> Track {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::LowDelay).unwrap();
    encoder.set_bitrate(Bitrate::Bits(64_000)).unwrap();
    let packets = (0..LENGTH / SLOT).map(|number| {
        let at = number * SLOT;
        let tone = |at: i64| (if is_spoken(at) { (at as f64 * 0.05).sin() * 9_000.0 } else { 0.0 }) as i16;
        let pcm: Vec<i16> = (at..at + SLOT).map(tone).collect();
        let moved: i64 = moves.iter().filter(|(from, _)| *from <= at).map(|(_, by)| by).sum();
        PlacedPacket {
            start: first + at + moved,
            samples: SLOT as u32,
            after_loss: false,
            data: encoder.encode_vec(&pcm, 1_275).unwrap().into(),
        }
    });
    Track { stream: 1, channel: Channel::Left, packets: packets.collect() }
}

/// The places at which a track goes from one grid to another: after which packet, and by how many samples.
fn crossings(track: &Track) -> Vec<(usize, i64)> {
    let pairs = track.packets.windows(2).enumerate();
    let by = pairs.map(|(number, pair)| (number, pair[1].start - pair[0].start - SLOT));
    by.filter(|(_, by)| *by != 0).collect()
}

#[test]
fn a_track_that_moves_within_a_word_goes_to_its_new_place_between_words() {
    // Each is moved across the middle between two places, in the middle of a word.
    for (first, by) in [(400, 240), (500, -240), (-600, 240), (-400, -240)] {
        let moved = on_grid(track(first, &[(48_000, by)]), &(0..LENGTH));
        let crossings = crossings(&moved);
        assert_eq!(crossings.len(), 1, "{first} {by}: {crossings:?}");
        let (number, step) = crossings[0];
        assert_eq!(step, by.signum() * SLOT);
        // The packet before the step, and the one after it, which is left out if the track moved back.
        for at in [number, number + 1] {
            let spoken = at as i64 * SLOT;
            assert!(!is_spoken(spoken + SLOT / 2), "{first} {by}: {spoken}");
        }
        assert!((48_000..48_000 + SEARCHED).contains(&(number as i64 * SLOT)), "{number}");
    }
}

#[test]
fn a_track_that_stays_at_its_place_is_left_alone() {
    let moved = on_grid(track(100, &[(48_000, 240), (96_000, -300)]), &(0..LENGTH));
    assert_eq!(crossings(&moved), []);
}

#[test]
fn a_track_that_stood_still_lies_where_it_was_spoken_at_once() {
    let moved = on_grid(track(100, &[(48_000, 2_000)]), &(0..LENGTH));
    assert_eq!(crossings(&moved), [(49, 1_920)]);
}

/// As libopus begins a stream of packets of 60 ms: with a few of three frames.
#[test]
fn a_track_whose_frames_become_longer_stays_where_it_is() {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).unwrap();
    encoder.set_bitrate(Bitrate::Bits(12_000)).unwrap();
    let silk = encoder.encode_vec(&[0; 2_880], 1_275).unwrap();
    assert_eq!(Frames::parse(&silk).unwrap().samples, 2_880);
    let mut celt = Vec::new();
    append_packet(&mut celt, 0xf8, &[&[1, 2, 3][..]; 3]);
    for first in [-470, 300, 479] {
        let packets = (0..12).map(|number| PlacedPacket {
            start: first + number * 2_880,
            samples: 2_880,
            after_loss: false,
            data: if number < 4 { celt.clone() } else { silk.clone() }.into(),
        });
        let track = Track { stream: 1, channel: Channel::Left, packets: packets.collect() };
        let moved = on_grid(track, &(0..LENGTH));
        let places: Vec<i64> = moved.packets.iter().map(|packet| packet.start).collect();
        assert_eq!(places, (0..12).map(|number| number * 2_880).collect::<Vec<i64>>(), "{first}");
    }
}

proptest! {
    #[test]
    fn stretches_that_touch_agree(
        first in -480_i64..480,
        moves in prop::collection::vec((0_i64..LENGTH, -470_i64..470), 0..5),
        window in 20_000_i64..80_000,
    ) {
        let track = track(first, &moves);
        let moved: i64 = moves.iter().map(|(_, by)| by.abs()).sum();
        let mut samples = Vec::new();
        for start in (0..LENGTH).step_by(window as usize) {
            let stretch = voices_stretch(&(start..(start + window).min(LENGTH)), LENGTH);
            // As a recording has them: no more than is needed.
            let mut near = track.clone();
            near.packets.retain(|packet| packet.start < stretch.end + 1_920 && packet.start + 960 > stretch.start - 7_680);
            let placed = on_grid(near.clone(), &stretch);
            for (placed, spoken) in placed.packets.iter().zip(&near.packets) {
                prop_assert!((placed.start - spoken.start).abs() <= SLOT / 2 + moved);
            }
            samples.extend(put_together(&[placed], &stretch).unwrap().samples);
        }
        // Every packet is heard once, but for those that two of them lie at the same place of.
        let sent: Vec<&[u8]> = track.packets.iter().map(|packet| &*packet.data).collect();
        let is_heard = |data: &&&[u8]| samples.iter().any(|sample| ends_with(&sample.data, data));
        let heard = sent.iter().filter(is_heard).count();
        prop_assert!(heard + moves.len() + 2 >= sent.len(), "{heard} of {}", sent.len());
    }
}

/// Whether a packet of two voices has this packet's frame on its left.
fn ends_with(packet: &[u8], frame: &[u8]) -> bool {
    packet.windows(frame.len() - 1).any(|bytes| bytes == &frame[1..])
}
