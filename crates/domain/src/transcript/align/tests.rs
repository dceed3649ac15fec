//! Tests of alignment: reported times against what is heard.

use super::*;
use crate::transcript::Times;

pub(super) fn ms(ms: i64) -> WallTime {
    WallTime::from_millis(ms)
}

pub(super) fn spans(list: &[(i64, i64)]) -> Vec<Span> {
    list.iter().map(|&(start, end)| Span { start: ms(start), end: ms(end) }).collect()
}

/// A text that takes this many milliseconds to say.
fn text(length: i64) -> String {
    "x".repeat((length * 15 / 1_000).max(1) as usize)
}

/// A line that is heard from `start` to `end`, as the agents SDK reports it.
pub(super) fn line(role: Role, start: i64, end: i64) -> Turn {
    let reported = match role {
        Role::Agent => {
            Times { start: Some(ms(start)), end: Some(ms(end + 385)), created: Some(ms(start - 300)), last_text: None }
        }
        _ => Times {
            start: Some(ms(start + 70)),
            end: Some(ms(end + 115)),
            created: Some(ms(end + 690)),
            last_text: None,
        },
    };
    Turn { reported, ..Turn::new(start.to_string(), Kind::Message, role, text(end - start)) }
}

pub(super) fn aligned(
    turns: Vec<Turn>,
    agent: &[(i64, i64)],
    user: &[(i64, i64)],
) -> (Vec<(i64, i64, bool)>, Alignment) {
    let transcript = Transcript { turns, alignment: Alignment::default() };
    let done = align(transcript, &SpeechSpans::of_channels(spans(agent), spans(user)), Account::Session);
    (times(&done), done.alignment)
}

pub(super) fn times(transcript: &Transcript) -> Vec<(i64, i64, bool)> {
    let of =
        |turn: &Turn| turn.refined.map_or((-1, -1, true), |r| (r.start.as_millis(), r.end.as_millis(), r.approximate));
    transcript.turns.iter().map(of).collect()
}

/// A call of four lines, as it is heard.
const AGENT: [(i64, i64); 2] = [(1_000, 5_000), (13_000, 21_000)];
const USER: [(i64, i64); 2] = [(6_500, 11_300), (23_400, 26_400)];
const HEARD: [(Role, i64, i64); 4] = [
    (Role::Agent, 1_000, 5_000),
    (Role::User, 6_500, 11_300),
    (Role::Agent, 13_000, 21_000),
    (Role::User, 23_400, 26_400),
];

/// The call as the SDK reports it, changed.
fn reported_call(change: impl Fn(usize, &mut Turn)) -> Vec<Turn> {
    let mut turns: Vec<Turn> = HEARD.iter().map(|&(role, start, end)| line(role, start, end)).collect();
    turns.iter_mut().enumerate().for_each(|(number, turn)| change(number, turn));
    turns
}

fn found(turns: Vec<Turn>) -> Vec<(i64, i64, bool)> {
    aligned(turns, &AGENT, &USER).0
}

fn exact() -> Vec<(i64, i64, bool)> {
    HEARD.iter().map(|&(_, start, end)| (start, end, false)).collect()
}

#[test]
fn what_the_sdk_reports_is_where_it_is_heard() {
    assert_eq!(found(reported_call(|_, _| {})), exact());
}

#[test]
fn an_interrupted_line_ends_with_its_last_sound() {
    let mut cut = line(Role::Agent, 27_450, 32_900);
    cut.interrupted = true;
    cut.reported.end = Some(ms(35_866));
    let turns = vec![cut, line(Role::User, 32_250, 35_200), line(Role::Agent, 36_230, 39_510)];
    let (times, alignment) = aligned(turns, &[(27_470, 32_900), (36_230, 39_510)], &[(32_250, 35_200)]);
    assert_eq!(times, [(27_470, 32_900, false), (32_250, 35_200, false), (36_230, 39_510, false)]);
    assert_eq!((alignment.method, alignment.offset_ms), (Method::VoiceActivity, 0));
}

#[test]
fn a_false_interruption_does_not_cut_a_line() {
    let (times, _) =
        aligned(vec![line(Role::Agent, 1_000, 12_000)], &[(1_010, 4_000), (7_000, 12_000)], &[(4_100, 4_500)]);
    assert_eq!(times, [(1_010, 12_000, false)]);
}

#[test]
fn a_line_of_which_nothing_is_heard_stays_and_is_marked() {
    let (times, _) = aligned(vec![line(Role::User, 5_000, 6_000)], &[(5_000, 6_000)], &[]);
    assert_eq!(times, [(5_070, 6_115, true)]);
}

#[test]
fn a_start_without_an_end_ends_where_the_voice_does() {
    // As realtime models report it: created at the start.
    let turns = reported_call(|number, turn| {
        if turn.role == Role::User {
            turn.reported = Times { end: None, created: turn.reported.start, ..turn.reported };
        }
        let _ = number;
    });
    assert_eq!(found(turns), exact());
}

#[test]
fn a_start_that_was_taken_over_from_the_turn_before_is_outvoted() {
    let turns = reported_call(|number, turn| {
        if number == 3 {
            turn.reported.start = Some(ms(11_425));
        }
    });
    let found = found(turns);
    assert_eq!((found[3].0, found[3].1), (23_400, 26_400), "{found:?}");
}

#[test]
fn an_end_before_the_start_or_far_from_it_is_outvoted() {
    for end in [6_000, 400, 19_000, 100_000] {
        let found = found(reported_call(|number, turn| {
            if number == 1 {
                turn.reported.end = Some(ms(end));
            }
        }));
        assert_eq!(
            found.iter().map(|f| (f.0, f.1)).collect::<Vec<_>>(),
            exact().iter().map(|f| (f.0, f.1)).collect::<Vec<_>>(),
            "{end}"
        );
    }
}

#[test]
fn lines_without_any_time_of_their_own_claim_what_is_heard_in_their_order() {
    for made_late in [0, 10_000] {
        let found = found(reported_call(|_, turn| {
            let late = if turn.role == Role::User { made_late } else { 0 };
            turn.reported =
                Times { created: turn.reported.created.map(|made| made.plus_nanos(late * MS)), ..Times::default() };
        }));
        assert_eq!(
            found.iter().map(|f| (f.0, f.1)).collect::<Vec<_>>(),
            exact().iter().map(|f| (f.0, f.1)).collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_was_taken_for_typed_is_heard_unless_a_recogniser_tells_of_the_others() {
    let bare = |turn: &mut Turn| {
        turn.typed = true;
        turn.reported =
            Times { created: Some(turn.reported.created.unwrap().plus_nanos(9_000 * MS)), ..Times::default() };
    };
    let found = found(reported_call(|_, turn| {
        if turn.role == Role::User {
            bare(turn);
        }
    }));
    assert_eq!((found[1].0, found[1].1, found[3].0, found[3].1), (6_500, 11_300, 23_400, 26_400), "{found:?}");
    // A typed message in a call whose other lines were recognised.
    let mut turns = reported_call(|_, _| {});
    let mut typed = line(Role::User, 30_000, 33_000);
    bare(&mut typed);
    turns.push(typed);
    let (times, _) = aligned(turns, &AGENT, &USER);
    assert_eq!((&times[..4], times[4].0), (&exact()[..], -1));
    // And with nothing to be heard at all.
    let mut alone = line(Role::User, 5_000, 6_000);
    bare(&mut alone);
    assert_eq!(aligned(vec![alone], &[(5_000, 6_000)], &[]).0, [(-1, -1, true)]);
}

#[test]
fn one_utterance_that_is_reported_as_two_turns_is_shared() {
    let whole = (6_500, 11_300);
    // With a pause in it, and each with times of its own or with none.
    for times in [true, false] {
        let mut turns = vec![line(Role::User, 6_500, 8_500), line(Role::User, 8_750, 11_300)];
        turns[1].reported.start = turns[0].reported.start;
        if !times {
            for turn in &mut turns {
                turn.reported = Times { created: Some(ms(11_990)), ..Times::default() };
            }
        }
        let (found, _) = aligned(turns, &AGENT, &[(6_500, 8_500), (8_700, 11_300)]);
        assert_eq!((found[0].0, found[0].1, found[1].0, found[1].1), (6_500, 8_500, 8_700, 11_300), "{times}");
    }
    // Without: by the length of the texts.
    let mut turns = vec![line(Role::User, 6_500, 8_500), line(Role::User, 8_500, 11_300)];
    for turn in &mut turns {
        turn.reported = Times { created: Some(ms(11_990)), ..Times::default() };
    }
    let (found, _) = aligned(turns, &AGENT, &[whole]);
    assert!(found[0].0 == 6_500 && found[1].1 == 11_300 && found[0].1 == found[1].0, "{found:?}");
    assert!((8_300..8_700).contains(&found[0].1) && found[0].2 && found[1].2, "{found:?}");
}

#[test]
fn a_clock_that_was_set_in_the_middle_is_followed() {
    let call: Vec<(Role, i64, i64)> = (0..12)
        .map(|n: i64| {
            let start = 1_000 + n * 5_000 + n * n * 37;
            (if n % 2 == 0 { Role::Agent } else { Role::User }, start, start + 2_000 + n % 5 * 400)
        })
        .collect();
    let of = |wanted| call.iter().filter(|l| l.0 == wanted).map(|l| (l.1, l.2)).collect::<Vec<_>>();
    for step in [5_000, -3_000, 3_600_000, -86_000_000] {
        let turns = call.iter().enumerate().map(|(n, &(role, start, end))| {
            let shift = if n >= 6 { step * MS } else { 0 };
            let mut turn = line(role, start, end);
            let times = &mut turn.reported;
            [&mut times.start, &mut times.end, &mut times.created]
                .into_iter()
                .flatten()
                .for_each(|t| *t = t.plus_nanos(shift));
            turn
        });
        let (times, alignment) = aligned(turns.collect(), &of(Role::Agent), &of(Role::User));
        let right: Vec<_> = call.iter().map(|&(_, start, end)| (start, end, false)).collect();
        assert_eq!(times, right, "{step}");
        let shift = alignment.time(ms(call[8].1 + step)).since(ms(call[8].1 + step));
        assert!((shift + step * MS).abs() < 100 * MS, "{step}: {alignment:?}");
    }
}

#[test]
fn a_clock_that_may_be_off_by_anything_is_left_as_it_is() {
    // A sound every second, half a second off the lines.
    let codes: Vec<(i64, i64)> = (0..40).map(|n| (n * 1_000, n * 1_000 + 420)).collect();
    let turns = [(3_500, Role::Agent), (12_500, Role::User), (25_500, Role::Agent)];
    let turns = turns.map(|(at, role)| line(role, at, at + 1_000)).to_vec();
    let (times, alignment) = aligned(turns, &codes, &codes);
    assert_eq!(alignment.offset_ms, 0);
    for (found, reported) in times.iter().zip([3_500, 12_500, 25_500]) {
        assert!((found.0 - reported).abs() <= 1_500, "{times:?}");
    }
}

#[test]
fn one_line_that_is_reported_wrong_does_not_move_the_others() {
    for shift in [-2_000, 2_000, 60_000] {
        let found = found(reported_call(|number, turn| {
            if number == 2 {
                let times = &mut turn.reported;
                [&mut times.start, &mut times.end].into_iter().flatten().for_each(|t| *t = t.plus_nanos(shift * MS));
            }
        }));
        assert_eq!((found[0], found[1], found[3]), (exact()[0], exact()[1], exact()[3]), "{shift}");
        assert!((found[2].0, found[2].1) == (13_000, 21_000) || found[2].2, "{shift}: {found:?}");
    }
}

#[test]
fn a_poor_fit_is_not_applied_and_is_marked() {
    let turns = reported_call(|_, _| {});
    let (times, alignment) = aligned(turns, &[(40_000, 40_400), (47_000, 47_300)], &[(52_100, 52_300)]);
    assert!(times.iter().all(|time| time.2), "{times:?}");
    assert_eq!(alignment.offset_ms, 0);
}

#[test]
fn what_a_room_overhears_lies_on_the_speakers_own_track() {
    let written = |role, first: i64, last: i64, speaker: &str, length| Turn {
        speaker: Some(speaker.to_owned()),
        reported: Times { created: Some(ms(first)), last_text: Some(ms(last)), ..Times::default() },
        ..Turn::new(first.to_string(), Kind::Message, role, text(length))
    };
    let voice = |role, speaker: &str, list: &[(i64, i64)]| Voice {
        noisy: false,
        role,
        speaker: Some(speaker.to_owned()),
        spans: spans(list),
    };
    let speech = SpeechSpans {
        voices: vec![
            voice(Role::Agent, "nova", &AGENT),
            voice(Role::User, "bob", &[(6_500, 9_000), (9_300, 11_300)]),
            voice(Role::User, "carol", &[(7_000, 7_600), (23_400, 26_400)]),
        ],
        until: None,
    };
    let turns = vec![
        written(Role::Agent, 1_200, 4_800, "nova", 4_000),
        written(Role::User, 7_100, 11_700, "bob", 4_800),
        written(Role::User, 8_000, 8_000, "carol", 600),
        written(Role::Agent, 12_900, 13_100, "nova", 8_000), // all at once, before its sound
        written(Role::User, 26_900, 26_900, "carol", 3_000),
    ];
    let done = align(Transcript { turns, alignment: Alignment::default() }, &speech, Account::Room);
    let found: Vec<_> = times(&done).into_iter().map(|(start, end, _)| (start, end)).collect();
    assert_eq!(found, [(1_000, 5_000), (6_500, 11_300), (7_000, 7_600), (13_000, 21_000), (23_400, 26_400)]);
    assert!(times(&done).iter().filter(|time| !time.2).count() >= 3, "{:?}", times(&done));
}

/// A room's lines, each written whole and all at once, `late` milliseconds after it begins or ends.
pub(super) fn whole(lines: &[(Role, i64, i64)], late: impl Fn(Role) -> (bool, i64)) -> Vec<Turn> {
    let of = |&(role, start, end): &(Role, i64, i64)| {
        let (at_end, late) = late(role);
        let at = Some(ms(if at_end { end } else { start } + late));
        let reported = Times { created: at, last_text: at, ..Times::default() };
        Turn { reported, ..Turn::new(start.to_string(), Kind::Message, role, text(end - start)) }
    };
    lines.iter().map(of).collect()
}

/// The caller and agent of a recorded call, with the pauses in their lines.
const CALLER: [(i64, i64); 6] =
    [(6_440, 8_900), (9_120, 11_260), (23_300, 26_340), (32_170, 35_150), (41_500, 43_980), (53_200, 55_100)];
const CALLED: [(i64, i64); 7] = [
    (240, 4_650),
    (13_180, 16_400),
    (16_600, 21_460),
    (27_460, 32_900),
    (36_210, 39_640),
    (45_760, 51_650),
    (56_630, 59_400),
];

#[test]
fn lines_that_are_written_as_they_begin_are_not_laid_on_what_was_said_before() {
    let said = [(6_440, 11_260), (23_300, 26_340), (32_170, 35_150), (41_500, 43_980), (53_200, 55_100)];
    let lines: Vec<_> = said.iter().map(|&(start, end)| (Role::User, start, end)).collect();
    let speech = SpeechSpans::of_channels(spans(&CALLED), spans(&CALLER));
    for late in [-150, 0, 250] {
        let turns = whole(&lines, |_| (false, late));
        let done = align(Transcript { turns, alignment: Alignment::default() }, &speech, Account::Room);
        assert_eq!(times(&done), said.map(|(start, end)| (start, end, false)), "{late} ms");
    }
}

/// Whatever is given, it is weighed in bounded time and memory.
#[test]
fn very_many_lines_and_very_much_sound() {
    let spans: Vec<(i64, i64)> = (0..20_000).map(|n| (n * 200, n * 200 + 70)).collect();
    let turns = (0..30_000).map(|n| Turn {
        reported: Times {
            start: (n % 3 == 0).then(|| ms(n * 7)),
            created: (n % 2 == 0).then(|| ms(4_000_000 - n)),
            ..Times::default()
        },
        ..Turn::new(n.to_string(), Kind::Message, Role::Agent, "x".repeat(if n % 1_000 == 0 { 60_000 } else { 30 }))
    });
    let speech = SpeechSpans::of_channels(self::spans(&spans), self::spans(&spans));
    let done =
        align_in_room(Transcript { turns: turns.collect(), alignment: Alignment::default() }, Some(&speech), &speech);
    assert_eq!(done.turns.len(), 30_000);
}
