//! The evidence for when a line was spoken: what its source reports, and how well a stretch of sound agrees with it.
//!
//! No single time is believed by itself: each that disagrees costs something, up to a limit, so that an impossible time (a start
//! that was copied from the turn before, an end of another line) is outvoted by the others, by the length of the text and by the
//! order of the lines.

use super::super::{Role, Times, Turn, markup};
use super::{Account, MS};
use crate::time::WallTime;

/// A line's evidence; times by the clock of the sound.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// The turn's index in the transcript.
    pub turn: usize,
    pub role: Role,
    /// When its first sound is expected.
    pub start: Option<WallTime>,
    /// When its last sound is expected: any time from the first to the second.
    pub end: Option<(WallTime, WallTime)>,
    /// When it was written down: after its sound began, ...
    written_after_start: Option<WallTime>,
    /// ... after its sound ended, ...
    written_after_end: Option<WallTime>,
    /// ... or before its sound began.
    written_before: Option<WallTime>,
    /// How much there is to say: its letters, with digits counted by how long they take.
    pub letters: f64,
    /// The cost of not being found in the sound at all.
    pub unheard: f64,
}

/// When a line that arrives whole, all at once, is written into a room's transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// As it begins: an agent has the text that it is about to speak.
    AtStart,
    /// After it has ended: a recogniser has listened to it.
    AfterEnd,
}

impl Writing {
    /// The usual case for a role.
    pub fn usual(role: Role) -> Self {
        if role == Role::Agent { Self::AtStart } else { Self::AfterEnd }
    }

    /// The other one.
    pub fn other(self) -> Self {
        if self == Self::AtStart { Self::AfterEnd } else { Self::AtStart }
    }
}

/// Whether a room's line arrived whole, all at once, so that its time says little by itself.
pub(super) fn is_whole(turn: &Turn) -> bool {
    let Times { start, end, created, last_text } = turn.reported;
    let grew = created.zip(last_text).is_some_and(|(first, last)| last > first);
    start.is_none() && end.is_none() && !grew
}

/// A stretch of sound that a line may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub start: WallTime,
    pub end: WallTime,
    /// How much of it is speech, short pauses included, in nanoseconds.
    pub speech: i64,
}

/// How late the SDK reports a user's beginning and end, and an agent's end: measured with livekit-agents 1.8.9 and
/// @livekit/agents 1.9.0.
const USER_STARTS_LATE: i64 = 70 * MS;
const USER_ENDS_LATE: i64 = 115 * MS;
const AGENT_ENDS_LATE: i64 = 385 * MS;
/// The end of an interrupted agent's line is reported up to this late: the agent pauses first, and is declared
/// interrupted later.
const INTERRUPTED_ENDS_LATE: i64 = 3_400 * MS;
/// A user's item that is created this close to its start is created by a realtime model, at its start.
const MADE_AT_START: i64 = 300 * MS;

/// The text of an agent's line that arrives over at least this long follows its voice.
const STREAMED: i64 = 1_000 * MS;

/// A recogniser that reports a line while it is spoken reports its first words within this.
const SOON: i64 = 1_000 * MS;

/// The highest cost of a start, and of an end.
const MOST_START: f64 = 4.0;
const MOST_END: f64 = 3.5;
/// The cost of a spoken line that is not found in the sound.
const UNHEARD: f64 = 5.0;
/// The same for one without any sign of whether it was typed, when no line of its voice has one.
const UNHEARD_BARE: f64 = 4.0;
/// The same for one that was written down together with a recognised one, to within the time below: it may be a part of
/// that.
const UNHEARD_TOGETHER: f64 = 0.5;
const MADE_TOGETHER: i64 = 1_000 * MS;

impl Evidence {
    /// The evidence for a turn. `offset` nanoseconds are added to the source's times to get those of the sound's clock; `writing`
    /// says when a room's lines that arrive whole are written down.
    pub fn of(number: usize, turn: &Turn, offset: i64, account: Account, writing: Writing, unheard: f64) -> Self {
        let at = |time: Option<WallTime>, late: i64| time.map(|time| time.plus_nanos(offset - late));
        let times = turn.reported;
        let mut line = Self {
            turn: number,
            role: turn.role,
            start: None,
            end: None,
            written_after_start: None,
            written_after_end: None,
            written_before: None,
            letters: letters(&markup::words(&turn.text)),
            unheard,
        };
        match (account, turn.role) {
            (Account::Session, Role::Agent) => {
                line.start = at(times.start, 0);
                let earliest = if turn.interrupted { INTERRUPTED_ENDS_LATE } else { AGENT_ENDS_LATE };
                let latest = if turn.interrupted { 0 } else { AGENT_ENDS_LATE };
                line.end = at(times.end, earliest).zip(at(times.end, latest));
                line.written_before = at(times.created, 0);
            }
            (Account::Session, _) => {
                line.start = at(times.start, USER_STARTS_LATE);
                line.end = at(times.end, USER_ENDS_LATE).zip(at(times.end, USER_ENDS_LATE));
                line.written_after_end = at(written(turn), 0);
            }
            (Account::Room, _) if is_whole(turn) => match writing {
                Writing::AtStart => line.written_before = at(times.created, 1_000 * MS),
                Writing::AfterEnd => line.written_after_end = at(times.last_text.or(times.created), 0),
            },
            (Account::Room, Role::Agent) => {
                line.start = at(times.start, 0);
                let streamed =
                    times.last_text.filter(|last| times.created.is_some_and(|first| last.since(first) >= STREAMED));
                line.end =
                    at(times.end, 400 * MS).zip(at(times.end, 0)).or(at(streamed, 0).zip(at(streamed, -800 * MS)));
                line.written_before = at(times.created, 1_000 * MS);
            }
            (Account::Room, _) => {
                // A recogniser that reports only whole lines says nothing about the beginning.
                line.written_after_start =
                    at(times.created.filter(|first| times.last_text.is_some_and(|last| last > *first)), 0);
                line.written_after_end = at(times.last_text, 0);
            }
        }
        // An end before the beginning belongs to another line.
        line.end = line.end.filter(|(_, latest)| line.start.is_none_or(|start| *latest > start));
        line
    }

    /// The same with another amount of text.
    pub fn with_letters(&self, letters: f64) -> Self {
        Self { letters, ..self.clone() }
    }

    /// Whether its start or end is reported, rather than only when it was written down.
    pub fn is_timed(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }

    /// A time near its sound, from which to look for it.
    pub fn around(&self) -> Option<WallTime> {
        let end = self.end.map(|(earliest, _)| earliest);
        self.start.or(end).or(self.written_after_end).or(self.written_before).or(self.written_after_start)
    }

    /// The cost of assigning this stretch to the line. `rate` is how many letters this voice speaks per second.
    pub fn cost(&self, stretch: &Stretch, rate: f64) -> f64 {
        self.cost_of_start(stretch.start)
            + self.cost_of_end(stretch.end)
            + self.cost_of_writing(stretch)
            + self.cost_of_length(stretch.speech, rate)
    }

    fn cost_of_start(&self, start: WallTime) -> f64 {
        self.start.map_or(0.0, |reported| (seconds(start.since(reported)).abs() / 0.15).min(MOST_START))
    }

    fn cost_of_end(&self, end: WallTime) -> f64 {
        let Some((earliest, latest)) = self.end else { return 0.0 };
        let off = earliest.since(end).max(end.since(latest)).max(0);
        (seconds(off) / 0.25).min(MOST_END)
    }

    fn cost_of_writing(&self, stretch: &Stretch) -> f64 {
        // A line cannot be written down before its sound ...
        let too_late =
            |time: WallTime, written: WallTime| (seconds(time.since(written) - 300 * MS).max(0.0) / 0.3).min(4.0);
        // ... and is seldom written long after it.
        let long_after =
            |time: WallTime, written: WallTime| (0.15 * seconds(written.since(time) - 1_500 * MS).max(0.0)).min(2.0);
        // The first words are reported while they are spoken.
        let soon = |written: WallTime| (0.8 * seconds(written.since(stretch.start) - SOON).max(0.0)).min(3.0);
        let after_start = |written| too_late(stretch.start, written) + soon(written);
        let after_end = |written| too_late(stretch.end, written) + long_after(stretch.end, written);
        let before = |written: WallTime| too_late(written, stretch.start) + long_after(written, stretch.start);
        self.written_after_start.map_or(0.0, after_start)
            + self.written_after_end.map_or(0.0, after_end)
            + self.written_before.map_or(0.0, before)
    }

    fn cost_of_length(&self, speech: i64, rate: f64) -> f64 {
        (2.0 * (self.misfit(speech, rate) - 0.4).max(0.0)).min(3.0)
    }

    /// How far a length of speech is from what the text takes to say: the natural logarithm of their ratio, without its
    /// sign.
    pub fn misfit(&self, speech: i64, rate: f64) -> f64 {
        // A word alone takes longer than its letters would in a sentence.
        let expected = (self.letters / rate).max(0.3);
        (seconds(speech).max(0.05) / expected).ln().abs()
    }

    /// How far a stretch's beginning is from the reported one, and its end, in nanoseconds; `None` where none is
    /// reported.
    pub fn off(&self, stretch: &Stretch) -> (Option<i64>, Option<i64>) {
        let start = self.start.map(|reported| stretch.start.since(reported).abs());
        let end = self.end.map(|(earliest, latest)| earliest.since(stretch.end).max(stretch.end.since(latest)).max(0));
        (start, end)
    }
}

/// When a user's line was written down, after its end: not the time of an item that a realtime model creates at its start.
pub(super) fn written(turn: &Turn) -> Option<WallTime> {
    let is_start = |made: &WallTime| turn.reported.start.is_some_and(|start| made.since(start).abs() < MADE_AT_START);
    turn.reported.created.filter(|made| !is_start(made))
}

/// The cost of not finding a line in the sound; it was spoken, or may have been typed. `recognised` are the times at which those
/// lines of its voice were written down that come with a recogniser's data.
pub(super) fn unheard(turn: &Turn, recognised: &[Option<WallTime>]) -> f64 {
    let is_with = |other: &Option<WallTime>| {
        other.zip(turn.reported.created).is_some_and(|(other, made)| made.since(other).abs() <= MADE_TOGETHER)
    };
    if !turn.typed {
        UNHEARD
    } else if recognised.is_empty() {
        UNHEARD_BARE
    } else if recognised.iter().any(is_with) {
        UNHEARD_TOGETHER
    } else {
        // The others were recognised: this one was typed.
        0.0
    }
}

/// How much there is to say in a text, in letters.
fn letters(text: &str) -> f64 {
    let of = |letter: char| match letter {
        '0'..='9' => 4.0,
        // A character of Chinese or Japanese, or a Korean syllable, takes about as long as three letters.
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' => 3.0,
        letter if letter.is_alphanumeric() => 1.0,
        _ => 0.0,
    };
    text.chars().map(of).sum::<f64>()
}

pub(super) fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}
