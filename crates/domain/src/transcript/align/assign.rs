//! Assigns the sound of a voice to its lines: each stretch is claimed at most once, in the order of the lines.
//!
//! Of all possible assignments the cheapest is taken. A line costs what its evidence says against its stretch ([`Evidence::cost`]),
//! the pauses inside the stretch, and the nearness of its edges to other speech; sound that no line claims costs too, and so does a
//! line that claims none. How much more the next best assignment would cost measures how certain this one is.

use super::evidence::{Evidence, Stretch, seconds};
use super::rows::Rows;
use super::speech::Span;
use super::{MS, SECOND};
use crate::time::WallTime;

/// The longest pause inside a line: an agent waits up to 3 s when it was interrupted by mistake, and goes on.
const LONGEST_PAUSE: i64 = 5 * SECOND;
/// Two lines, or a line and other sound, are seldom closer to each other than this.
const APART: i64 = 600 * MS;
/// Letters per second that a slow voice speaks.
pub(super) const SLOW_RATE: f64 = 9.0;
/// How far from its reported time a line is looked for: with a start or end of its own, and without.
const REACH_TIMED: i64 = 45 * SECOND;
const REACH: i64 = 120 * SECOND;
/// The most stretches that are weighed for all lines of a voice; an hour has a few hundred thousand. Beyond that lines are looked
/// for in a narrower window.
const MOST_WEIGHED: usize = 3_000_000;
/// Edges that differ by no more than this are the same.
const SAME: i64 = 150 * MS;

/// A line's stretch: spans `from..to` of its voice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Claim {
    pub from: usize,
    pub to: usize,
    /// What is claimed.
    pub stretch: Stretch,
    /// How much more the best assignment costs in which this line is elsewhere, or not found.
    pub margin: f64,
}

/// A stretch that a line may claim, and its cost.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    from: usize,
    to: usize,
    cost: f64,
}

/// The sound of one voice.
pub(super) struct VoiceSound<'s> {
    spans: &'s [Span],
    /// All speech before each span, in nanoseconds.
    speech: Vec<i64>,
    /// The cost of all pauses before each span, if a line went on over them.
    pauses: Vec<f64>,
    /// The cost of all spans before each span, if no line claimed them.
    unclaimed: Vec<f64>,
}

impl<'s> VoiceSound<'s> {
    /// `others` is when anybody else speaks: a line seldom goes on after that. `letters` is how much all lines of the voice have to
    /// say: where far more sound is heard than that takes, unclaimed sound costs less.
    pub fn new(spans: &'s [Span], others: &[Span], letters: f64) -> Self {
        let heard: f64 = spans.iter().map(|span| seconds(span.length())).sum();
        let weight = (letters / SLOW_RATE / heard.max(0.1)).min(1.0);
        let (mut speech, mut pauses, mut unclaimed) = (vec![0], vec![0.0], vec![0.0]);
        for (number, span) in spans.iter().enumerate() {
            let pause = number.checked_sub(1).map(|before| Span { start: spans[before].end, end: span.start });
            pauses.push(pauses[number] + pause.map_or(0.0, |pause| cost_of_pause(pause, others)));
            speech.push(speech[number] + span.length());
            unclaimed.push(unclaimed[number] + weight * (1.2 * seconds(span.length())).min(3.0));
        }
        Self { spans, speech, pauses, unclaimed }
    }

    /// How much speech there is, in seconds.
    pub fn seconds(&self) -> f64 {
        self.speech.last().map_or(0.0, |all| seconds(*all))
    }

    fn len(&self) -> usize {
        self.spans.len()
    }

    fn cost_unclaimed(&self, from: usize, to: usize) -> f64 {
        self.unclaimed[to] - self.unclaimed[from]
    }

    pub fn stretch(&self, from: usize, to: usize) -> Stretch {
        let speech = self.speech[to] - self.speech[from];
        Stretch { start: self.spans[from].start, end: self.spans[to - 1].end, speech }
    }

    /// The speech of a claim, in seconds, without the fewest spans at its end, or beginning, whose removal shortens it by more than
    /// `cut`.
    pub fn speech_without(&self, claim: &Claim, at_end: bool, cut: i64) -> f64 {
        let Claim { from, to, stretch, .. } = claim;
        let left = if at_end {
            let kept = (*from..*to).rev().find(|span| stretch.end.since(self.spans[*span].end) > cut);
            kept.map(|last| self.speech[last + 1] - self.speech[*from])
        } else {
            let kept = (*from..*to).find(|span| self.spans[*span].start.since(stretch.start) > cut);
            kept.map(|first| self.speech[*to] - self.speech[first])
        };
        seconds(left.unwrap_or(0))
    }

    /// The pause after a span that is not the last.
    pub fn pause_after(&self, span: usize) -> (WallTime, WallTime) {
        (self.spans[span].end, self.spans[span + 1].start)
    }

    /// The cost of other sound close before and after these spans.
    fn cost_of_edges(&self, from: usize, to: usize) -> f64 {
        let near = |before: usize| {
            let gap = self.spans[before + 1].start.since(self.spans[before].end);
            3.0 * (1.0 - gap as f64 / APART as f64).max(0.0)
        };
        let before = from.checked_sub(1).map_or(0.0, near);
        before + if to < self.len() { near(to - 1) } else { 0.0 }
    }

    /// How much unclaimed sound there is within `reach` nanoseconds of a claim, in nanoseconds.
    pub fn unclaimed_around(&self, claimed: &[bool], claim: &Claim, reach: i64) -> i64 {
        let (from, to) = (claim.stretch.start.plus_nanos(-reach), claim.stretch.end.plus_nanos(reach));
        let first = self.spans.partition_point(|span| span.end <= from);
        let near = self.spans.iter().enumerate().skip(first).take_while(|(_, span)| span.start < to);
        let free = near.filter(|(number, _)| !claimed[*number]);
        free.map(|(_, span)| span.end.min(to).since(span.start.max(from))).sum()
    }

    /// Which spans some line claims.
    pub fn claimed(&self, claims: &[Option<Claim>]) -> Vec<bool> {
        let mut claimed = vec![false; self.len()];
        claims.iter().flatten().for_each(|claim| claimed[claim.from..claim.to].fill(true));
        claimed
    }
}

/// The cost of a line going on over a pause: higher for a longer one, and when somebody else speaks in it.
fn cost_of_pause(pause: Span, others: &[Span]) -> f64 {
    let first = others.partition_point(|other| other.end <= pause.start);
    let inside = others[first..].iter().take_while(|other| other.start < pause.end);
    let spoken: i64 = inside.map(|other| other.end.min(pause.end).since(other.start.max(pause.start))).sum();
    let long = (0.5 * (seconds(pause.length()) - 0.7).max(0.0)).min(2.0);
    long + if spoken >= 700 * MS { 1.5 } else { 0.0 }
}

/// The assignment of one voice's lines.
pub(super) struct Assigned {
    /// Each line's stretch; `None` for one that is not found in the sound.
    pub claims: Vec<Option<Claim>>,
    /// The cost of all: of two readings of the same reports the cheaper one is the likelier.
    pub cost: f64,
}

impl Assigned {
    fn nothing(lines: &[Evidence]) -> Self {
        Self { claims: vec![None; lines.len()], cost: lines.iter().map(|line| line.unheard).sum() }
    }
}

/// Assigns the sound of one voice to its lines, in their order.
pub(super) fn assign(lines: &[Evidence], sound: &VoiceSound<'_>, rate: f64) -> Assigned {
    if sound.len() == 0 || lines.is_empty() {
        return Assigned::nothing(lines);
    }
    // Where there is too much to weigh, lines are looked for closer to their reported times.
    let mut tries = (0..5).map(|narrower| windows(lines, sound, 1 << narrower));
    let weighed = tries.find_map(|windows| Some((candidates_of(lines, sound, &windows, rate)?, windows)));
    let Some((candidates, windows)) = weighed else { return Assigned::nothing(lines) };
    let before = forward(lines, sound, &windows, &candidates);
    let after = backward(lines, sound, &windows, &candidates);
    let mut claims = vec![None; lines.len()];
    let mut at = sound.len();
    for line in (0..lines.len()).rev() {
        let chosen = trace(line, at, &before, &candidates[line], lines[line].unheard, sound);
        let Some(chosen) = chosen else { continue };
        at = chosen.from;
        let stretch = sound.stretch(chosen.from, chosen.to);
        let through = |candidate: &Candidate| {
            before.at(line, candidate.from, sound) + candidate.cost + after.at_reverse(line + 1, candidate.to, sound)
        };
        let is_elsewhere = |candidate: &&Candidate| {
            let other = sound.stretch(candidate.from, candidate.to);
            other.start.since(stretch.start).abs() > SAME || other.end.since(stretch.end).abs() > SAME
        };
        let elsewhere = candidates[line].iter().filter(is_elsewhere).map(&through).fold(f64::INFINITY, f64::min);
        let nowhere = nowhere(line, lines[line].unheard, &before, &after, sound);
        claims[line] = Some(Claim {
            from: chosen.from,
            to: chosen.to,
            stretch,
            margin: elsewhere.min(nowhere) - through(&chosen),
        });
    }
    Assigned { claims, cost: before.at(lines.len(), sound.len(), sound) }
}

/// The candidates of all lines; `None` when there are too many.
fn candidates_of(
    lines: &[Evidence],
    sound: &VoiceSound<'_>,
    windows: &[std::ops::Range<usize>],
    rate: f64,
) -> Option<Vec<Vec<Candidate>>> {
    let mut left = MOST_WEIGHED;
    let mut all = Vec::with_capacity(lines.len());
    for (line, window) in lines.iter().zip(windows) {
        let found = candidates(line, sound, window, rate, left);
        left = left.checked_sub(found.len() + window.len() + 1)?;
        all.push(found);
    }
    Some(all)
}

/// The spans among which each line is looked for: neither end moves back from line to line. A line without any time is looked for
/// where the one before it is.
fn windows(lines: &[Evidence], sound: &VoiceSound<'_>, narrower: i64) -> Vec<std::ops::Range<usize>> {
    let reach = |line: &Evidence| if line.is_timed() { REACH_TIMED } else { REACH } / narrower;
    let mut last = None;
    let mut around = |line: &Evidence| {
        last = line.around().or(last);
        last
    };
    let of = |line: &Evidence| match around(line) {
        None => 0..sound.len(),
        Some(around) => {
            let from = sound.spans.partition_point(|span| span.end < around.plus_nanos(-reach(line)));
            let to = sound.spans.partition_point(|span| span.start <= around.plus_nanos(reach(line)));
            from..to.max(from)
        }
    };
    let mut windows: Vec<std::ops::Range<usize>> = lines.iter().map(of).collect();
    let mut least = sound.len();
    for window in windows.iter_mut().rev() {
        least = least.min(window.start);
        window.start = least;
    }
    let mut most = 0;
    for window in &mut windows {
        most = most.max(window.end);
        window.end = most;
    }
    windows
}

/// The candidates of one line, at most `most` and one more.
fn candidates(
    line: &Evidence,
    sound: &VoiceSound<'_>,
    window: &std::ops::Range<usize>,
    rate: f64,
    most: usize,
) -> Vec<Candidate> {
    // A stretch of several times the length of the text is several lines.
    let longest = ((4.0 * line.letters / rate + 8.0) * 1e9) as i64;
    let mut found = Vec::new();
    for from in window.clone() {
        for to in from + 1..=window.end {
            let stretch = sound.stretch(from, to);
            if stretch.end.since(stretch.start) > longest || found.len() > most {
                break;
            }
            let pauses = sound.pauses[to] - sound.pauses[from + 1];
            let cost = line.cost(&stretch, rate) + pauses + sound.cost_of_edges(from, to);
            found.push(Candidate { from, to, cost });
            if sound.spans.get(to).is_some_and(|next| next.start.since(stretch.end) > LONGEST_PAUSE) {
                break;
            }
        }
    }
    found
}

/// For each line, the lowest cost of the lines before it, if they claim nothing from a span on.
fn forward(
    lines: &[Evidence],
    sound: &VoiceSound<'_>,
    windows: &[std::ops::Range<usize>],
    candidates: &[Vec<Candidate>],
) -> Rows {
    let mut rows = Rows::beginning();
    for (number, line) in lines.iter().enumerate() {
        let window = &windows[number];
        let mut row: Vec<f64> =
            (window.start..=window.end).map(|at| rows.at(number, at, sound) + line.unheard).collect();
        for candidate in &candidates[number] {
            let place = &mut row[candidate.to - window.start];
            *place = place.min(rows.at(number, candidate.from, sound) + candidate.cost);
        }
        for at in 1..row.len() {
            row[at] = row[at].min(row[at - 1] + sound.cost_unclaimed(window.start + at - 1, window.start + at));
        }
        rows.push(window.start, row);
    }
    rows
}

/// For each line, the lowest cost of it and all later ones, if they claim nothing before a span.
fn backward(
    lines: &[Evidence],
    sound: &VoiceSound<'_>,
    windows: &[std::ops::Range<usize>],
    candidates: &[Vec<Candidate>],
) -> Rows {
    let mut rows = Rows::ending(lines.len(), sound.len());
    for (number, line) in lines.iter().enumerate().rev() {
        let window = &windows[number];
        let mut row: Vec<f64> =
            (window.start..=window.end).map(|at| rows.at_reverse(number + 1, at, sound) + line.unheard).collect();
        for candidate in &candidates[number] {
            let place = &mut row[candidate.from - window.start];
            *place = place.min(rows.at_reverse(number + 1, candidate.to, sound) + candidate.cost);
        }
        for at in (0..row.len().saturating_sub(1)).rev() {
            row[at] = row[at].min(row[at + 1] + sound.cost_unclaimed(window.start + at, window.start + at + 1));
        }
        rows.put(number, window.start, row);
    }
    rows
}

/// What the cheapest assignment has for a line, when later lines begin at span `at`: its candidate, or nothing.
fn trace(
    line: usize,
    at: usize,
    before: &Rows,
    candidates: &[Candidate],
    unheard: f64,
    sound: &VoiceSound<'_>,
) -> Option<Candidate> {
    let cost = |candidate: &Candidate| {
        before.at(line, candidate.from, sound) + candidate.cost + sound.cost_unclaimed(candidate.to, at)
    };
    let possible = candidates.iter().filter(|candidate| candidate.to <= at);
    let best = possible.min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    (cost(best) < before.at(line, at, sound) + unheard).then_some(*best)
}

/// The lowest cost of all lines when this one is not found.
fn nowhere(line: usize, unheard: f64, before: &Rows, after: &Rows, sound: &VoiceSound<'_>) -> f64 {
    let window = before.range(line).start..=after.range(line + 1).end.max(before.range(line).end);
    window
        .map(|at| before.at(line, at, sound) + unheard + after.at_reverse(line + 1, at, sound))
        .fold(f64::INFINITY, f64::min)
}

impl super::rows::Skips for VoiceSound<'_> {
    fn skip(&self, from: usize, to: usize) -> f64 {
        self.cost_unclaimed(from, to)
    }
}
