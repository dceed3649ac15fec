//! Spoken lines as they are tracked by the message filter: whose they are, and which were withheld or begun.

use std::collections::VecDeque;

use crate::room::people::People;

/// How many lines are remembered as withheld, or as begun. A line's final text arrives within seconds of it, long before this many
/// others.
pub const MOST: usize = 256;

/// How many of the begun lines may be unfinished when a pause ends: no more people speak at the same time.
const MOST_AT_ONCE: usize = 64;

/// A spoken line. Several speakers may have segments with the same id.
#[derive(Debug, Clone)]
pub struct Line {
    sender: String,
    track: Option<String>,
    /// Whose words they are, by identity.
    pub owner: String,
    segment: String,
}

impl Line {
    /// A line sent by `sender`, perhaps of somebody else's track.
    pub fn new(sender: &str, track: Option<&str>, segment: &str, people: &People) -> Self {
        Self {
            sender: sender.to_owned(),
            track: track.map(str::to_owned),
            owner: people.speaker(track, sender).to_owned(),
            segment: segment.to_owned(),
        }
    }

    /// Whether nothing of it may be kept, because of whose it is.
    pub fn is_excluded(&self, people: &People) -> bool {
        people.is_line_excluded(self.track.as_deref(), &self.sender)
    }

    /// Whether it is an agent's own line.
    pub fn is_agents(&self, people: &People) -> bool {
        people.is_agents_line(self.track.as_deref(), &self.sender)
    }
}

/// The newest lines of some kind.
#[derive(Debug, Default)]
pub struct Lines(VecDeque<Line>);

impl Lines {
    /// Adds a line, and drops the oldest when there are too many.
    pub fn insert(&mut self, line: Line) {
        if !self.contains(&line) {
            self.0.truncate(MOST - 1);
            self.0.push_front(line);
        }
    }

    /// Whether it has this line.
    pub fn contains(&self, line: &Line) -> bool {
        self.0.iter().any(|known| (&known.owner, &known.segment) == (&line.owner, &line.segment))
    }

    /// Takes over the newest lines of one owner, or of all.
    pub fn take_over(&mut self, others: &mut Self, owner: Option<&str>) {
        let (taken, rest): (VecDeque<_>, _) =
            others.0.drain(..).partition(|line| owner.is_none_or(|owner| line.owner == owner));
        others.0 = rest;
        for line in taken.into_iter().take(MOST_AT_ONCE) {
            self.insert(line);
        }
    }
}
