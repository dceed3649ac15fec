//! When somebody speaks, as packets say it, against what decoding finds.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;

use echosphere_media::activity::{self, Echo};
use echosphere_media::loudness;
use echosphere_media::render::{ChannelMap, source_range};
use echosphere_testkit::calls::quality::Quality;
use echosphere_testkit::calls::{plan, upload};
use echosphere_testkit::session::{Session, index};
use echosphere_testkit::sound;

/// Frames in a window (4 s).
const WINDOW: u64 = 188;

/// The levels of an Ogg file, window by window: what its packets say, or what decoding finds in windows of which they say too little. And how
/// many windows they said enough of, and how many there are.
fn of_packets(ogg: &[u8], decoded: &[u8]) -> (Vec<u8>, usize, usize) {
    let index = index(ogg);
    let frames = decoded.len() as u64 / 4;
    let (mut levels, mut said, mut windows) = (Vec::new(), 0, 0);
    for first in (0..frames).step_by(WINDOW as usize) {
        let window = first..(first + WINDOW).min(frames);
        let range = source_range(&index, &window);
        let bytes = &ogg[range.start as usize..range.end as usize];
        let found = &decoded[first as usize * 4..window.end as usize * 4];
        windows += 1;
        match loudness::of_file(&index, bytes, ChannelMap::Keep, &window) {
            Some(measured) => {
                assert_eq!(measured.levels.len(), found.len());
                levels.extend(measured.levels);
                said += 1;
            }
            None => levels.extend(found),
        }
    }
    (levels, said, windows)
}

/// When somebody speaks in a channel: as alignment has it, without the agent's echo in the caller's, which is the first one in sessions.
fn spans(levels: &[u8], channel: usize) -> Vec<Range<u64>> {
    let of = |channel: usize| -> Vec<u8> { levels.iter().skip(channel).step_by(2).copied().collect() };
    let (mut own, other) = (of(channel), of(1 - channel));
    if let Some(echo) = Echo::find(&own, &other).filter(|_| channel == 0) {
        echo.remove(&mut own, &other);
    }
    activity::detect(&own, activity::Settings::default())
}

/// How far the nearest of these is (ms).
fn nearest(at: u64, all: impl Iterator<Item = u64>) -> f64 {
    all.map(|other| other.abs_diff(at) as f64 / 48.0).fold(f64::INFINITY, f64::min)
}

/// How far onsets by packets are from those by decoding, in order (ms), and how long somebody speaks by both (s), on both channels; and how many
/// windows packets said enough of, of how many.
#[derive(Default)]
struct Compared {
    off: Vec<f64>,
    talk: [f64; 2],
    said: usize,
    windows: usize,
}

impl Compared {
    fn add(&mut self, ogg: &[u8]) {
        let stereo = sound::decode(ogg, "ogg").0;
        let decoded: Vec<u8> = activity::levels(&stereo).collect();
        let (levels, said, windows) = of_packets(ogg, &decoded[..decoded.len() / 4 * 4]);
        (self.said, self.windows) = (self.said + said, self.windows + windows);
        for channel in [0, 1] {
            let (expected, found) = (spans(&decoded, channel), spans(&levels, channel));
            self.off.extend(expected.iter().map(|span| nearest(span.start, found.iter().map(|other| other.start))));
            self.off.extend(found.iter().map(|span| nearest(span.start, expected.iter().map(|other| other.start))));
            for (talk, spans) in self.talk.iter_mut().zip([&expected, &found]) {
                *talk += spans.iter().map(|span| span.end - span.start).sum::<u64>() as f64 / 48_000.0;
            }
        }
        self.off.sort_by(f64::total_cmp);
    }

    /// Prints and checks it: 95 % of onsets within 50 ms, talk times within a tenth.
    fn check(&self, name: &str) {
        let Self { off, talk: [expected, found], said, windows } = self;
        let p95 = off[(off.len() * 95 / 100).min(off.len() - 1)];
        println!(
            "{name}: {} onsets, off {p95:.0} ms (95 %), {:.0} ms at most; {expected:.1} and {found:.1} s; {said} of {windows} windows by packets",
            off.len(),
            off.last().unwrap(),
        );
        assert!(p95 <= 50.0, "{name}: {off:?}");
        assert!((expected - found).abs() < 0.1 * expected, "{name}");
    }
}

#[test]
fn onsets_are_where_decoding_finds_them() {
    for name in ["order", "node-order", "reservation"] {
        let mut compared = Compared::default();
        compared.add(&Session::load(name).ogg());
        assert!(compared.said * 10 >= compared.windows * 9, "{name}: {} of {}", compared.said, compared.windows);
        compared.check(name);
    }
}

/// Sound as it comes from where it is loud.
#[test]
fn onsets_in_bad_sound_are_where_decoding_finds_them() {
    let calls = [plan::SHORT, plan::FAINT].map(plan::call);
    let qualities = [
        Quality::Clean,
        Quality::WhiteNoise(10.0),
        Quality::PinkNoise(10.0),
        Quality::Music(-6.0),
        Quality::Echo(-20.0),
        Quality::Laughter,
        Quality::Coughs,
        Quality::Keyboard,
    ];
    for quality in qualities {
        let mut compared = Compared::default();
        for call in &calls {
            compared.add(&upload::ogg(&quality.of(call)));
        }
        compared.check(&quality.name());
    }
}
