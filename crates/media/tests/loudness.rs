//! When somebody speaks, as packets say it, against what decoding finds.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;

use echosphere_media::activity;
use echosphere_media::loudness;
use echosphere_media::render::{ChannelMap, source_range};
use echosphere_testkit::session::{Session, index};
use echosphere_testkit::sound;

/// Frames in a window (4 s).
const WINDOW: u64 = 188;

/// The levels that the packets of an Ogg file say, window by window, and in how many of these they say enough; the others are silent.
fn of_packets(ogg: &[u8], frames: u64) -> (Vec<u8>, u64, u64) {
    let index = index(ogg);
    let (mut levels, mut said, mut windows) = (Vec::new(), 0, 0);
    for first in (0..frames).step_by(WINDOW as usize) {
        let window = first..(first + WINDOW).min(frames);
        let range = source_range(&index, &window);
        let bytes = &ogg[range.start as usize..range.end as usize];
        let halves = (window.end - window.start) as usize * 2;
        windows += 1;
        match loudness::of_file(&index, bytes, ChannelMap::Keep, &window) {
            Some(measured) => {
                assert_eq!(measured.levels.len(), 2 * halves);
                levels.extend(measured.levels);
                said += 1;
            }
            None => levels.resize(levels.len() + 2 * halves, 0),
        }
    }
    (levels, said, windows)
}

fn spans(levels: &[u8], channel: usize) -> Vec<Range<u64>> {
    let levels: Vec<u8> = levels.iter().skip(channel).step_by(2).copied().collect();
    activity::detect(&levels, activity::Settings::default())
}

/// How far the nearest of these is (ms).
fn nearest(at: u64, all: impl Iterator<Item = u64>) -> f64 {
    all.map(|other| other.abs_diff(at) as f64 / 48.0).fold(f64::INFINITY, f64::min)
}

#[test]
fn onsets_are_where_decoding_finds_them() {
    for name in ["order", "node-order", "reservation"] {
        let ogg = Session::load(name).ogg();
        let stereo = sound::decode(&ogg, "ogg").0;
        let decoded: Vec<u8> = activity::levels(&stereo).collect();
        let (said, enough, windows) = of_packets(&ogg, decoded.len() as u64 / 4);
        assert!(said.len().abs_diff(decoded.len()) < 4);
        assert!(enough * 10 >= windows * 9, "{name}: {enough} of {windows} windows");
        for channel in [0, 1] {
            let (expected, found) = (spans(&decoded, channel), spans(&said, channel));
            let mut off: Vec<f64> =
                expected.iter().map(|span| nearest(span.start, found.iter().map(|other| other.start))).collect();
            off.sort_by(f64::total_cmp);
            let p95 = off[(off.len() * 95 / 100).min(off.len() - 1)];
            let talk =
                |spans: &[Range<u64>]| spans.iter().map(|span| span.end - span.start).sum::<u64>() as f64 / 48_000.0;
            println!(
                "{name} {channel}: {} and {} spans, onsets off {p95:.0} ms (95 %), {:.0} ms at most; {:.2} and {:.2} s; {enough} of {windows} windows",
                expected.len(),
                found.len(),
                off.last().unwrap(),
                talk(&expected),
                talk(&found),
            );
            assert!(p95 <= 50.0, "{name} {channel}: {off:?}");
            assert!((talk(&expected) - talk(&found)).abs() < 0.1 * talk(&expected), "{name} {channel}");
        }
    }
}
