//! What a stream of AAC in ADTS has in it.

use super::pes::{Stream, Unit};
use super::problem::{Kind, Problems};
use super::timing::{Timing, difference};
use crate::aac::adts::{self, Format, Header, Piece};

/// How far the PTS of a frame may be from where the samples before it end, in ticks of 90 kHz: 5 ms. That is much more than any rounding,
/// and less than half of the shortest frame, of which none can be missing unnoticed.
pub const TOLERANCE: u64 = 450;

/// A stream of AAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audio {
    /// When it begins, and how long it is by its samples, and by its timestamps where they jump.
    pub timing: Timing,
    /// What its first frame says.
    pub format: Format,
    /// Its whole frames.
    pub frames: u64,
    /// The samples in them, per channel: exactly its length, unless it jumps.
    pub samples: u64,
    /// How often its PTS are not where the samples before them end.
    pub jumps: u64,
}

/// Reads a stream; `None` when no whole frame of it has a time. What comes before the first time does not count.
pub fn read(stream: &Stream<'_>, problems: &mut Problems) -> Option<Audio> {
    let mut units = Units { all: &stream.units, next: 0, packet: 0 };
    let mut audio: Option<Counter> = None;
    for piece in adts::pieces(&stream.bytes) {
        match piece {
            Piece::Frame { at, header, .. } => {
                let pts = units.begun_at(at);
                match (&mut audio, pts) {
                    (Some(counter), _) => counter.add(header, pts, units.packet, problems),
                    (None, Some(pts)) => audio = Some(Counter::new(header, pts)),
                    (None, None) => {}
                }
            }
            Piece::Lost { at, length } => {
                units.begun_at(at);
                problems.add(units.packet, Kind::BytesBetweenFrames(length));
            }
            Piece::Cut { at } => {
                units.begun_at(at);
                problems.add(units.packet, Kind::FrameCut);
            }
        }
    }
    audio.map(Counter::finish)
}

/// The PES packets, as one goes through their bytes.
struct Units<'a> {
    all: &'a [Unit],
    next: usize,
    /// The packet in which the current one begins.
    packet: usize,
}

impl Units<'_> {
    /// Goes to what begins at a place, and returns the PTS of its PES packet, if it is the first that begins in it.
    fn begun_at(&mut self, at: usize) -> Option<u64> {
        let begun = self.all[self.next..].iter().take_while(|unit| unit.at <= at).count();
        self.next += begun;
        let unit = self.all[..self.next].last()?;
        self.packet = unit.packet;
        unit.pts.filter(|_| begun > 0)
    }
}

/// Counts samples since the last jump.
struct Counter {
    audio: Audio,
    /// The PTS since which samples are counted.
    anchor: u64,
    /// The samples since then.
    samples: u64,
    /// The ticks from the beginning to then.
    before: i64,
}

impl Counter {
    fn new(header: Header, pts: u64) -> Self {
        let timing = Timing { start: pts, ticks: 0 };
        let samples = header.samples() as u64;
        let audio = Audio { timing, format: header.format, frames: 1, samples, jumps: 0 };
        Self { audio, anchor: pts, samples, before: 0 }
    }

    fn add(&mut self, header: Header, pts: Option<u64>, packet: usize, problems: &mut Problems) {
        let counted = self.counted();
        let jump = pts.map(|pts| (pts, difference(pts, self.anchor.wrapping_add(counted))));
        if let Some((pts, ticks)) = jump.filter(|(_, ticks)| ticks.unsigned_abs() > TOLERANCE) {
            problems.add(packet, Kind::Jump(ticks));
            self.audio.jumps += 1;
            self.before += counted.cast_signed() + ticks;
            (self.anchor, self.samples) = (pts, 0);
        }
        if header.format != self.audio.format {
            problems.add(packet, Kind::FormatChanges);
        }
        self.audio.frames += 1;
        self.audio.samples += header.samples() as u64;
        self.samples += header.samples() as u64;
    }

    /// The ticks of the samples since the last jump.
    fn counted(&self) -> u64 {
        let rate = u64::from(self.audio.format.sample_rate);
        (self.samples * 90_000 + rate / 2) / rate
    }

    fn finish(self) -> Audio {
        let ticks = u64::try_from(self.before.saturating_add_unsigned(self.counted())).unwrap_or(0);
        Audio { timing: Timing { ticks, ..self.audio.timing }, ..self.audio }
    }
}
