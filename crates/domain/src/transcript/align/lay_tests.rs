//! Tests of aligning two recordings of one conversation.

use proptest::prelude::*;

use super::tests::{line, ms, spans};
use super::*;

/// Spans, each with its beginning and end.
type List = Vec<(i64, i64)>;

/// The agent's and the user's spans in a call of these lines: the pause before each, and its length.
fn call(lines: &[(i64, i64)]) -> (List, List) {
    let (mut at, mut agent, mut user) = (1_000, Vec::new(), Vec::new());
    for (number, &(pause, length)) in lines.iter().enumerate() {
        at += pause;
        if number % 2 == 0 { &mut agent } else { &mut user }.push((at, at + length));
        at += length;
    }
    (agent, user)
}

fn speech(agent: &[(i64, i64)], user: &[(i64, i64)], shift: i64) -> SpeechSpans {
    let moved =
        |list: &[(i64, i64)]| spans(&list.iter().map(|(from, to)| (from + shift, to + shift)).collect::<Vec<_>>());
    SpeechSpans::of_channels(moved(agent), moved(user))
}

const LINES: [(i64, i64); 10] = [
    (0, 3_100),
    (900, 4_700),
    (1_400, 2_300),
    (700, 6_100),
    (1_900, 1_500),
    (600, 2_900),
    (1_100, 5_300),
    (2_300, 900),
    (500, 3_700),
    (1_000, 2_100),
];

#[test]
fn a_session_is_found_in_its_room_however_far_its_clock_is_off() {
    let (agent, user) = call(&LINES);
    for shift in [0, 70, 5_000, -2_000, 3_600_000, -86_400_000] {
        let laid = lay(&speech(&agent, &user, shift), &speech(&agent, &user, 0)).unwrap();
        let (offset, is_there) = laid.offset(Role::User, ms(user[2].0 + shift));
        assert!((offset + shift * MS).abs() <= 10 * MS && is_there, "{shift}: {laid:?}");
    }
}

#[test]
fn a_voice_that_comes_later_on_its_way_has_a_shift_of_its_own() {
    let (agent, user) = call(&LINES);
    let late: Vec<(i64, i64)> = user.iter().map(|(from, to)| (from + 120, to + 120)).collect();
    let laid = lay(&speech(&agent, &late, 5_000), &speech(&agent, &user, 0)).unwrap();
    let of = |role| laid.offset(role, ms(20_000)).0 / MS;
    assert!((of(Role::Agent) + 5_000).abs() <= 10 && (of(Role::User) + 5_120).abs() <= 10, "{laid:?}");
}

#[test]
fn a_session_that_left_something_out_is_laid_in_pieces() {
    let (agent, user) = call(&LINES);
    let second: Vec<(i64, i64)> = LINES.iter().rev().map(|(pause, length)| (pause + 130, length + 210)).collect();
    let (more_agent, more_user) = call(&second);
    let later = |list: &[(i64, i64)], by: i64| list.iter().map(|(from, to)| (from + by, to + by)).collect::<Vec<_>>();
    let (room_agent, room_user) =
        ([agent.clone(), later(&more_agent, 60_000)].concat(), [user.clone(), later(&more_user, 60_000)].concat());
    // Twenty seconds in between are not in it.
    let (own_agent, own_user) =
        ([agent, later(&more_agent, 40_000)].concat(), [user, later(&more_user, 40_000)].concat());
    let laid = lay(&speech(&own_agent, &own_user, 0), &speech(&room_agent, &room_user, 0)).unwrap();
    let at = |time: i64| laid.offset(Role::Agent, ms(time)).0 / MS;
    assert!(at(5_000).abs() <= 10 && (at(45_000) - 20_000).abs() <= 10, "{laid:?}");
}

#[test]
fn what_sounds_every_second_stays_where_the_clocks_have_it() {
    let codes: List = (0..40).map(|n| (n * 1_000, n * 1_000 + 420)).collect();
    let laid = lay(&speech(&codes[12..28], &codes[12..28], 30), &speech(&codes, &codes, 0)).unwrap();
    assert!(laid.offset(Role::Agent, ms(20_000)).0.abs() <= 60 * MS, "{laid:?}");
    assert_eq!(
        lay(&speech(&codes[12..28], &codes[12..28], 3_600_000), &speech(&codes, &codes, 0)),
        None,
        "it may be anywhere"
    );
}

#[test]
fn a_session_that_the_room_has_a_part_of_stays_where_the_clocks_have_it() {
    // Of two agents who speak every second the session has one; the room has both, for a part of the time.
    let code = |n: i64, after: i64| (n * 1_000 + after, n * 1_000 + after + 300 + n * n % 7 * 8);
    for apart in [300, 400, 650] {
        let of = |range: std::ops::Range<i64>, after| range.map(|n| code(n, after)).collect::<List>();
        let room = speech(&[of(12..30, 0), of(12..30, apart)].concat(), &of(12..30, 250), 0);
        let laid = lay(&speech(&of(0..44, 0), &of(0..44, 250), 30), &room).unwrap();
        for (role, time) in [(Role::Agent, 1_000), (Role::Agent, 20_000), (Role::User, 43_000)] {
            assert!(laid.offset(role, ms(time)).0.abs() <= 90 * MS, "{apart}: {laid:?}");
        }
        assert_eq!(lay(&speech(&of(0..44, 0), &of(0..44, 250), 3_600_000), &room), None, "it may be anywhere");
    }
    // A call fits in one place only, wherever its clock is.
    let second = LINES.iter().rev().map(|(pause, length)| (pause + 130, length + 210));
    let (agent, user) = call(&LINES.into_iter().chain(second).collect::<Vec<_>>());
    let inside =
        |list: &List| list.iter().copied().filter(|(from, _)| (15_000..60_000).contains(from)).collect::<List>();
    for shift in [0, 300, 5_000, 30_000, -3_600_000] {
        let laid = lay(&speech(&agent, &user, shift), &speech(&inside(&agent), &inside(&user), 0)).unwrap();
        assert!((laid.offset(Role::Agent, ms(20_000 + shift)).0 + shift * MS).abs() <= 10 * MS, "{shift}: {laid:?}");
    }
}

#[test]
fn another_conversation_is_not_found() {
    let (agent, user) = call(&LINES);
    let other: Vec<(i64, i64)> = LINES.iter().map(|(pause, length)| (length / 2 + 300, pause * 2 + 500)).collect();
    let (other_agent, other_user) = call(&other);
    assert_eq!(lay(&speech(&other_agent, &other_user, 0), &speech(&agent, &user, 0)), None);
    assert_eq!(lay(&SpeechSpans::default(), &speech(&agent, &user, 0)), None);
}

#[test]
fn lines_of_a_session_stand_in_its_room_with_what_happened_between_them() {
    let (agent, user) = call(&LINES);
    for shift in [-3_600_000, 5_000] {
        let mut turns: Vec<Turn> = Vec::new();
        for (role, list) in [(Role::Agent, &agent), (Role::User, &user)] {
            turns.extend(list.iter().map(|&(from, to)| line(role, from + shift, to + shift)));
        }
        turns.sort_by_key(|turn| turn.reported.start);
        let mut call = Turn::new("tool", Kind::ToolCall, Role::Agent, "look()");
        call.reported.created = Some(ms(9_000 + shift));
        turns.push(call);
        let reported = Transcript { turns, alignment: Alignment::default() };
        let own = speech(&agent, &user, shift);
        let done = align_in_room(reported.clone(), Some(&own), &speech(&agent, &user, 0));
        for turn in &done.turns[..10] {
            let refined = turn.refined.unwrap();
            let off = refined.start.since(turn.reported.start.unwrap()) + shift * MS;
            assert!(!refined.approximate && off.abs() <= 100 * MS, "{shift}: {refined:?}");
        }
        assert!(done.alignment.time(ms(9_000 + shift)).since(ms(9_000)).abs() <= 20 * MS, "{:?}", done.alignment);
        // Without sound of its own, by the room's sound alone.
        let without = align_in_room(reported, None, &speech(&agent, &user, 0));
        assert!((without.alignment.offset_ms + shift).abs() <= 100, "{:?}", without.alignment);
    }
}

proptest! {
    #[test]
    fn any_two(
        one in prop::collection::vec((0_i64..5_000, 1_i64..5_000), 0..12),
        other in prop::collection::vec((0_i64..5_000, 1_i64..5_000), 0..12),
        shift in any::<i32>(),
    ) {
        let ((agent, user), (others_agent, others_user)) = (call(&one), call(&other));
        let _ = lay(&speech(&agent, &user, i64::from(shift)), &speech(&others_agent, &others_user, 0));
    }
}
