//! When somebody speaks, as packets say it, against what decoding finds.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::ops::Range;

use echosphere_media::activity::{self, Echo};
use echosphere_media::loudness;
use echosphere_media::render::{ChannelMap, source_range, track_range};
use echosphere_media::tracks::{Channel, PlacedPacket, Track};
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
    activity::detect(&own, activity::Settings::default()).spans
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
    /// A session, with both in one stream.
    fn add(&mut self, ogg: &[u8]) {
        let stereo = sound::decode(ogg, "ogg").0;
        let decoded: Vec<u8> = activity::levels(&stereo).collect();
        let (levels, said, windows) = of_packets(ogg, &decoded[..decoded.len() / 4 * 4]);
        (self.said, self.windows) = (self.said + said, self.windows + windows);
        self.compare(&decoded, &levels);
    }

    /// The same people in a room, each with a track of their own: mono, as a browser encodes it at a bit rate.
    fn add_room(&mut self, ogg: &[u8], bitrate: i32, frame: usize) {
        let stereo = sound::decode(ogg, "ogg").0;
        let [left, right] = [0, 1].map(|channel| track(&stereo, channel, bitrate, frame));
        let mut decoded = vec![0; left.1.len() * 2];
        for (channel, (_, levels)) in [&left, &right].into_iter().enumerate() {
            decoded.iter_mut().skip(channel).step_by(2).zip(levels).for_each(|(level, own)| *level = *own);
        }
        let frames = decoded.len() as u64 / 4;
        let mut levels = Vec::new();
        for first in (0..frames).step_by(WINDOW as usize) {
            let window = first..(first + WINDOW).min(frames);
            let needed = track_range(&window);
            let tracks = [&left.0, &right.0].map(|track| {
                let mut part = track.clone();
                part.packets.retain(|packet| {
                    packet.start + i64::from(packet.samples) > needed.start && packet.start < needed.end
                });
                part
            });
            self.windows += 1;
            let (mut measured, unsure) = loudness::of_tracks(&tracks, &window);
            let heard = &decoded[first as usize * 4..window.end as usize * 4];
            for track in &unsure {
                let channel = track.stream as usize;
                let own = measured.levels.iter_mut().zip(heard).skip(channel).step_by(2);
                own.for_each(|(level, heard)| *level = *heard);
            }
            levels.extend(measured.levels);
            self.said += usize::from(unsure.is_empty());
        }
        self.compare(&decoded[..frames as usize * 4], &levels);
    }

    fn compare(&mut self, decoded: &[u8], levels: &[u8]) {
        for channel in [0, 1] {
            let (expected, found) = (spans(decoded, channel), spans(levels, channel));
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

/// A channel of some stereo as a track of a room, and the levels of what is decoded of it.
fn track(stereo: &[i16], channel: usize, bitrate: i32, frame: usize) -> (Track, Vec<u8>) {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    encoder.set_bitrate(opus::Bitrate::Bits(bitrate)).unwrap();
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let own: Vec<i16> = stereo.iter().skip(channel).step_by(2).copied().collect();
    let (mut packets, mut decoded) = (Vec::new(), Vec::new());
    for (number, pcm) in own.chunks_exact(frame).enumerate() {
        let data = encoder.encode_vec(pcm, 1_275).unwrap();
        let mut heard = vec![0; frame];
        decoder.decode(&data, &mut heard, false).unwrap();
        decoded.extend(heard);
        packets.push(PlacedPacket {
            start: (number * frame) as i64,
            samples: frame as u32,
            after_loss: false,
            data: data.into(),
        });
    }
    let levels = decoded.chunks_exact(activity::STEP).map(|half| activity::level_of(half.iter().copied()));
    let channel = [Channel::Left, Channel::Right][channel];
    (Track { stream: channel as u32, channel, packets }, levels.collect())
}

#[test]
fn onsets_in_rooms_are_where_decoding_finds_them() {
    let ways =
        [("order", 12_000, 960), ("node-order", 24_000, 960), ("reservation", 32_000, 480), ("order", 48_000, 960)];
    for (name, bitrate, frame) in ways {
        let mut compared = Compared::default();
        compared.add_room(&Session::load(name).ogg(), bitrate, frame);
        assert!(compared.said * 10 >= compared.windows * 8, "{name}: {} of {}", compared.said, compared.windows);
        compared.check(&format!("{name} at {bitrate} bit/s, {} ms", frame / 48));
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
        let (mut session, mut room) = (Compared::default(), Compared::default());
        for call in &calls {
            let ogg = upload::ogg(&quality.of(call));
            session.add(&ogg);
            room.add_room(&ogg, 32_000, 960);
        }
        session.check(&quality.name());
        room.check(&format!("{} in a room", quality.name()));
    }
}
