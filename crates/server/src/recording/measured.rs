//! What was measured of a room while it goes on: the waveform so far, and when each track spoke. Both grow with every segment that
//! is rendered, by a bounded number of bytes for each second.

use std::collections::BTreeMap;
use std::ops::Range;

use echosphere_media::aac::FRAME;
use echosphere_media::activity::{self, SILENCE, STEP};
use echosphere_media::peaks::{self, Waveform};
use echosphere_media::render::Window;

/// Half frames in a frame.
const HALVES: usize = FRAME / STEP;
/// Frames in one peak (171 ms): an hour has 84 KB of them.
const FRAMES: usize = 8;
/// Levels that are kept of a track at least (90 s): what counts as speech depends on what is heard around it.
const KEPT: usize = 8_440;
/// So many more (5 min) come before the oldest are given up: to judge all of them costs as much however few are new.
const BETWEEN: usize = 28_125;
/// Speech that ends this many levels before the newest (30 s) is not judged anew once levels are given up.
const SETTLED: usize = 2_813;

/// What was measured of a room so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// How many windows were taken.
    windows: u32,
    frames: u64,
    /// Peaks of the last frames, which do not make a whole one yet.
    rest: Vec<i8>,
    peaks: Vec<i8>,
    /// Windows whose peaks are missing, in order.
    undrawn: Vec<u32>,
    tracks: BTreeMap<u32, Track>,
}

/// When a track spoke.
#[derive(Debug, Clone, Default)]
struct Track {
    /// The half frame of the first level.
    first: usize,
    levels: Vec<u8>,
    /// Stretches of speech that are not judged anew, in samples, in order.
    settled: Vec<Range<u64>>,
}

impl Measured {
    /// Takes the next window, which has this number and `frames` frames; peaks that it lacks are taken as silence until they are drawn.
    pub fn push(&mut self, number: u32, window: &Window, frames: u64) {
        if window.peaks.is_empty() && !window.tracks.is_empty() {
            self.undrawn.push(number);
        }
        let before = self.frames as usize * HALVES;
        self.frames += frames;
        self.windows += 1;
        self.rest.extend_from_slice(&window.peaks);
        let missing = (frames as usize).saturating_sub(window.peaks.len() / peaks::BYTES_PER_FRAME);
        self.rest.resize(self.rest.len() + missing * peaks::BYTES_PER_FRAME, 0);
        let whole = self.rest.len() / (FRAMES * peaks::BYTES_PER_FRAME) * FRAMES * peaks::BYTES_PER_FRAME;
        let frames: Vec<i8> = self.rest.drain(..whole).collect();
        self.peaks.extend(peaks::joined(&frames, FRAMES));
        for measured in &window.tracks {
            let track =
                self.tracks.entry(measured.stream).or_insert_with(|| Track { first: before, ..Track::default() });
            track.push(before, &measured.levels);
        }
    }

    /// The newest window whose peaks are missing.
    pub fn undrawn(&self) -> Option<u32> {
        self.undrawn.last().copied()
    }

    /// Puts the peaks of a window in their place; `first` is its first frame.
    pub fn draw(&mut self, number: u32, first: u64, peaks: &[i8]) {
        const BYTES: usize = peaks::BYTES_PER_FRAME;
        self.undrawn.retain(|undrawn| *undrawn != number);
        let joined = self.peaks.len() / BYTES * FRAMES;
        for (frame, new) in (first as usize..).zip(peaks.chunks_exact(BYTES)) {
            let place = if frame < joined {
                self.peaks.get_mut(frame / FRAMES * BYTES..)
            } else {
                self.rest.get_mut((frame - joined) * BYTES..)
            };
            for (value, (known, new)) in place.unwrap_or_default().iter_mut().zip(new).enumerate() {
                *known = if value % 2 == 0 { (*known).min(*new) } else { (*known).max(*new) };
            }
        }
    }

    /// How many windows were taken: what was found in fewer of them is out of date.
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// The sample up to which is measured.
    pub fn until(&self) -> u64 {
        self.frames * FRAME as u64
    }

    /// The waveform so far.
    pub fn waveform(&self, pixels: usize) -> Waveform {
        Waveform::of_peaks(&self.peaks, FRAMES, pixels)
    }

    /// When each stream spoke, in samples.
    pub fn spoken(&self) -> impl Iterator<Item = (u32, Vec<Range<u64>>)> + '_ {
        self.tracks.iter().map(|(stream, track)| (*stream, [&track.settled[..], &track.recent()].concat()))
    }

    /// Puts what an earlier process heard before this.
    pub fn after(&mut self, mut earlier: Self) {
        let later = std::mem::take(self);
        // A whole number of peaks, so that those after it keep their time to within one.
        earlier.peaks.resize(earlier.frames as usize / FRAMES * peaks::BYTES_PER_FRAME, 0);
        earlier.peaks.extend_from_slice(&later.peaks[earlier.peaks.len().min(later.peaks.len())..]);
        (earlier.frames, earlier.windows, earlier.rest) = (later.frames, later.windows + 1, later.rest);
        earlier.undrawn.extend(later.undrawn);
        for (stream, track) in later.tracks {
            let known = earlier.tracks.remove(&stream).unwrap_or_default();
            let recent = known.recent();
            let settled = [known.settled, recent, track.settled].concat();
            earlier.tracks.insert(stream, Track { settled, ..track });
        }
        *self = earlier;
    }

    /// Leaves space for the frames that an earlier process rendered, until they are measured.
    pub fn begin_at(frames: u64) -> Self {
        let peaks = vec![0; frames as usize / FRAMES * peaks::BYTES_PER_FRAME];
        let rest = vec![0; frames as usize % FRAMES * peaks::BYTES_PER_FRAME];
        Self { frames, rest, peaks, ..Self::default() }
    }
}

impl Track {
    /// Takes the levels of the half frames from `at` on.
    fn push(&mut self, at: usize, levels: &[u8]) {
        self.levels.resize(at.saturating_sub(self.first), SILENCE);
        self.levels.extend_from_slice(levels);
        if self.levels.len() < KEPT + BETWEEN {
            return;
        }
        let end = ((self.first + self.levels.len() - SETTLED) * STEP) as u64;
        self.settled.extend(self.recent().into_iter().take_while(|span| span.end <= end));
        let gone = self.levels.len() - KEPT;
        self.levels.drain(..gone);
        self.first += gone;
    }

    /// The stretches of speech after the settled ones, in samples, in order.
    fn recent(&self) -> Vec<Range<u64>> {
        let from = (self.first * STEP) as u64;
        let spans = activity::detect(&self.levels, activity::Settings::default()).spans;
        let spans = spans.into_iter().map(|span| span.start + from..span.end + from);
        // What begins within the settled stretches was found better then.
        let known = self.settled.last().map_or(0, |last| last.end);
        spans.filter(|span| span.start >= known).collect()
    }
}

#[cfg(test)]
mod tests;
