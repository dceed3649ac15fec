//! One line, and which of the texts that come for it is its text.

use std::collections::{HashMap, HashSet};

/// How far apart two agents may tell of the same words, in nanoseconds.
const TOGETHER: u64 = 3_000_000_000;

/// One line, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub id: String,
    pub order: u64,
    /// Whose messages it came in, by participant id: an agent's, of what a user says.
    pub sender: String,
    pub text: String,
    /// Where its text is from: a later text of the same line takes its place, unless it is worth less.
    pub from: Told,
    pub first_at: i64,
    pub last_at: i64,
    pub interrupted: bool,
}

impl Line {
    /// Takes a text, if it is one and not worth less than the text that is there.
    pub fn tell(&mut self, text: String, from: Told, first_at: i64, at: i64) {
        let is_first = self.text.trim().is_empty();
        if text.trim().is_empty() {
            // A final text that is empty says that what is there is final.
            if !is_first && from.is_final {
                self.from = self.from.max(from);
            }
        } else if is_first || from >= self.from {
            if is_first {
                self.first_at = first_at;
            }
            (self.text, self.from, self.last_at) = (text, from, at);
        }
    }
}

/// What a text is worth: a final one more than an interim one, and of those a later one more than an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Told {
    pub is_final: bool,
    pub order: u64,
}

/// The lines, by their order, that another sender tells as well: two agents that listen to one user both tell what the user said.
/// Each line comes with the one who spoke it.
pub(super) fn told_again<'l>(lines: impl Iterator<Item = (&'l str, &'l Line)>) -> HashSet<u64> {
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|(_, line)| line.order);
    let mut known: HashMap<(&str, String), Vec<&Line>> = HashMap::new();
    let mut again = HashSet::new();
    for (speaker, line) in lines {
        let letters = line.text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
        let same = known.entry((speaker, letters)).or_default();
        let is_told = |told: &&Line| told.sender != line.sender && told.first_at.abs_diff(line.first_at) <= TOGETHER;
        // One line of another sender stands for one of this one: words may be said again.
        match same.iter().position(is_told) {
            Some(place) => {
                same.swap_remove(place);
                again.insert(line.order);
            }
            None => same.push(line),
        }
    }
    again
}
