//! What a room overheard, beside what the sessions in it tell themselves.
//!
//! An agent's own account of its session is better than what the room overhears of it: exact times, tool calls, what the model was
//! told. But it has only the participant that the agent was linked to. So both are kept, each with its capture, and of the room's
//! those lines are shown that no session has.

use super::{Role, Transcript, Turn};
use crate::time::WallTime;

/// How far apart the two accounts of one line may lie: 5 s, in nanoseconds. A room hears of a line when its text comes.
const NEAR: i64 = 5_000_000_000;

/// The room's turns that no session has.
pub fn beside(mut room: Transcript, sessions: &[&Transcript]) -> Transcript {
    let told: Vec<Line> = sessions.iter().flat_map(|session| &session.turns).filter_map(Line::of).collect();
    room.turns.retain(|turn| Line::of(turn).is_none_or(|line| !told.iter().any(|told| told.is_same(&line))));
    room
}

/// What is compared of a turn.
struct Line {
    role: Role,
    words: Vec<String>,
    from: i64,
    to: i64,
}

impl Line {
    /// `None` when it has no words or no time.
    fn of(turn: &Turn) -> Option<Self> {
        let words = turn.text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let words: Vec<String> = words.map(str::to_lowercase).collect();
        let times = turn.reported;
        let times = [times.start, times.end, times.created].into_iter().flatten().map(WallTime::as_nanos);
        let (from, to) = (times.clone().min()?, times.max()?);
        (!words.is_empty()).then_some(Self { role: turn.role, words, from, to })
    }

    /// Whether a session's line has what the room heard. A session joins what a recogniser gave in pieces; of an agent that was
    /// interrupted it has less than the room.
    fn is_same(&self, heard: &Self) -> bool {
        let is_near = heard.from <= self.to.saturating_add(NEAR) && heard.to >= self.from.saturating_sub(NEAR);
        let has = |all: &Self, part: &Self| all.words.windows(part.words.len()).any(|words| words == part.words);
        self.role == heard.role && is_near && (has(self, heard) || (self.role == Role::Agent && has(heard, self)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Times};
    use super::*;

    fn turn(role: Role, text: &str, start: i64, end: i64) -> Turn {
        let at = |second: i64| Some(WallTime::from_millis(second * 1000));
        Turn {
            reported: Times { start: at(start), end: at(end), created: None },
            ..Turn::new(text, Kind::Message, role, text)
        }
    }

    #[test]
    fn what_a_session_tells_is_not_told_twice_and_the_rest_stays() {
        let session = Transcript {
            turns: vec![
                turn(Role::Agent, "Hello, how can I", 10, 12),
                turn(Role::User, "What are your hours? And where are you?", 14, 19),
                turn(Role::User, "Thank you", 90, 91),
            ],
            ..Transcript::default()
        };
        let room = Transcript {
            turns: vec![
                turn(Role::Agent, "Hello, how can I help you today?", 10, 14), // interrupted
                turn(Role::User, "what are your hours", 14, 16),
                turn(Role::User, "And where are you?", 17, 19),
                turn(Role::User, "I would like to know that too", 20, 22), // somebody else
                turn(Role::Agent, "here is the link", 23, 23),             // typed into the chat
                turn(Role::User, "Thank you", 40, 41),                     // another time
            ],
            ..Transcript::default()
        };
        let left: Vec<String> = beside(room.clone(), &[&session]).turns.into_iter().map(|turn| turn.text).collect();
        assert_eq!(left, ["I would like to know that too", "here is the link", "Thank you"]);
        assert_eq!(beside(room.clone(), &[]), room);
    }
}
