//! Marks the turns of a transcript that belong to an earlier conversation.
//!
//! An agent may begin with a stored conversation (livekit-agents 2.0, `LiveSession(thread=...)`): its items are uploaded with this
//! session's, keep the times at which they were created, hours or years ago, and have no metrics. They are shown separately: none
//! of them is heard in this session's sound, and none has a place on its timeline.

use super::Turn;
use crate::time::WallTime;

/// An item that was created longer than this before a session's sound began is not part of the session: a minute, in nanoseconds.
/// Setting up an agent and waiting for the room take less.
const BEFORE: i64 = 60 * 1_000_000_000;
/// Without sound, a pause of at least this separates two conversations: an hour, in nanoseconds.
const PAUSE: i64 = 3_600 * 1_000_000_000;

/// Marks the turns of an earlier conversation. `began` is the first moment of the session's sound, where it has any.
///
/// A session whose every item is that old has a wrong clock rather than an earlier conversation: a stored conversation
/// is followed by the items that the session itself creates as it begins.
pub fn mark(turns: &mut [Turn], began: Option<WallTime>) {
    let limit = began.map(|began| began.plus_nanos(-BEFORE)).or_else(|| last_pause(turns));
    let Some(limit) = limit else { return };
    let is_of_session = |turn: &Turn| made(turn).is_some_and(|made| made >= limit);
    if !turns.iter().any(is_of_session) {
        return;
    }
    for turn in turns {
        turn.earlier = is_bare(turn) && made(turn).is_some_and(|made| made < limit);
    }
}

/// Whether a turn has no metrics and no times of speech: a stored turn has lost them.
fn is_bare(turn: &Turn) -> bool {
    turn.metrics.is_empty() && turn.reported.start.is_none() && turn.reported.end.is_none()
}

fn made(turn: &Turn) -> Option<WallTime> {
    turn.reported.start.or(turn.reported.created)
}

/// The first time after the last long pause before which every turn is bare.
fn last_pause(turns: &[Turn]) -> Option<WallTime> {
    let first_spoken = turns.iter().filter(|turn| !is_bare(turn)).filter_map(made).min();
    let mut times: Vec<WallTime> = turns.iter().filter_map(made).collect();
    times.sort_unstable();
    let mut pauses = times.windows(2).rev().filter(|pair| pair[1].since(pair[0]) >= PAUSE).map(|pair| pair[1]);
    pauses.find(|after| first_spoken.is_none_or(|first| first >= *after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{Kind, Role, Times};
    use proptest::prelude::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> WallTime {
        WallTime::from_millis(second * 1_000)
    }

    fn turn(second: i64) -> Turn {
        let reported = Times { created: Some(at(second)), ..Times::default() };
        Turn { reported, ..Turn::new(second.to_string(), Kind::Message, Role::User, "words") }
    }

    fn spoken(second: i64) -> Turn {
        let turn = turn(second);
        Turn { reported: Times { start: Some(at(second)), end: Some(at(second + 1)), ..turn.reported }, ..turn }
    }

    fn earlier(mut turns: Vec<Turn>, began: Option<i64>) -> Vec<bool> {
        mark(&mut turns, began.map(at));
        turns.iter().map(|turn| turn.earlier).collect()
    }

    #[test]
    fn a_stored_conversation_is_earlier() {
        let turns = || vec![turn(0), turn(5), turn(10 * DAY - 3), spoken(10 * DAY + 2), turn(10 * DAY + 9)];
        assert_eq!(earlier(turns(), Some(10 * DAY)), [true, true, false, false, false]);
        assert_eq!(earlier(turns(), None), [true, true, false, false, false], "a session without sound");
    }

    #[test]
    fn what_tells_how_it_was_spoken_is_of_this_session() {
        assert_eq!(earlier(vec![spoken(0), spoken(9), spoken(4_000)], Some(3_990)), [false; 3]);
        assert_eq!(earlier(vec![spoken(0), turn(9), turn(4_000)], None), [false; 3]);
    }

    #[test]
    fn a_clock_that_is_off_makes_no_earlier_conversation() {
        assert_eq!(earlier(vec![turn(0), turn(9), turn(60)], Some(3_600)), [false; 3]);
        assert_eq!(earlier(vec![turn(0), turn(9), turn(60)], None), [false; 3]);
        assert!(earlier(Vec::new(), Some(0)).is_empty());
    }

    #[test]
    fn several_conversations_are_earlier_than_this_one() {
        assert_eq!(
            earlier(vec![turn(0), turn(DAY), turn(2 * DAY), turn(2 * DAY + 5)], None),
            [true, true, false, false]
        );
    }

    proptest! {
        #[test]
        fn what_is_earlier_lies_before_the_rest(times in prop::collection::vec(0_i64..20 * DAY, 0..20), began in prop::option::of(0_i64..20 * DAY)) {
            let mut turns: Vec<Turn> = times.iter().map(|second| turn(*second)).collect();
            mark(&mut turns, began.map(at));
            let (before, after): (Vec<&Turn>, Vec<&Turn>) = turns.iter().partition(|turn| turn.earlier);
            prop_assert!(before.is_empty() || !after.is_empty());
            let last = before.iter().filter_map(|turn| made(turn)).max();
            prop_assert!(after.iter().filter_map(|turn| made(turn)).all(|made| last.is_none_or(|last| last < made)));
        }
    }
}
