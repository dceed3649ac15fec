//! Finds how far a source's clock is off the sound's, also when it was set in the middle of a call.
//!
//! Each line with a reported beginning votes for every offset that moves it to the beginning of some speech of its voice. The
//! offsets with the most votes are tried on all lines in their order: staying with one is free, changing to another costs, so that
//! a clock that was set is followed and a single wrong time is not.

use std::collections::HashMap;

use super::super::{ClockStep, Kind, Turn};
use super::MS;
use super::evidence::seconds;
use super::speech::{Span, SpeechSpans, joined};
use crate::time::WallTime;

/// Votes are counted in steps of this.
const STEP: i64 = 50 * MS;
/// The most votes that are counted.
const MOST_VOTES: usize = 2_000_000;
/// The most offsets that are tried, besides zero.
const TRIED: usize = 12;
/// Speech begins after a pause of at least this.
const PAUSE: i64 = 300 * MS;
/// A beginning or an end that is further off than this belongs to something else.
const OFF: i64 = 400 * MS;
/// The cost of a line that an offset does not move to the beginning of speech.
const ASTRAY: f64 = 1.5;
/// The cost of changing to another offset, and of beginning with one that is not zero.
const GOING_OVER: f64 = 3.5;
const NOT_NONE: f64 = 2.0;
/// An offset is accepted if its lines cost no more than this on average ...
const GOOD: f64 = 0.75;
/// ... and at least this much less than at any other offset.
const CLEARER: f64 = 0.3;

/// How far a source's clock is off the sound's.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Clock {
    /// From the first turn of each piece on, its offset is added to the source's times.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// The first turn, by its index in the transcript.
    from: usize,
    /// The beginning that is reported for it.
    time: WallTime,
    offset: i64,
    turns: usize,
}

impl Clock {
    /// What is added to the times of a turn, in nanoseconds.
    pub fn offset_of(&self, turn: usize) -> i64 {
        let after = self.pieces.partition_point(|piece| piece.from <= turn);
        self.pieces.get(after.saturating_sub(1)).map_or(0, |piece| piece.offset)
    }

    /// The offset of most turns, in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.pieces.iter().max_by_key(|piece| piece.turns).map_or(0, |piece| piece.offset / MS)
    }

    /// The clock in the form in which it is stored.
    pub fn into_steps(self) -> Vec<ClockStep> {
        let is_none = self.pieces.iter().all(|piece| piece.offset == 0);
        let pieces = self.pieces.into_iter().filter(|_| !is_none);
        pieces.map(|piece| ClockStep { from: piece.time, offset: piece.offset }).collect()
    }
}

/// A line with a reported beginning.
struct ReportedLine {
    turn: usize,
    start: WallTime,
    end: Option<WallTime>,
    voice: usize,
}

/// Finds the clock of a session's own account.
pub(super) fn find(turns: &[Turn], speech: &SpeechSpans) -> Clock {
    let lines: Vec<ReportedLine> =
        turns.iter().enumerate().filter_map(|(number, turn)| ReportedLine::of(number, turn, speech)).collect();
    let onsets: Vec<Vec<Span>> = speech.voices.iter().map(|voice| joined(voice.spans.clone(), PAUSE - 1)).collect();
    let none: Vec<bool> = lines.iter().map(|line| line.cost(0, &onsets[line.voice]) >= ASTRAY).collect();
    // One wrong time says nothing about the clock.
    if !none.windows(2).any(|pair| pair[0] && pair[1]) {
        return Clock::default();
    }
    let offsets = tried(&lines, &onsets);
    let costs: Vec<Vec<f64>> = lines
        .iter()
        .map(|line| offsets.iter().map(|offset| line.cost(*offset, &onsets[line.voice])).collect())
        .collect();
    let chosen = cheapest(&costs, offsets.len());
    let mut clock = Clock::default();
    let mut at = 0;
    while at < lines.len() {
        let end = (at..lines.len()).find(|&line| chosen[line] != chosen[at]).unwrap_or(lines.len());
        let mean = |offset: usize| (at..end).map(|line| costs[line][offset]).sum::<f64>() / (end - at) as f64;
        let others = (0..offsets.len()).filter(|offset| *offset != chosen[at]).map(mean).fold(f64::INFINITY, f64::min);
        // A poor fit is not applied, nor is one of several that are equally good.
        let is_good = mean(chosen[at]) <= GOOD && others - mean(chosen[at]) >= CLEARER && end - at >= 2;
        let offset = if is_good { offsets[chosen[at]] } else { 0 };
        let time = lines[at].start;
        clock.pieces.push(Piece { from: lines[at].turn, time, offset, turns: end - at });
        at = end;
    }
    clock
}

impl ReportedLine {
    fn of(number: usize, turn: &Turn, speech: &SpeechSpans) -> Option<Self> {
        let voice = speech.voice_of(turn).filter(|_| turn.kind == Kind::Message && !turn.typed)?;
        let start = turn.reported.start?;
        let end = turn.reported.end.filter(|end| *end > start && !turn.interrupted);
        Some(Self { turn: number, start, end, voice })
    }

    /// The cost of the line being where an offset moves it.
    fn cost(&self, offset: i64, phrases: &[Span]) -> f64 {
        let start = self.start.plus_nanos(offset);
        let after = phrases.partition_point(|phrase| phrase.start < start);
        let near = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|at| phrases.get(at));
        let Some(onset) = near.min_by_key(|phrase| phrase.start.since(start).abs()) else { return ASTRAY };
        let off = onset.start.since(start).abs();
        if off > OFF {
            return ASTRAY;
        }
        let off_end = self.end.map_or(0, |end| {
            let end = end.plus_nanos(offset);
            let after = phrases.partition_point(|phrase| phrase.end < end);
            let near = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|at| phrases.get(at));
            near.map(|phrase| end.since(phrase.end)).map(|late| (late - 250 * MS).abs() - 250 * MS).min().unwrap_or(OFF)
        });
        seconds(off) + seconds(off_end.clamp(0, OFF))
    }
}

/// The offsets that are worth trying: zero, and those that most lines vote for.
fn tried(lines: &[ReportedLine], phrases: &[Vec<Span>]) -> Vec<i64> {
    let mut votes: HashMap<i64, f64> = HashMap::new();
    // In a very long call not every line is needed.
    let pairs: usize = lines.iter().map(|line| phrases[line.voice].len()).sum();
    for line in lines.iter().step_by(pairs.div_ceil(MOST_VOTES).max(1)) {
        for phrase in &phrases[line.voice] {
            let offset = phrase.start.since(line.start);
            let off = line.cost(offset, &phrases[line.voice]);
            *votes.entry(offset.div_euclid(STEP)).or_default() += ASTRAY - off;
        }
    }
    let around =
        |step: i64| [-1, 0, 1].map(|near| votes.get(&(step + near)).copied().unwrap_or(0.0)).iter().sum::<f64>();
    let mut ranked: Vec<(f64, i64)> = votes.keys().map(|step| (around(*step), *step)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.abs().cmp(&b.1.abs())).then(a.1.cmp(&b.1)));
    let mut offsets = vec![0];
    for (_, step) in ranked {
        let about = step * STEP + STEP / 2;
        if offsets.iter().all(|known| (known - about).abs() > OFF) {
            offsets.push(middle(about, lines, phrases));
        }
        if offsets.len() > TRIED {
            break;
        }
    }
    offsets
}

/// The median of the votes for about this offset.
fn middle(about: i64, lines: &[ReportedLine], phrases: &[Vec<Span>]) -> i64 {
    let pairs: usize = lines.iter().map(|line| phrases[line.voice].len()).sum();
    let some = lines.iter().step_by(pairs.div_ceil(MOST_VOTES).max(1));
    let votes = some.flat_map(|line| phrases[line.voice].iter().map(|phrase| phrase.start.since(line.start)));
    let mut near: Vec<i64> = votes.filter(|offset| (offset - about).abs() <= 2 * STEP).collect();
    near.sort_unstable();
    near.get(near.len() / 2).copied().unwrap_or(about)
}

/// The offset of each line, as an index, in the cheapest sequence over all lines.
fn cheapest(costs: &[Vec<f64>], offsets: usize) -> Vec<usize> {
    let mut totals: Vec<f64> = (0..offsets).map(|offset| if offset == 0 { 0.0 } else { NOT_NONE }).collect();
    let mut came_from: Vec<Vec<usize>> = Vec::new();
    for line in costs {
        let best = (0..offsets).min_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
        let from: Vec<usize> =
            (0..offsets).map(|offset| if totals[best] + GOING_OVER < totals[offset] { best } else { offset }).collect();
        totals = (0..offsets)
            .map(|offset| totals[from[offset]] + if from[offset] == offset { 0.0 } else { GOING_OVER } + line[offset])
            .collect();
        came_from.push(from);
    }
    let mut at = (0..offsets).min_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0);
    let mut chosen = vec![0; costs.len()];
    for line in (0..costs.len()).rev() {
        chosen[line] = at;
        at = came_from[line][at];
    }
    chosen
}
