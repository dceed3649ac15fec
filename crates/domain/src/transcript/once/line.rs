//! A line as it is compared between transcripts: its words, and when they were spoken.

use super::super::{Kind, Role, Transcript, Turn};
use super::spoken::Spoken;

/// How far apart in time two accounts of one line may be: 5 s, in nanoseconds. A room learns of a line when its text
/// arrives.
pub const NEAR: i64 = 5_000_000_000;
/// The same for two sessions' accounts of a line of one or two words, which are soon said again: 1.5 s, in nanoseconds.
const NEAR_OF_A_WORD: i64 = 1_500_000_000;

/// One line.
#[derive(Debug, Clone)]
pub struct Line {
    /// The index of its turn in the transcript.
    pub turn: usize,
    /// Who it is from.
    pub role: Role,
    /// What was said.
    pub spoken: Spoken,
    /// When it began, in nanoseconds since the Unix epoch.
    pub from: i64,
    /// When it ended; the same when only one time is known.
    pub to: i64,
    /// Whether the speaker was cut off.
    pub interrupted: bool,
}

impl Line {
    /// The time between two lines, in nanoseconds; 0 when they overlap.
    pub fn distance(&self, other: &Self) -> i64 {
        self.from.saturating_sub(other.to).max(other.from.saturating_sub(self.to)).max(0)
    }

    /// How far from it another session's account of it may be.
    pub fn reach(&self) -> i64 {
        if self.spoken.words() <= 2 { NEAR_OF_A_WORD } else { NEAR }
    }
}

/// The lines of a transcript that have words and a time, in the order in which they began, their times moved by `later`
/// nanoseconds.
pub fn lines(transcript: &Transcript, later: i64) -> Vec<Line> {
    let line = |(at, turn): (usize, &Turn)| {
        let spoken = Spoken::of(turn).filter(|_| turn.kind == Kind::Message && !turn.earlier)?;
        let (from, to) = sounded(turn, transcript)?;
        let (from, to) = (from.saturating_add(later), to.saturating_add(later));
        Some(Line { turn: at, role: turn.role, spoken, from, to, interrupted: turn.interrupted })
    };
    let mut lines: Vec<Line> = transcript.turns.iter().enumerate().filter_map(line).collect();
    lines.sort_by_key(|line| line.from);
    lines
}

/// When a turn began and ended, as well as is known: as it was found in the sound, else as it was reported, corrected by the
/// transcript's alignment.
fn sounded(turn: &Turn, transcript: &Transcript) -> Option<(i64, i64)> {
    if let Some(refined) = turn.refined {
        return Some((refined.start.as_nanos(), refined.end.as_nanos()));
    }
    let times = [turn.reported.start, turn.reported.end, turn.reported.created];
    let times = times.into_iter().flatten().map(|time| transcript.alignment.time(time).as_nanos());
    Some((times.clone().min()?, times.max()?))
}
