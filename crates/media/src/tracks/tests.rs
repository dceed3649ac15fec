//! Tests of `tracks`.

use super::*;
use proptest::prelude::*;

/// Twenty milliseconds of a tone for each packet.
fn tone(packets: i64) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(SAMPLE_RATE, Channels::Mono, opus::Application::Audio).unwrap();
    let sample = |n: i64| (8_000.0 * (n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin()) as i16;
    (0..packets)
        .map(|packet| {
            let pcm: Vec<i16> = (0..960).map(|n| sample(packet * 960 + n)).collect();
            encoder.encode_vec(&pcm, 1_500).unwrap()
        })
        .collect()
}

fn track(channel: Channel, placed: impl IntoIterator<Item = (i64, bool, Vec<u8>)>) -> Track {
    let packets = placed.into_iter().map(|(start, after_loss, data)| PlacedPacket {
        start,
        samples: 960,
        after_loss,
        data: data.into(),
    });
    Track { stream: 0, channel, packets: packets.collect() }
}

fn loudness(out: &[i16], channel: usize, range: Range<usize>) -> f64 {
    let sum: f64 = range.clone().map(|n| f64::from(out[2 * n + channel]).powi(2)).sum();
    (sum / range.len() as f64).sqrt()
}

#[test]
fn each_on_its_side_and_a_mix_on_both() {
    let packets = tone(10);
    let placed = |at: i64| packets.iter().enumerate().map(move |(n, data)| (at + n as i64 * 960, false, data.clone()));
    let mut out = Vec::new();
    let tracks = [track(Channel::Left, placed(0)), track(Channel::Right, placed(9_600))];
    assert_eq!(Mixer::default().mix(&tracks, &[], 0..19_200, &mut out).unwrap(), 0);
    assert!(loudness(&out, 0, 2_000..9_000) > 4_000.0 && loudness(&out, 1, 2_000..9_000) < 1.0);
    assert!(loudness(&out, 1, 12_000..18_000) > 4_000.0 && loudness(&out, 0, 12_000..18_000) < 1.0);
    let mix = [track(Channel::Both, placed(0))];
    Mixer::default().mix(&mix, &[], 0..9_600, &mut out).unwrap();
    assert!(out.as_chunks::<2>().0.iter().all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_lost_packet_is_concealed_and_an_unsent_one_is_silent() {
    let packets = tone(10);
    let without = |lost: bool| {
        let kept = packets.iter().enumerate().filter(|(n, _)| *n != 5);
        track(Channel::Left, kept.map(|(n, data)| (n as i64 * 960, lost && n == 6, data.clone())))
    };
    let mut out = Vec::new();
    Mixer::default().mix(&[without(true)], &[], 0..9_600, &mut out).unwrap();
    assert!(loudness(&out, 0, 4_800..5_760) > 2_000.0);
    Mixer::default().mix(&[without(false)], &[], 0..9_600, &mut out).unwrap();
    assert!(loudness(&out, 0, 4_900..5_760) < 1.0);
}

#[test]
fn a_patch_is_heard_on_its_side_and_the_same_in_whichever_window() {
    let whole = Patch { channel: Channel::Right, stretch: 1_000..5_000, start: 1_000, samples: vec![1_000; 4_000] };
    let mut all = Vec::new();
    Mixer::default().mix(&[], std::slice::from_ref(&whole), 0..6_000, &mut all).unwrap();
    let right: Vec<i16> = all.as_chunks::<2>().0.iter().map(|pair| pair[1]).collect();
    assert!(all.as_chunks::<2>().0.iter().all(|pair| pair[0] == 0));
    assert!(right[..1_000].iter().chain(&right[5_000..]).all(|&sample| sample == 0));
    assert!(right[1_240..4_760].iter().all(|&sample| sample == 1_000) && right[1_000] < 10 && right[4_999] < 10);
    // A later window gets only what it needs of it.
    let part = Patch { start: 3_000, samples: vec![1_000; 2_000], ..whole };
    let mut later = Vec::new();
    Mixer::default().mix(&[], &[part], 3_000..6_000, &mut later).unwrap();
    assert_eq!(later, all[6_000..]);
}

proptest! {
    #[test]
    fn packets_anywhere_never_panic(
        placed in prop::collection::vec((-20_000_i64..20_000, any::<bool>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        start in -10_000_i64..10_000,
    ) {
        let mut out = Vec::new();
        Mixer::default().mix(&[track(Channel::Both, placed)], &[], start..start + 5_000, &mut out).unwrap();
        prop_assert_eq!(out.len(), 10_000);
    }
}
