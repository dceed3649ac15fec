//! A line of the room's transcript, and the choice among the texts that arrive for it.

use std::collections::{HashMap, HashSet};

/// How far apart two agents may report the same words, in nanoseconds.
const TOGETHER: u64 = 3_000_000_000;

/// A line, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub id: String,
    pub order: u64,
    /// The participant id of the sender of its messages: an agent's, for what a user says.
    pub sender: String,
    pub text: String,
    /// The rank of its text: a later text of the same line replaces it, unless that ranks lower.
    pub rank: Rank,
    pub first_at: i64,
    pub last_at: i64,
    pub interrupted: bool,
}

impl Line {
    /// Takes a text, unless it is empty or ranks lower than the current one.
    pub fn update_text(&mut self, text: String, rank: Rank, first_at: i64, at: i64) {
        let is_first = self.text.trim().is_empty();
        if text.trim().is_empty() {
            // An empty final text means that the current text is final.
            if !is_first && rank.is_final {
                self.rank = self.rank.max(rank);
            }
        } else if is_first || rank >= self.rank {
            if is_first {
                self.first_at = first_at;
            }
            (self.text, self.rank, self.last_at) = (text, rank, at);
        }
    }
}

/// The rank of a text: final texts are above interim ones, and of either kind a later one is above an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Rank {
    pub is_final: bool,
    pub order: u64,
}

/// The lines, by their order, that another sender has reported as well: two agents that listen to one user both transcribe what the
/// user said. Each line comes with its speaker.
pub(super) fn reported_again<'l>(lines: impl Iterator<Item = (&'l str, &'l Line)>) -> HashSet<u64> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(_, line)| line.order);
    let mut known: HashMap<(&str, String), Vec<&Line>> = HashMap::new();
    let mut again = HashSet::new();
    for (speaker, line) in lines {
        let letters = line.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let same = known.entry((speaker, letters)).or_default();
        let is_same = |other: &&Line| other.sender != line.sender && other.first_at.abs_diff(line.first_at) <= TOGETHER;
        // One line of another sender accounts for one of this sender's: words may be repeated.
        match same.iter().position(is_same) {
            Some(place) => {
                same.swap_remove(place);
                again.insert(line.order);
            }
            None => same.push(line),
        }
    }
    again
}
