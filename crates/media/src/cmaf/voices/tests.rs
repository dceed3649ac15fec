//! Tests of putting tracks together, on sound that is encoded here.

use opus::{Application, Bitrate, Channels, Encoder, MSDecoder};
use proptest::prelude::*;

use super::*;
use crate::render::{Renderer, voices_range};
use crate::tracks::{Channel, Patch, PlacedPacket};

/// A sound that is like itself at no other time within a second: `pitch` is its lowest tone, in radians a sample.
fn sound(pitch: f64, samples: Range<i64>) -> Vec<i16> {
    let tones = [1.0, 1.381, 1.717, 2.239, 2.887, 3.529];
    let at = |at: i64| tones.iter().map(|tone| (at as f64 * pitch * tone).sin()).sum::<f64>() * 2_500.0;
    samples.map(|sample| at(sample) as i16).collect()
}

/// A track of this sound, in packets of `length` samples, the first of which begins at `first`.
fn track(stream: u32, channel: Channel, pitch: f64, length: i64, first: i64, end: i64) -> Track {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::LowDelay).unwrap();
    encoder.set_bitrate(Bitrate::Bits(96_000)).unwrap();
    let starts = (first..end).step_by(length as usize);
    let packets = starts.map(|start| PlacedPacket {
        start,
        samples: length as u32,
        after_loss: false,
        // What is decoded is 120 samples later than what was encoded.
        data: encoder.encode_vec(&sound(pitch, start + 120..start + 120 + length), 1_275).unwrap().into(),
    });
    Track { stream, channel, packets: packets.collect() }
}

fn decode(cut: &Cut) -> Vec<[i16; 2]> {
    let mut decoder = MSDecoder::new(48_000, 2, 0, &[0, 1]).unwrap();
    let mut heard = Vec::new();
    for sample in &cut.samples {
        let mut pcm = [0; 2 * 960];
        let decoded = decoder.decode(&sample.data, &mut pcm, false).unwrap();
        let kept = decoded.min(sample.duration as usize);
        heard.extend_from_slice(&pcm.as_chunks::<2>().0[..kept]);
    }
    heard
}

/// The shift, in samples, at which what is heard from a moment on is most like the sound with this pitch.
fn shift(heard: &[i16], pitch: f64, from: i64) -> i64 {
    nearest(heard, &sound(pitch, from + SKIPPED - FARTHEST..from + SKIPPED + COMPARED + FARTHEST))
}

/// Compared samples, those before them, and the most that they may be moved.
const COMPARED: i64 = 9_600;
const SKIPPED: i64 = 4_800;
const FARTHEST: i64 = 900;

/// The shift at which what is heard is most like `expected`, which begins [`FARTHEST`] before it.
fn nearest(heard: &[i16], expected: &[i16]) -> i64 {
    let heard = &heard[SKIPPED as usize..][..COMPARED as usize];
    let error = |by: i64| -> i64 {
        let expected = &expected[(FARTHEST + by) as usize..];
        heard.iter().zip(expected).step_by(7).map(|(a, b)| (i64::from(*a) - i64::from(*b)).pow(2)).sum()
    };
    let best = (-FARTHEST..FARTHEST).min_by_key(|by| error(*by)).unwrap();
    // Codecs keep no sample where it was, but all of them together.
    if best.abs() <= 1 { 0 } else { best }
}

fn sides(heard: &[[i16; 2]]) -> [Vec<i16>; 2] {
    [0, 1].map(|side| heard.iter().map(|pair| pair[side]).collect())
}

const LOW: f64 = 0.021;
const HIGH: f64 = 0.033;
/// A stretch that has everything.
const ALL: Range<i64> = 0..480_000;

#[test]
fn each_voice_is_on_its_side_within_ten_milliseconds_of_where_it_was_spoken() {
    for (length, first) in [(960, 0), (960, 300), (960, -470), (480, 100), (480, 730), (240, 90), (120, 55)] {
        let left = on_grid(track(1, Channel::Left, LOW, length, first, 60_000), &ALL);
        let right = on_grid(track(2, Channel::Right, HIGH, 960, 0, 60_000), &ALL);
        let cut = put_together(&[left, right], &(0..48_000)).unwrap();
        let heard = decode(&cut);
        assert_eq!(heard.len(), 48_000 + 312);
        let [left, right] = sides(&heard[312..]);
        let moved = shift(&left, LOW, 0);
        assert!(moved.abs() <= length / 2 + 2, "{length} {first}: {moved}");
        assert_eq!(shift(&right, HIGH, 0), 0, "{length} {first}");
    }
}

#[test]
fn stretches_that_touch_have_touching_packets_and_the_last_is_cut_off() {
    let end = 100_700;
    let tracks = [track(1, Channel::Left, LOW, 480, 5_000, end), track(2, Channel::Right, HIGH, 960, 77, end)];
    let tracks = tracks.map(|track| on_grid(track, &ALL));
    let whole = put_together(&tracks, &voices_stretch(&(0..end), end)).unwrap();
    assert_eq!((whole.start, whole.duration()), (-312, 312 + end as u64));
    let (mut at, mut all) = (-312, Vec::new());
    for start in (0..end).step_by(10_240) {
        let stretch = voices_stretch(&(start..(start + 10_240).min(end)), end);
        let part = put_together(&tracks, &stretch).unwrap();
        assert_eq!(part.start, at);
        at += part.duration() as i64;
        all.extend(part.samples);
    }
    assert_eq!(all, whole.samples);
}

#[test]
fn what_is_muted_or_lost_is_silent_and_nothing_else_moves() {
    let mut left = track(1, Channel::Left, LOW, 960, 0, 60_000);
    left.packets.retain(|packet| !(20_000..30_000).contains(&packet.start));
    let right = track(2, Channel::Right, HIGH, 480, 0, 60_000);
    let tracks = [left, right].map(|track| on_grid(track, &ALL));
    let cut = put_together(&tracks, &(0..48_000)).unwrap();
    let [left, right] = sides(&decode(&cut)[312..]);
    assert!(left[21_600..29_700].iter().all(|sample| *sample == 0));
    let before = shift(&left[..20_000], LOW, 0);
    let after = shift(&left[30_240..], LOW, 30_240);
    assert_eq!((before, after, shift(&right, HIGH, 0)), (0, 0, 0));
}

#[test]
fn half_a_slot_of_celt_is_silent_and_half_a_slot_of_silk_is_rendered() {
    let mut left = track(1, Channel::Left, LOW, 480, 0, 20_000);
    left.packets.remove(5);
    let cut = put_together(&[left.clone()], &(0..9_600)).unwrap();
    assert_eq!(decode(&cut).len(), 9_600 + 312);
    for packet in &mut left.packets {
        // SILK wideband, 10 ms.
        packet.data = vec![0x40, 1, 2, 3].into();
    }
    assert_eq!(put_together(&[left], &(0..9_600)), None);
}

#[test]
fn two_voices_on_one_side_are_rendered_unless_one_is_silent() {
    let agent = track(1, Channel::Left, LOW, 960, 0, 60_000);
    let first = track(2, Channel::Right, HIGH, 960, 0, 30_000);
    let second = track(3, Channel::Right, LOW, 960, 28_000, 60_000);
    let mut tracks = [agent, first, second].map(|track| on_grid(track, &ALL));
    assert!(put_together(&tracks, &(0..27_840)).is_some());
    assert_eq!(put_together(&tracks, &(0..28_800)), None);
    assert!(put_together(&tracks, &(30_720..48_000)).is_some());
    for packet in &mut tracks[2].packets {
        packet.data = vec![0xf8, 0xff, 0xfe, 0, 0].into();
    }
    let cut = put_together(&tracks, &(0..48_000)).unwrap();
    let [_, right] = sides(&decode(&cut)[312..]);
    assert_eq!(shift(&right, HIGH, 0), 0);
}

#[test]
fn frames_of_more_than_a_slot_are_rendered_where_they_are_heard() {
    let mut left = track(1, Channel::Left, LOW, 960, 0, 48_000);
    // 60 ms of SILK wideband.
    left.packets[10].data = vec![0x58, 1, 2, 3, 4, 5].into();
    left.packets[10].samples = 2_880;
    let left = on_grid(left, &ALL);
    assert!(put_together(std::slice::from_ref(&left), &(0..9_600)).is_some());
    assert_eq!(put_together(std::slice::from_ref(&left), &(9_600..19_200)), None);
    assert_eq!(put_together(std::slice::from_ref(&left), &(11_520..19_200)), None);
    assert!(put_together(&[left], &(12_480..19_200)).is_some());
}

/// The largest step from one sample to the next.
fn step(pcm: &[i16]) -> i32 {
    pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

#[test]
fn what_is_rendered_joins_what_is_put_together() {
    let tracks = [track(1, Channel::Left, LOW, 960, 200, 120_000), track(2, Channel::Right, HIGH, 480, 0, 120_000)];
    let tracks = tracks.map(|track| on_grid(track, &ALL));
    let stretches = [0..28_800, 28_800..57_600, 57_600..96_000];
    let mut renderer: Renderer = Renderer::new();
    let parts = stretches.clone().map(|stretch| match stretch.start {
        28_800 => {
            let needed = voices_range(&stretch);
            let near = tracks.clone().map(|mut track| {
                track.packets.retain(|packet| packet.start < needed.end && packet.start + 960 > needed.start);
                track
            });
            renderer.render_voices(&near, &[], &stretch).unwrap()
        }
        _ => put_together(&tracks, &stretch).unwrap(),
    });
    let untouched = decode(&put_together(&tracks, &(0..96_000)).unwrap());
    let samples = parts.into_iter().flat_map(|part| part.samples).collect();
    let heard = decode(&Cut { start: -312, samples });
    assert_eq!(heard.len(), untouched.len());
    for side in [0, 1] {
        let (heard, untouched) = (&sides(&heard)[side], &sides(&untouched)[side]);
        // Nothing is moved by it, and no seam is steeper than the sound itself.
        let expected = &untouched[(30_000 + SKIPPED - FARTHEST) as usize..];
        assert_eq!(nearest(&heard[30_000..], expected), 0);
        for seam in [28_800 + 312, 57_600 + 312] {
            let around = seam - 960..seam + 1_920;
            assert!(step(&heard[around.clone()]) <= step(untouched) * 11 / 10, "{side} {seam}");
            let error: i64 = around.clone().map(|at| (i64::from(heard[at]) - i64::from(untouched[at])).pow(2)).sum();
            let energy: i64 = around.map(|at| i64::from(untouched[at]).pow(2)).sum();
            assert!(error * 100 < energy, "{side} {seam}: {error} of {energy}");
        }
    }
}

#[test]
fn what_fills_a_side_is_rendered_with_it() {
    let stretch = 9_600..28_800;
    let right = [on_grid(track(2, Channel::Right, HIGH, 960, 0, 60_000), &ALL)];
    let patch = Patch { channel: Channel::Left, stretch: 0..60_000, start: 0, samples: sound(LOW, 0..60_000) };
    let cut = Renderer::new().render_voices(&right, &[patch], &stretch).unwrap();
    let [left, right] = sides(&decode(&cut));
    assert_eq!(shift(&left, LOW, 9_600), 0);
    assert_eq!(shift(&right, HIGH, 9_600), 0);
}

proptest! {
    #[test]
    fn any_packets_yield_the_stretch_or_nothing(
        packets in prop::collection::vec(
            (0_u32..3, -3_000_i64..20_000, prop::collection::vec(any::<u8>(), 0..40)), 0..60,
        ),
        start in 0_i64..8, slots in 1_i64..12, short in 0_i64..960,
    ) {
        let mut tracks = [Channel::Left, Channel::Right, Channel::Both]
            .map(|channel| Track { stream: channel as u32, channel, packets: Vec::new() });
        for (track, start, data) in packets {
            let samples = crate::ogg::packet_duration(&data).unwrap_or(960);
            tracks[track as usize].packets.push(PlacedPacket { start, samples, after_loss: false, data: data.into() });
        }
        let stretch = start * SLOT..(start + slots) * SLOT - short;
        let tracks = tracks.map(|track| on_grid(track, &stretch));
        if let Some(cut) = put_together(&tracks, &stretch) {
            let hidden = if start == 0 { 312 } else { 0 };
            prop_assert_eq!(cut.duration() as i64, stretch.end - stretch.start + hidden);
            prop_assert_eq!(cut.start, stretch.start - hidden);
            let mut decoder = MSDecoder::new(48_000, 2, 0, &[0, 1]).unwrap();
            for sample in &cut.samples {
                let mut pcm = [0; 2 * 960];
                prop_assert!(decoder.decode(&sample.data, &mut pcm, false).is_ok());
            }
        }
    }
}
