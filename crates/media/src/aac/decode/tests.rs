//! Tests of `aac::decode`.

use super::*;
use crate::aac::adts::{Piece, pieces};
use crate::aac::{AacEncoder, FdkAac};
use proptest::prelude::*;

const FRAMES: usize = 100;

/// Two seconds in which every instant differs: a tone that rises on the left, one that falls on the right.
fn sound() -> Vec<i16> {
    let sample = |n: usize| {
        let t = n as f64 / f64::from(crate::SAMPLE_RATE);
        let tone = |phase: f64| ((std::f64::consts::TAU * phase).sin() * 9000.0) as i16;
        [tone(200.0 * t + 300.0 * t * t), tone(2000.0 * t - 250.0 * t * t)]
    };
    (0..FRAMES * FRAME).flat_map(sample).collect()
}

fn encoded(sound: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder = FdkAac::new().unwrap();
    let encode = |samples: &[i16]| {
        let mut frame = Vec::new();
        encoder.encode(samples, &mut frame).unwrap();
        frame
    };
    sound.chunks(2 * FRAME).map(encode).collect()
}

fn decoded(frames: &[Vec<u8>]) -> Vec<i16> {
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    for frame in frames {
        assert_eq!(decoder.decode(frame, &mut out), Ok(Pcm { sample_rate: 48_000, channels: 2 }));
    }
    decoder.finish(&mut out).unwrap();
    out
}

/// The correlation of one channel of two sounds.
fn correlation(one: &[i16], other: &[i16], channel: usize) -> f64 {
    let pairs = || {
        let of = |sound: &[i16]| -> Vec<f64> { sound.iter().skip(channel).step_by(2).map(|s| f64::from(*s)).collect() };
        of(one).into_iter().zip(of(other))
    };
    let sum = |f: fn((f64, f64)) -> f64| pairs().map(f).sum::<f64>();
    sum(|(a, b)| a * b) / (sum(|(a, _)| a * a) * sum(|(_, b)| b * b)).sqrt()
}

#[test]
fn what_was_encoded_comes_out_where_it_was_after_the_encoders_delay() {
    let source = sound();
    let heard = decoded(&encoded(&source));
    assert_eq!(heard.len(), source.len());
    let delay = 2 * FdkAac::DELAY_FRAMES * FRAME;
    for channel in [0, 1] {
        // The first frame fades in.
        let source = &source[2 * FRAME..2 * 10 * FRAME];
        let at = |shift: isize| {
            let begin = (delay + 2 * FRAME).strict_add_signed(shift * 2);
            correlation(&heard[begin..begin + source.len()], source, channel)
        };
        assert!(at(0) > 0.999, "channel {channel}: {}", at(0));
        assert!((-1000..1000).all(|shift| shift == 0 || at(shift) < at(0)), "channel {channel}");
    }
    // Its end is there too.
    for back in (200..3000).step_by(200) {
        let begin = heard.len() - 2 * back;
        let heard = &heard[begin..begin + 400];
        assert!(correlation(heard, &source[begin - delay..][..400], 0) > 0.999, "{back} samples before the end");
    }
}

#[test]
fn a_frame_that_cannot_be_decoded_is_silence_and_what_comes_after_it_keeps_its_place() {
    let source = sound();
    let frames = encoded(&source);
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    let mut failed = 0;
    for (number, frame) in frames.iter().enumerate() {
        let mut frame = frame.clone();
        if number == 40 {
            frame[7..].fill(0xa5);
        }
        failed += usize::from(decoder.decode(&frame, &mut out).is_err());
    }
    decoder.finish(&mut out).unwrap();
    assert_eq!((failed, out.len()), (1, source.len()));
    let whole = decoded(&frames);
    assert!(out[2 * 41 * FRAME - 1000..2 * 41 * FRAME - 800].iter().all(|sample| *sample == 0));
    let after = 2 * 43 * FRAME;
    assert!(correlation(&out[after..], &whole[after..], 0) > 0.9999);
}

#[test]
fn what_is_not_one_frame_is_refused_and_leaves_no_trace() {
    let frames = encoded(&sound()[..2 * 10 * FRAME]);
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    for bad in [&[][..], &frames[0][..frames[0].len() - 1], &frames[..2].concat(), &[0xff; 100]] {
        assert!(decoder.decode(bad, &mut out).is_err());
    }
    assert!(out.is_empty());
    for frame in &frames {
        decoder.decode(frame, &mut out).unwrap();
    }
    decoder.finish(&mut out).unwrap();
    assert_eq!(out, decoded(&frames));
}

#[test]
fn livekits_sound_is_heard_on_its_sides_when_it_was_spoken() {
    let segments: [&[u8]; 2] = [
        include_bytes!("../../../../../testdata/egress/stopped/segment_00000.ts"),
        include_bytes!("../../../../../testdata/egress/stopped/segment_00001.ts"),
    ];
    let (mut decoder, mut out) = (Decoder::new(), Vec::new());
    for segment in segments {
        for piece in pieces(&crate::ts::read::adts(segment).unwrap()) {
            let Piece::Frame { bytes, .. } = piece else { panic!("{piece:?}") };
            assert_eq!(decoder.decode(bytes, &mut out), Ok(Pcm { sample_rate: 44_100, channels: 2 }));
        }
    }
    decoder.finish(&mut out).unwrap();
    assert_eq!(out.len(), 2 * 2 * 172 * FRAME);
    // The playlist begins at 13:25:58.042. The agent, on the left, spoke from 58.808 to 63.386, the caller from 64.186 on; espeak waits
    // for up to 0.3 s before it speaks.
    let is_heard = |channel: usize, from: f64, to: f64| {
        let range = 2 * (from * 44_100.0) as usize..2 * (to * 44_100.0) as usize;
        out[range].iter().skip(channel).step_by(2).any(|sample| sample.unsigned_abs() > 300)
    };
    assert!(!is_heard(0, 0.0, 0.76) && is_heard(0, 0.76, 1.1), "the agent begins");
    assert!(is_heard(0, 5.0, 5.3) && !is_heard(0, 5.4, 7.9), "the agent ends");
    assert!(!is_heard(1, 0.0, 6.14) && is_heard(1, 6.14, 6.5), "the caller begins");
}

#[test]
fn a_decoder_that_had_nothing_has_nothing_left() {
    let mut out = Vec::new();
    Decoder::new().finish(&mut out).unwrap();
    assert!(out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_makes_it_panic(damage in prop::collection::vec((0_usize..10_000, any::<u8>()), 1..30)) {
        let mut stream = encoded(&sound()[..2 * 8 * FRAME]).concat();
        for (at, byte) in damage {
            let length = stream.len();
            stream[at % length] = byte;
        }
        let (mut decoder, mut out) = (Decoder::new(), Vec::new());
        for piece in pieces(&stream) {
            if let Piece::Frame { bytes, .. } = piece {
                let _ = decoder.decode(bytes, &mut out);
            }
        }
        let _ = decoder.finish(&mut out);
        prop_assert!(out.len() <= stream.len() * 2048);
    }
}
