//! Tests of removing duplicate lines from several accounts of one call.

use proptest::prelude::*;

use super::super::{Alignment, Kind, Refined, Times, Turn};
use super::*;
use crate::time::WallTime;

fn at(ms: i64) -> WallTime {
    WallTime::from_millis(1_795_000_000_000 + ms)
}

/// A turn with these times, in milliseconds.
fn turn(role: Role, text: &str, start: i64, end: i64) -> Turn {
    Turn {
        reported: Times { start: Some(at(start)), end: Some(at(end)), ..Times::default() },
        ..Turn::new(text, Kind::Message, role, text)
    }
}

fn agent(text: &str, start: i64, end: i64) -> Turn {
    turn(Role::Agent, text, start, end)
}

fn user(text: &str, start: i64, end: i64) -> Turn {
    turn(Role::User, text, start, end)
}

fn transcript_of(turns: &[Turn]) -> Transcript {
    Transcript { turns: turns.to_vec(), ..Transcript::default() }
}

fn texts(transcript: &Transcript) -> Vec<&str> {
    transcript.turns.iter().map(|turn| turn.text.as_str()).collect()
}

/// What is left of the room's lines next to one session.
fn remaining(session: &[Turn], room: &[Turn]) -> Vec<String> {
    let all = once(vec![transcript_of(session)], Some(transcript_of(room)));
    assert_eq!(all[0], transcript_of(session), "a session's own lines stay");
    texts(&all[1]).into_iter().map(str::to_owned).collect()
}

#[test]
fn what_a_session_reports_is_not_repeated_and_the_rest_stays() {
    let session = [
        agent("Hello, how can I", 10_000, 12_000),
        user("What are your hours? And where are you?", 14_000, 19_000),
        user("Thank you", 90_000, 91_000),
    ];
    let room = [
        agent("Hello, how can I help you today?", 10_000, 14_000), // interrupted
        user("what are your hours", 14_000, 16_000),
        user("And where are you?", 17_000, 19_000),
        user("I would like to know that too", 20_000, 22_000), // somebody else
        agent("here is the link", 23_000, 23_000),             // typed into the chat
        user("Thank you", 40_000, 41_000),                     // another time
    ];
    assert_eq!(remaining(&session, &room), ["I would like to know that too", "here is the link", "Thank you"]);
    assert_eq!(once(Vec::new(), Some(transcript_of(&room))), [transcript_of(&room)]);
}

#[test]
fn lines_that_differ_in_how_they_are_written_are_one() {
    for (one, other) in [
        ("I can not find A1729.", "I cannot find A 1729"),
        ("don't worry", "Don’t worry!"),
        ("The café — is it open?", "the cafe\u{301} is it open"),
        ("E-mail me", "email me"),
        ("...", "..."),
        ("你好，世界", "你好世界"),
    ] {
        assert!(remaining(&[agent(one, 0, 2_000)], &[agent(other, 300, 2_500)]).is_empty(), "{one} {other}");
        assert!(remaining(&[user(one, 0, 2_000)], &[user(other, 300, 2_500)]).is_empty(), "{one} {other}");
    }
    assert_eq!(remaining(&[agent("cannot", 0, 2_000)], &[agent("not", 0, 2_000)]), ["not"], "a part of a word");
}

#[test]
fn pieces_that_do_not_fit_are_still_the_same_words() {
    let session = [user("I would like to book", 0, 2_000), user("a table for two", 2_500, 4_000)];
    let room = [user("I would like", 0, 1_000), user("to book a table", 1_200, 3_000), user("for two.", 3_100, 4_000)];
    assert!(remaining(&session, &room).is_empty());
    assert!(remaining(&session, &[user("I would like to book a table for two.", 0, 4_000)]).is_empty());
    assert!(remaining(&[user("I would like to book a table for two.", 0, 4_000)], &room).is_empty());
    assert!(
        remaining(&[agent("Hello there. How are you?", 0, 3_000)], &[agent("Hello there. How are y", 0, 2_800)])
            .is_empty()
    );
}

#[test]
fn the_same_words_said_again_are_two_lines() {
    let yes = |at: i64| user("Yes.", at, at + 400);
    assert_eq!(remaining(&[yes(0), yes(3_000)], &[yes(100), yes(3_100)]), [""; 0]);
    // Somebody whom the session does not have said it too.
    assert_eq!(remaining(&[yes(0)], &[yes(100), yes(3_000)]).len(), 1);
    assert_eq!(remaining(&[yes(0)], &[yes(20_000)]).len(), 1);
    let all = once(vec![transcript_of(&[yes(0), yes(4_000)]), transcript_of(&[yes(50), yes(4_100)])], None);
    assert_eq!((all[0].turns.len(), all[1].turns.len()), (2, 0));
    let all = once(vec![transcript_of(&[yes(0)]), transcript_of(&[yes(2_500)])], None);
    assert_eq!((all[0].turns.len(), all[1].turns.len()), (1, 1), "a word is soon said again");
}

#[test]
fn a_user_whom_two_agents_hear_is_shown_once_and_both_agents_stay() {
    let first = [agent("Hello, I am Nova.", 0, 2_000), user("Hi, can I speak to sales?", 3_000, 5_000)];
    let second = [user("hi can I speak to sales", 3_200, 5_100), agent("This is sales.", 6_000, 7_000)];
    let mut tool = Turn::new("t", Kind::ToolCall, Role::Agent, "Hello, I am Nova.");
    tool.reported.created = Some(at(500));
    let all = once(vec![transcript_of(&first), transcript_of(&[&second[..], &[tool]].concat())], None);
    assert_eq!(texts(&all[0]), ["Hello, I am Nova.", "Hi, can I speak to sales?"]);
    assert_eq!(texts(&all[1]), ["This is sales.", "Hello, I am Nova."]);
    // The account with the surer times is kept.
    let mut exact = transcript_of(&second);
    for turn in &mut exact.turns {
        let (start, end) = (turn.reported.start.unwrap(), turn.reported.end.unwrap());
        turn.refined = Some(Refined { start, end, approximate: false });
    }
    let all = once(vec![transcript_of(&first), exact], None);
    assert_eq!((texts(&all[0]), all[1].turns.len()), (vec!["Hello, I am Nova."], 2));
    // And with the room's transcript as well.
    let room = [&first[..], &second[..]].concat();
    let all = once(vec![transcript_of(&first), transcript_of(&second)], Some(transcript_of(&room)));
    assert_eq!(all.iter().map(|one| one.turns.len()).collect::<Vec<_>>(), [2, 1, 0]);
}

#[test]
fn an_agent_whom_another_one_hears_as_a_user_is_shown_as_an_agent() {
    let nova = [agent("I pass you on to sales. Goodbye.", 0, 3_000), user("Goodbye.", 3_500, 4_000)];
    let sales =
        [user("i pass you on to sales", 100, 2_000), user("goodbye", 2_200, 2_900), user("goodbye", 3_600, 4_100)];
    let all = once(vec![transcript_of(&nova), transcript_of(&sales)], None);
    assert_eq!((all[0].turns.len(), texts(&all[1])), (2, vec![""; 0]));
    // A user who repeats an agent's words does not overlap with it.
    let echo = [user("I pass you on to sales", 3_200, 5_000)];
    let all = once(vec![transcript_of(&nova), transcript_of(&echo)], None);
    assert_eq!(all[1].turns.len(), 1);
    // An agent that uploads nothing, but whom the room has.
    let all = once(vec![transcript_of(&sales[..1])], Some(transcript_of(&nova)));
    assert_eq!((all[0].turns.len(), all[1].turns.len()), (0, 2));
}

#[test]
fn clocks_that_are_apart_are_put_together_by_what_was_said() {
    let hour = 3_600_000;
    let session = |late: i64| {
        [
            agent("Hello, this is Nova.", late, late + 2_000),
            user("Hi, where is my parcel?", 3_000 + late, 5_000 + late),
            agent("It is on its way.", 6_000 + late, 8_000 + late),
            user("Yes.", 9_000 + late, 9_300 + late),
        ]
    };
    assert!(remaining(&session(hour), &session(0)).is_empty());
    assert!(remaining(&session(-7_000), &session(0)).is_empty());
    let all = once(vec![transcript_of(&session(0)), transcript_of(&session(hour))], None);
    assert_eq!((all[0].turns.len(), all[1].turns.len()), (4, 0));
    // Another call with the same greeting.
    let other = [
        agent("Hello, this is Nova.", hour, hour + 2_000),
        user("I want my money back.", hour + 3_000, hour + 4_000),
        agent("I am sorry about that.", hour + 6_000, hour + 7_000),
    ];
    assert_eq!(remaining(&other, &session(0)).len(), 4);
}

#[test]
fn times_that_were_found_in_the_sound_count_before_those_that_were_reported() {
    let mut session = transcript_of(&[user("Thank you", 8_000, 9_000), user("Thank you very much", 20_000, 21_000)]);
    session.turns[0].refined = Some(Refined { start: at(2_000), end: at(3_000), approximate: false });
    session.alignment = Alignment::off_by(-6_000);
    let room =
        [user("Thank you", 2_000, 2_500), user("Thank you very much", 14_000, 15_000), user("Thank you", 8_500, 9_000)];
    assert_eq!(texts(&once(vec![session], Some(transcript_of(&room)))[1]), ["Thank you"]);
}

proptest! {
    #[test]
    fn a_room_that_heard_what_the_session_tells_adds_nothing(lines in prop::collection::vec(("[a-z]{1,6}( [a-z]{1,6}){0,6}", any::<bool>()), 1..12), late in -1_500..1_500_i64) {
        let turn = |n: usize, (text, is_agent): &(String, bool), late: i64| {
            let start = 4_000 * n as i64 + late;
            turn(if *is_agent { Role::Agent } else { Role::User }, text, start, start + 3_000)
        };
        let session: Vec<Turn> = lines.iter().enumerate().map(|(n, line)| turn(n, line, 0)).collect();
        let room: Vec<Turn> = lines.iter().enumerate().map(|(n, line)| turn(n, line, late)).collect();
        let all = once(vec![transcript_of(&session)], Some(transcript_of(&room)));
        prop_assert_eq!(&all[0].turns, &session);
        prop_assert_eq!(texts(&all[1]), vec![""; 0]);
    }

    #[test]
    fn nothing_is_made_up_and_nothing_of_one_account_alone_is_lost(lines in prop::collection::vec(("[ab]{1,2}( [ab]{1,2}){0,2}", any::<bool>(), 0..20_000_i64, 0..3_000_i64), 0..12), which in any::<u32>()) {
        let turns: Vec<Turn> = lines.iter().map(|(text, is_agent, start, length)| turn(if *is_agent { Role::Agent } else { Role::User }, text, *start, start + length)).collect();
        let (session, room): (Vec<_>, Vec<_>) = turns.into_iter().enumerate().partition(|(n, _)| (which >> n) & 1 == 0);
        let bare = |turns: Vec<(usize, Turn)>| turns.into_iter().map(|(_, turn)| turn).collect::<Vec<_>>();
        let (session, room) = (bare(session), bare(room));
        let all = once(vec![transcript_of(&session)], Some(transcript_of(&room)));
        prop_assert!(all[1].turns.iter().all(|turn| room.contains(turn)));
        prop_assert_eq!(once(vec![transcript_of(&session)], None), vec![transcript_of(&session)]);
        prop_assert_eq!(once(Vec::new(), Some(transcript_of(&room))), vec![transcript_of(&room)]);
    }
}
