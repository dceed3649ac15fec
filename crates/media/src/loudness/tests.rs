//! Tests of loudness against what libopus decodes.

use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};
use proptest::prelude::*;

use super::*;
use crate::activity::level;
use crate::render::{Renderer, Window};
use crate::tracks::{Channel, PlacedPacket, Track};

/// Two voices of noise and tones, whose loudness goes up and down; each is silent for a while.
fn sound(samples: usize) -> Vec<i16> {
    let mut state = 1_u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 16) / 32_768.0 - 1.0
    };
    let mut filtered = [0.0; 2];
    let mut out = Vec::with_capacity(2 * samples);
    for at in 0..samples {
        let time = at as f64 / 48_000.0;
        for (side, filtered) in filtered.iter_mut().enumerate() {
            *filtered = 0.9 * *filtered + 0.1 * noise();
            let loudness = [(time * 2.1).sin(), (time * 3.3 + 1.0).sin()][side].max(0.0).powi(2);
            let tone = (time * [1_300.0, 2_100.0][side]).sin() + 0.4 * (time * [5_100.0, 7_900.0][side]).sin();
            out.push((loudness * (9_000.0 * tone + 20_000.0 * *filtered)) as i16);
        }
    }
    out
}

/// Levels as measured and as decoded.
fn compared(application: Application, channels: Channels, frame: usize, bitrate: i32) -> Vec<(u8, u8)> {
    let mut encoder = Encoder::new(48_000, channels, application).unwrap();
    encoder.set_bitrate(Bitrate::Bits(bitrate)).unwrap();
    encoder.set_signal(Signal::Voice).unwrap();
    let mut decoder = Decoder::new(48_000, Channels::Stereo).unwrap();
    let count = if channels == Channels::Mono { 1 } else { 2 };
    let stereo = sound(96_000);
    let pcm: Vec<i16> = if count == 1 { stereo.iter().step_by(2).copied().collect() } else { stereo };
    let (mut loudness, mut levels, mut pairs) = (Loudness::default(), Vec::new(), Vec::new());
    for block in pcm.chunks_exact(frame * count) {
        let packet = encoder.encode_vec(block, 1_500).unwrap();
        levels.clear();
        loudness.push(&packet, &mut levels);
        let mut heard = vec![0; 2 * frame];
        assert_eq!(decoder.decode(&packet, &mut heard, false).unwrap(), frame);
        assert!(levels.iter().all(|level| level.is_measured));
        assert_eq!(levels.iter().map(|level| level.samples as usize).sum::<usize>(), frame);
        let mut rest = heard.as_slice();
        for measured in &levels {
            let (own, after) = rest.split_at(2 * measured.samples as usize);
            pairs.extend([0, 1].map(|side| (measured.levels[side], level(own, side))));
            rest = after;
        }
    }
    pairs
}

/// How far measured levels are from those of what is decoded, where something is heard: on average, and 95 % of them beside that (dB).
fn off(pairs: &[(u8, u8)]) -> (f64, f64) {
    let heard = pairs.iter().filter(|(_, decoded)| *decoded > 55);
    let heard: Vec<f64> = heard.map(|(measured, decoded)| f64::from(*measured) - f64::from(*decoded)).collect();
    let mean = heard.iter().sum::<f64>() / heard.len() as f64;
    let mut apart: Vec<f64> = heard.iter().map(|difference| (difference - mean).abs()).collect();
    apart.sort_by(f64::total_cmp);
    (mean, apart[apart.len() * 95 / 100])
}

#[test]
fn levels_are_those_of_what_is_decoded() {
    for channels in [Channels::Mono, Channels::Stereo] {
        for (frame, bitrate) in
            [(960, 32_000), (960, 64_000), (960, 128_000), (480, 64_000), (240, 96_000), (120, 128_000)]
        {
            let pairs = compared(Application::LowDelay, channels, frame, bitrate);
            let (mean, most) = off(&pairs);
            println!("{channels:?} {frame} {bitrate}: {mean:.1} dB, 95 % within {most:.1}");
            assert!(mean.abs() < 5.0, "{channels:?} {frame} {bitrate}: {mean}");
            assert!(most < 7.0, "{channels:?} {frame} {bitrate}: {most}");
            // What is quiet is not taken for speech.
            assert!(pairs.iter().all(|(measured, decoded)| *decoded > 30 || *measured < 50));
        }
    }
}

/// Tones are more resonant than voices: what is measured of voices is nearer (tests/loudness.rs).
#[test]
fn gains_of_silk_are_levels() {
    for (frame, bitrate) in [(480, 24_000), (960, 12_000), (960, 16_000), (960, 24_000), (960, 32_000), (960, 48_000)] {
        let pairs = compared(Application::Voip, Channels::Mono, frame, bitrate);
        let (mean, most) = off(&pairs);
        println!("{frame} {bitrate}: {mean:.1} dB, 95 % within {most:.1}");
        assert!(mean.abs() < 9.0 && most < 25.0, "{frame} {bitrate}: {mean} {most}");
        assert!(pairs.iter().filter(|(_, decoded)| *decoded < 5).all(|(measured, _)| *measured < 50));
    }
}

#[test]
fn what_was_not_sent_and_what_is_silent_has_no_level() {
    for packet in [&[0xf8][..], &[0xf8, 0xff, 0xfe], &[0x78, 0], &[0xfb, 0x81, 0xff, 0xfe]] {
        let mut levels = Vec::new();
        Loudness::default().push(packet, &mut levels);
        assert!(levels.iter().all(|level| level.levels == [0; 2]), "{packet:?} {levels:?}");
    }
}

#[test]
fn a_frame_with_silk_whose_gains_come_late_says_whether_somebody_speaks() {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).unwrap();
    encoder.set_bitrate(Bitrate::Bits(32_000)).unwrap();
    encoder.set_signal(Signal::Voice).unwrap();
    // What was said before is sent again.
    encoder.set_inband_fec(true).unwrap();
    encoder.set_packet_loss_perc(30).unwrap();
    let voice = |at: usize| ((at as f64 * 0.03).sin() * (1.0 + (at as f64 * 0.000_9).sin()) * 7_000.0) as i16;
    let (mut loudness, mut levels) = (Loudness::default(), Vec::new());
    for block in 0..100 {
        let is_spoken = (30..70).contains(&block);
        let pcm: Vec<i16> = (0..960).map(|at| if is_spoken { voice(block * 960 + at) } else { 0 }).collect();
        let mut own = Vec::new();
        loudness.push(&encoder.encode_vec(&pcm, 1_500).unwrap(), &mut own);
        levels.push(own);
    }
    assert!(levels[32..68].iter().filter(|own| !own[0].is_measured).count() > 30, "{levels:?}");
    let speaks = |range: std::ops::Range<usize>| levels[range].iter().filter(|own| own[0].levels[0] > 50).count();
    assert!(speaks(32..68) > 30, "{levels:?}");
    assert!(speaks(80..100) == 0, "{levels:?}");
}

/// A voice that speaks every other second, over noise this loud (of 32,768), as a track.
fn track(noise: i32) -> Track {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::LowDelay).unwrap();
    let mut state = 7_u32;
    let mut sample = |at: i64| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let hiss = ((state >> 16) as i32 - 32_768) * noise / 32_768;
        let voice = if at / 48_000 % 2 == 0 { (at as f64 * 0.05).sin() * 6_000.0 } else { 0.0 };
        (voice as i32 + hiss) as i16
    };
    let packets = (0..250).map(|number| {
        let start = number * 960;
        let pcm: Vec<i16> = (start..start + 960).map(&mut sample).collect();
        PlacedPacket { start, samples: 960, after_loss: false, data: encoder.encode_vec(&pcm, 1_275).unwrap().into() }
    });
    Track { stream: 3, channel: Channel::Right, packets: packets.collect() }
}

#[test]
fn a_window_of_tracks_is_measured_and_one_that_noise_fills_is_not() {
    let quiet = [track(0)];
    let (window, unsure) = of_tracks(&quiet, &(0..188));
    assert!(unsure.is_empty());
    assert_eq!((window.levels.len(), window.tracks.len(), window.tracks[0].stream), (2 * 376, 1, 3));
    assert!(window.levels.iter().step_by(2).all(|level| *level == 0), "nobody is on the left");
    let heard = &window.tracks[0].levels;
    assert!(
        heard[10..85].iter().all(|level| *level > 60) && heard[105..180].iter().all(|level| *level < 40),
        "{heard:?}"
    );
    let both = [track(0), Track { stream: 4, ..track(2_000) }];
    let (window, unsure) = of_tracks(&both, &(0..188));
    assert_eq!((window.tracks.len(), unsure.len(), unsure[0].stream), (1, 1, 4));
    assert_eq!(of_tracks(&[], &(0..188)).0.levels, vec![0; 752]);
    // Only the noisy one is decoded.
    let mut renderer: Renderer = Renderer::new();
    let measured = renderer.levels_of_tracks(&both, &[], 0..188).unwrap();
    let decoded = renderer.measure_tracks(&both, &[], 0..188).unwrap();
    let of = |window: &Window, stream| window.tracks.iter().find(|track| track.stream == stream).unwrap().clone();
    assert_eq!((of(&measured, 4), of(&measured, 3)), (of(&decoded, 4), of(&window, 3)));
    let both = of(&measured, 3).levels.into_iter().zip(of(&measured, 4).levels).map(|(one, other)| one.max(other));
    assert!(measured.levels.iter().skip(1).step_by(2).copied().eq(both) && measured.peaks.is_empty());
}

proptest! {
    #[test]
    fn any_bytes_have_levels_of_their_length(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..20),
    ) {
        let (mut loudness, mut levels) = (Loudness::default(), Vec::new());
        for packet in &packets {
            levels.clear();
            loudness.push(packet, &mut levels);
            if let Some(frames) = Frames::parse(packet) {
                let samples = levels.iter().map(|level| level.samples).sum::<u32>();
                prop_assert_eq!(samples, frames.samples * frames.frames.len() as u32);
                prop_assert!(levels.iter().all(|level| level.levels[0] <= 100));
            }
        }
    }
}
