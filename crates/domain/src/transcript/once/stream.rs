//! The lines of one role in one account as a single text, in which the lines of another account are searched for.

use std::collections::HashSet;

use super::line::Line;
use super::spoken::Spoken;

/// The fewest letters, in bytes, with which a line that was cut off may end within a word.
const CUT: usize = 8;
/// How far apart two lines may be that sound at the same time, where not all their times are known: 1 s, in
/// nanoseconds.
const TOGETHER: i64 = 1_000_000_000;

/// Lines, and their text in one piece.
#[derive(Debug)]
pub struct Stream<'l> {
    lines: Vec<&'l Line>,
    /// Where each line begins in the text of all, in bytes, and where the last one ends.
    offsets: Vec<usize>,
    all: Spoken,
    /// Which bytes were found in the other account.
    taken: Vec<bool>,
}

impl<'l> Stream<'l> {
    /// The lines, in the order in which they began.
    pub fn new(lines: impl Iterator<Item = &'l Line>) -> Self {
        let lines: Vec<&Line> = lines.collect();
        let (mut all, mut offsets) = (Spoken::default(), vec![0]);
        for line in &lines {
            all.append(&line.spoken);
            offsets.push(all.letters.len());
        }
        let taken = vec![false; all.letters.len()];
        Self { lines, offsets, all, taken }
    }

    /// The turns of the other account whose words are in these lines; each word counts for one turn only. With `cut`, these lines
    /// may have only the beginning of a turn, and a turn may end within a word. `reach` is how far apart in time the two may be.
    pub fn take_all(&mut self, mut others: Vec<&Line>, reach: impl Fn(&Line) -> i64, cut: bool) -> HashSet<usize> {
        // The longest first: a short one may occur more than once, and then the nearest counts.
        let nearest = |line: &&Line| self.lines.iter().map(|own| own.distance(line)).min().unwrap_or(i64::MAX);
        others.sort_by_cached_key(|line| (std::cmp::Reverse(line.spoken.letters.len()), nearest(line)));
        let taken = others
            .iter()
            .filter(|line| self.take(line, reach(line), cut) || (cut && self.take_beginning(line, reach(line))));
        taken.map(|line| line.turn).collect::<HashSet<_>>()
    }

    /// Takes the words of a line where they are nearest; false when they are nowhere.
    fn take(&mut self, line: &Line, reach: i64, cut: bool) -> bool {
        let free = |at: &usize| !self.taken[*at..*at + line.spoken.letters.len()].contains(&true);
        let places = self.places(line, reach, cut);
        let Some(at) = places.into_iter().filter(free).min_by_key(|at| self.misses(line, *at)) else { return false };
        self.taken[at..at + line.spoken.letters.len()].fill(true);
        true
    }

    /// The byte offsets at which the words of a line occur in lines that are near to it in time.
    fn places(&self, line: &Line, reach: i64, cut: bool) -> Vec<usize> {
        let is_near = |at: &usize| self.lines[*at].distance(line) <= reach;
        let near = || (0..self.lines.len()).filter(is_near);
        let (Some(first), Some(last)) = (near().next(), near().next_back()) else { return Vec::new() };
        let (from, to) = (self.offsets[first], self.offsets[last + 1]);
        let words = line.spoken.letters.as_str();
        let is_whole = |at: usize| {
            let end = at + words.len();
            let may_be_cut = cut && words.len() >= CUT;
            self.all.is_boundary(at)
                && (self.all.is_boundary(end) || may_be_cut)
                && self.within(at, end).all(|at| is_near(&at))
        };
        let mut places = Vec::new();
        let mut at = from;
        while let Some(found) = self.all.letters[at..to].find(words) {
            at += found;
            if is_whole(at) {
                places.push(at);
            }
            at += self.all.letters[at..].chars().next().map_or(1, char::len_utf8);
        }
        places
    }

    /// The lines that these bytes belong to.
    fn within(&self, from: usize, to: usize) -> impl Iterator<Item = usize> + use<> {
        let first = self.offsets.partition_point(|offset| *offset <= from).saturating_sub(1);
        let last = self.offsets.partition_point(|offset| *offset < to);
        first..last
    }

    /// How far the middle of a line is from the middle of its words here, in nanoseconds.
    fn misses(&self, line: &Line, at: usize) -> i64 {
        let middle = at + line.spoken.letters.len() / 2;
        let Some(own) = self.within(middle, middle + 1).next() else { return i64::MAX };
        let (begins, length) = (self.offsets[own], self.offsets[own + 1] - self.offsets[own]);
        let own = self.lines[own];
        let part = i128::from(own.to.saturating_sub(own.from)) * (middle - begins) as i128 / length.max(1) as i128;
        let there = own.from.saturating_add(i64::try_from(part).unwrap_or(0));
        there.saturating_sub(line.from / 2 + line.to / 2).saturating_abs()
    }

    /// Takes the lines that a line of the other account begins with: of an interrupted agent a session has what was heard, and the
    /// room all that was to be said.
    fn take_beginning(&mut self, line: &Line, reach: i64) -> bool {
        let (mut matched, mut taken) = (0, Vec::new());
        for (at, own) in self.lines.iter().enumerate().filter(|(_, own)| own.distance(line) <= reach) {
            let end = matched + own.spoken.letters.len();
            let is_cut = own.interrupted && own.spoken.letters.len() >= CUT;
            let begins = line.spoken.letters[matched..].starts_with(&own.spoken.letters);
            if begins
                && (line.spoken.is_boundary(end) || is_cut)
                && !self.taken[self.offsets[at]..self.offsets[at + 1]].contains(&true)
            {
                matched = end;
                taken.push(at);
                if !line.spoken.is_boundary(end) {
                    break;
                }
            }
        }
        let words: usize = taken.iter().map(|at| self.lines[*at].spoken.words()).sum();
        let is_enough = words >= 2 || taken.iter().any(|at| self.lines[*at].interrupted);
        for at in taken.iter().filter(|_| is_enough) {
            self.taken[self.offsets[*at]..self.offsets[at + 1]].fill(true);
        }
        is_enough
    }

    /// Whether a line has the words of these lines and sounds at the same time, no matter who is said to have spoken it. Since
    /// people repeat what somebody has just said, at least half of it has to overlap.
    pub fn sounds_with(&self, line: &Line) -> bool {
        self.places(line, TOGETHER, false).into_iter().any(|at| {
            let own: Vec<&&Line> = self.within(at, at + line.spoken.letters.len()).map(|at| &self.lines[at]).collect();
            let (Some(from), Some(to)) = (own.iter().map(|own| own.from).min(), own.iter().map(|own| own.to).max())
            else {
                return false;
            };
            let shorter = to.saturating_sub(from).min(line.to.saturating_sub(line.from));
            let together = to.min(line.to).saturating_sub(from.max(line.from));
            // A line of which only one time is known cannot overlap: it is enough that it is near and has more than two
            // words.
            if shorter == 0 { line.spoken.words() > 2 } else { together >= shorter / 2 }
        })
    }
}
