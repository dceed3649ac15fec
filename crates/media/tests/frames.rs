//! Which sound lies in which frame, seen through an encoder that keeps its samples as they are.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;

use echosphere_media::aac::{AacEncoder, Error, FRAME};
use echosphere_media::ogg::OpusIndex;
use echosphere_media::render::{ChannelMap, Renderer};
use echosphere_testkit::session::{Session, index};
use echosphere_testkit::sound;

/// Its frames are their samples, three frames late.
struct Plain([Vec<i16>; 3]);

impl AacEncoder for Plain {
    const DELAY_FRAMES: usize = 3;

    fn new() -> Result<Self, Error> {
        Ok(Self(Default::default()))
    }

    fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<usize, Error> {
        out.extend(self.0[0].iter().flat_map(|sample| sample.to_le_bytes()));
        let length = 2 * self.0[0].len();
        self.0.rotate_left(1);
        self.0[2] = samples.to_vec();
        Ok(length)
    }
}

/// The samples that are rendered for some frames, interleaved.
fn render(ogg: &[u8], index: &OpusIndex, map: ChannelMap, frames: Range<u64>) -> Vec<i16> {
    let bytes = Renderer::<Plain>::source_range(index, &frames);
    let bytes = &ogg[bytes.start as usize..bytes.end as usize];
    let window = Renderer::<Plain>::default().render(index, bytes, map, frames.clone()).unwrap();
    assert_eq!(window.lengths.len() as u64, frames.end - frames.start);
    assert!(window.lengths.iter().all(|&length| length as usize == 4 * FRAME));
    assert_eq!(window.bad_packets, 0);
    window.aac.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// The energy of the difference against that of the sound, in dB.
fn error(a: &[i16], b: &[i16]) -> f64 {
    assert_eq!(a.len(), b.len());
    let error: f64 = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    let sound: f64 = b.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    10.0 * (error / sound).log10()
}

/// The loudest difference of any sample, of full scale.
fn difference(a: &[i16], b: &[i16]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max) / 32_768.0
}

#[test]
fn every_frame_holds_its_own_sound_whatever_window_it_is_made_in() {
    for session in ["order", "node-order", "reservation"] {
        let ogg = Session::load(session).ogg();
        let (index, mut source) = (index(&ogg), sound::decode(&ogg, "ogg").0);
        assert_eq!(source.len() as u64, 2 * index.total_samples(), "{session}: as long as ffmpeg finds it");
        let frames = index.total_samples().div_ceil(FRAME as u64);
        source.resize(2 * FRAME * frames as usize, 0);
        let whole = render(&ogg, &index, ChannelMap::Keep, 0..frames);
        let of_ffmpeg = error(&whole, &source);
        // ffmpeg's own decoder is not libopus: -53 dB and less was measured. A shift by one sample gives -16 dB.
        assert!(of_ffmpeg < -45.0, "{session}: {of_ffmpeg:.1} dB from ffmpeg's decoder");
        let mut joined = Vec::new();
        for start in (0..frames).step_by(47) {
            joined.extend(render(&ogg, &index, ChannelMap::Keep, start..frames.min(start + 47)));
        }
        let of_windows = difference(&whole, &joined);
        println!("{session}: {of_ffmpeg:.1} dB from ffmpeg's decoder, {of_windows:.4} between windows and one pass");
        assert!(of_windows < 0.02, "{session}: {of_windows} between windows and one pass");
    }
}

#[test]
fn channels_are_swapped_on_request_only() {
    let ogg = Session::load("reservation").ogg();
    let index = index(&ogg);
    let kept = render(&ogg, &index, ChannelMap::Keep, 200..300);
    let swapped = render(&ogg, &index, ChannelMap::Swap, 200..300);
    let back: Vec<i16> = swapped.chunks_exact(2).flat_map(|pair| [pair[1], pair[0]]).collect();
    assert!(kept == back && kept != swapped);
}

#[test]
fn a_lost_page_is_silence_and_nothing_moves() {
    let ogg = Session::load("order").ogg();
    let pages: Vec<usize> = (0..ogg.len() - 4).filter(|&at| ogg[at..].starts_with(b"OggS\0")).collect();
    // Two headers come first; pages last a second: this is the second from 5 s on, less the pre-skip.
    let (from, to) = (pages[2 + 5], pages[2 + 6]);
    let holed = [&ogg[..from], &ogg[to..]].concat();
    let (before, after) = (index(&ogg), index(&holed));
    assert_eq!(before.total_samples(), after.total_samples());
    let [gap] = after.gaps() else { panic!("{:?}", after.gaps()) };
    assert_eq!((gap.start, gap.samples, gap.damaged), (5 * 48_000 - 312, 48_000, true));
    let frames = 0..before.total_samples().div_ceil(FRAME as u64);
    let whole = render(&ogg, &before, ChannelMap::Keep, frames.clone());
    let rest = render(&holed, &after, ChannelMap::Keep, frames);
    let hole = 2 * gap.start as usize..2 * (gap.start + gap.samples) as usize;
    assert!(whole[hole.clone()].iter().any(|&sample| sample != 0));
    assert!(rest[hole.clone()].iter().all(|&sample| sample == 0));
    assert_eq!(whole[..hole.start], rest[..hole.start]);
    // The decoder begins anew after the hole, and has converged after its 80 ms.
    let converged = hole.end + 2 * 3_840;
    assert!(difference(&whole[converged..], &rest[converged..]) < 0.02);
}
