//! Puts the packets of a track on the grid, where they are heard.
//!
//! Clocks drift, so that a track moves by some milliseconds now and then (`docs/capture-log.md`), and thereby from one place of the grid to
//! the next: a packet is left out there, or silence put in. That is done where it is heard least.

use std::ops::Range;

use super::SLOT;
use crate::loudness::Loudness;
use crate::opus_frames::Frames;
use crate::tracks::{PlacedPacket, Track};

/// For so long after a track has moved the quietest place is looked for, in samples (2 s).
const SEARCHED: i64 = 96_000;

/// Puts the packets of a track where they are heard in a stretch: frames of up to 20 ms at the nearest place of a grid of their own length,
/// longer ones, which are whole places long, at the nearest place. A track that has moved to another place goes there at the quietest packet of the stretch within 2 s;
/// until then it is heard as before.
///
/// Whatever is done with the packets, it is done after this, so that what is put together and what is rendered join without a step.
/// Stretches that touch agree about every packet.
pub fn on_grid(mut track: Track, stretch: &Range<i64>) -> Track {
    let spoken: Vec<Spoken> = track.packets.iter().map(Spoken::of).collect();
    let runs = spoken.chunk_by(|one, next| one.frame == next.frame && one.end == next.start);
    let mut first = 0_usize;
    for run in runs {
        let packets = first.saturating_sub(1)..first + run.len();
        let before = &spoken[packets.start..first];
        let by = before.first().map_or(0, |before| run[0].moved_since(before));
        let held = held(run, by, stretch, &track.packets[packets]);
        for (number, (packet, spoken)) in track.packets[first..].iter_mut().zip(run).enumerate() {
            packet.start = spoken.place(if number < held { by } else { 0 });
        }
        first += run.len();
    }
    track
}

/// Where a packet was spoken.
struct Spoken {
    start: i64,
    end: i64,
    /// The length of its frames, or of a place of the grid, whichever is shorter; `None` when they cannot be read.
    frame: Option<i64>,
}

impl Spoken {
    fn of(packet: &PlacedPacket) -> Self {
        let frame = Frames::parse(&packet.data).map(|frames| i64::from(frames.samples).min(SLOT));
        Self { start: packet.start, end: packet.start + i64::from(packet.samples), frame }
    }

    /// Its place, if it had been spoken so many samples earlier.
    fn place(&self, by: i64) -> i64 {
        let at = self.start - by;
        self.frame.map_or(at, |frame| (at + frame / 2).div_euclid(frame) * frame)
    }

    /// By how much the track has moved since the packet before, in samples; 0 where sound is missing between them, or heard twice.
    fn moved_since(&self, before: &Self) -> i64 {
        let by = self.start - before.end;
        let is_same = self.frame == before.frame && by.abs() < self.frame.unwrap_or(0) / 2;
        if is_same { by } else { 0 }
    }
}

/// How many packets of a run are heard where they would be if the track had not moved. `packets` are the last one before the run and those
/// of the run.
fn held(run: &[Spoken], by: i64, stretch: &Range<i64>, packets: &[PlacedPacket]) -> usize {
    let begin = run[0].place(by);
    if begin == run[0].place(0) || begin < stretch.start {
        return 0;
    }
    if begin >= stretch.end {
        return run.len();
    }
    let end = stretch.end.min(begin + SEARCHED);
    let count = run.iter().take_while(|spoken| spoken.place(by) < end).count();
    let mut loudness = Loudness::default();
    let loud: Vec<(u8, usize)> = packets.iter().take(count + 1).map(|packet| loud(&mut loudness, packet)).collect();
    // What is heard least is the quietest pair of packets; of equally loud ones the pair with the fewest bytes, then the first.
    let pair = |at: &usize| (loud[*at].0.max(loud[*at + 1].0), loud[*at].1 + loud[*at + 1].1);
    (0..count).min_by_key(pair).unwrap_or(0)
}

/// How loud a packet is, and how many bytes it has.
fn loud(loudness: &mut Loudness, packet: &PlacedPacket) -> (u8, usize) {
    let mut frames = Vec::new();
    loudness.push(&packet.data, &mut frames);
    let level = frames.iter().flat_map(|frame| frame.levels).max().unwrap_or(0);
    (level, packet.data.len())
}

#[cfg(test)]
mod tests;
