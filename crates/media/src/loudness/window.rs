//! Measures windows from their packets: what [`crate::render::Renderer::measure`] finds by decoding them, but for the peaks.

use std::ops::Range;

use super::levels::Levels;
use super::{FrameLevel, Loudness};
use crate::aac::FRAME;
use crate::activity::STEP;
use crate::grid::samples;
use crate::ogg::OpusIndex;
use crate::render::{ChannelMap, Window, heard_range, track_range};
use crate::tracks::{Track, TrackLevels};

/// From this level on what a channel always has is noise that may hide speech: packets say too little about it then.
const NOISE: u8 = 45;
/// A channel has noise where no more than so many of a hundred half frames are quieter.
const QUIET: usize = 5;

/// A click stands out of what is this many half frames before and after it (43 ms), by so many decibels. A packet says that it is loud, and not for
/// how short a time: clicks that follow one another are taken for a voice.
const CLICK: usize = 4;
const STANDS_OUT: u8 = 15;
/// So many clicks in a window are a keyboard's; words have some, too.
const CLICKS: usize = 5;
/// Where each level is that of no more than its own half frame, clicks are found as short as they are; only many of them do harm.
const FINE_CLICKS: usize = 10;

/// The packets of one stream in a window.
#[derive(Default)]
struct Stream {
    loudness: Loudness,
    levels: Levels,
    end: Option<i64>,
    frames: Vec<FrameLevel>,
}

impl Stream {
    /// Takes the next packet; `first` is the first sample of the window.
    fn push(&mut self, start: i64, samples: u32, packet: &[u8], first: i64) {
        if self.end.is_some_and(|end| start > end) {
            self.loudness.reset();
        }
        self.end = Some(start + i64::from(samples));
        self.frames.clear();
        self.loudness.push(packet, &mut self.frames);
        self.levels.put(start - first, &self.frames);
    }

    /// The levels of a window of so many half frames; `None` when packets do not say enough.
    fn finish(self, halves: usize) -> Option<Vec<u8>> {
        if self.levels.is_unsure() {
            return None;
        }
        let most = if self.levels.is_coarse() { CLICKS } else { FINE_CLICKS };
        let levels = self.levels.into_levels(halves);
        let is_noisy = |channel: usize| {
            let quiet = levels.iter().skip(channel).step_by(2).filter(|level| **level < NOISE).count();
            quiet * 100 <= QUIET * halves
        };
        let is_clear = |channel: usize| !is_noisy(channel) && clicks(levels.iter().skip(channel).step_by(2)) < most;
        (is_clear(0) && is_clear(1)).then_some(levels)
    }
}

/// How many clicks there are in the levels of a channel.
fn clicks<'l>(levels: impl Iterator<Item = &'l u8>) -> usize {
    let levels: Vec<u8> = levels.copied().collect();
    let (mut count, mut at) = (0, 0);
    while at + 2 * CLICK < levels.len() {
        let [before, click, after] = [0, CLICK, 2 * CLICK].map(|step| levels[at + step]);
        let is_click = click >= NOISE && before.max(after).saturating_add(STANDS_OUT) <= click;
        count += usize::from(is_click);
        at += if is_click { CLICK } else { 1 };
    }
    count
}

/// Measures a window of a file from the bytes that [`crate::render::source_range`] names. `None` when packets do not say enough of it: it has to
/// be decoded.
pub fn of_file(index: &OpusIndex, bytes: &[u8], map: ChannelMap, frames: &Range<u64>) -> Option<Window> {
    let first = samples(frames).start;
    let mut stream = Stream::default();
    index.for_each_packet(heard_range(frames), bytes, |_, start, samples, packet| {
        stream.push(start, samples, packet, first);
    });
    let mut levels = stream.finish(halves(frames))?;
    if map == ChannelMap::Swap {
        levels.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.swap(0, 1));
    }
    Some(Window { levels, ..Window::default() })
}

/// Measures a window of several tracks from those of their packets that are heard in [`crate::render::track_range`]. Also returns the tracks of which packets do not
/// say enough, and which are not measured therefore: they have to be decoded.
pub fn of_tracks<'t>(tracks: &'t [Track], frames: &Range<u64>) -> (Window, Vec<&'t Track>) {
    let (first, halves, range) = (samples(frames).start, halves(frames), track_range(frames));
    let (mut window, mut unsure) = (Window { levels: vec![0; 2 * halves], ..Window::default() }, Vec::new());
    for track in tracks {
        let mut stream = Stream::default();
        for packet in track.heard_in(&range) {
            stream.push(packet.start, packet.samples, &packet.data, first);
        }
        if stream.end.is_none() {
            continue;
        }
        let Some(levels) = stream.finish(halves) else {
            unsure.push(track);
            continue;
        };
        let levels: Vec<u8> = levels.into_iter().step_by(2).collect();
        for (side, _) in track.channel.sides().into_iter().enumerate().filter(|(_, is_heard)| *is_heard) {
            for (level, new) in window.levels.iter_mut().skip(side).step_by(2).zip(&levels) {
                *level = (*level).max(*new);
            }
        }
        window.tracks.push(TrackLevels { stream: track.stream, levels });
    }
    (window, unsure)
}

fn halves(frames: &Range<u64>) -> usize {
    (frames.end - frames.start) as usize * (FRAME / STEP)
}
