//! Properties of alignment: of any call, whatever is reported of it.

use proptest::prelude::*;

use super::tests::{aligned, line, ms, spans, times, whole};
use super::*;
use crate::transcript::Times;

prop_compose! {
    fn conversation()(gaps in prop::collection::vec((300_i64..4_000, 700_i64..6_000), 3..20)) -> Vec<(Role, i64, i64)> {
        let mut at = 10_000;
        gaps.iter().enumerate().map(|(n, &(pause, length))| {
            at += pause + 400;
            let start = at;
            at += length;
            (if n % 2 == 0 { Role::Agent } else { Role::User }, start, at)
        }).collect()
    }
}

fn shifted(lines: &[(Role, i64, i64)], shift: i64) -> Vec<Turn> {
    let mut turns: Vec<Turn> = lines.iter().map(|&(role, start, end)| line(role, start, end)).collect();
    for times in turns.iter_mut().map(|turn| &mut turn.reported) {
        [&mut times.start, &mut times.end, &mut times.created]
            .into_iter()
            .flatten()
            .for_each(|t| *t = t.plus_nanos(shift * MS));
    }
    turns
}

fn of(lines: &[(Role, i64, i64)], role: Role) -> Vec<(i64, i64)> {
    lines.iter().filter(|line| line.0 == role).map(|line| (line.1, line.2)).collect()
}

proptest! {
    #[test]
    fn refined_lines_hold_together(lines in conversation(), shift in -150_i64..150) {
        let (times, _) = aligned(shifted(&lines, shift), &of(&lines, Role::Agent), &of(&lines, Role::User));
        for (&(_, start, end), &(s, e, approximate)) in lines.iter().zip(&times) {
            prop_assert!(!approximate, "{times:?} for {lines:?}");
            prop_assert_eq!((s, e), (start, end));
        }
    }

    #[test]
    fn lines_that_come_whole_are_found_or_marked(
        lines in conversation(), agent in (any::<bool>(), 0_i64..250), user in (any::<bool>(), -100_i64..1_200),
    ) {
        // A writer that writes a line as it begins has its text before, or together with, its sound.
        let at = |(at_end, late): (bool, i64)| (at_end, if at_end { late.abs() } else { late.min(250) });
        let turns = whole(&lines, |role| at(if role == Role::Agent { agent } else { user }));
        let speech = SpeechSpans::of_channels(spans(&of(&lines, Role::Agent)), spans(&of(&lines, Role::User)));
        let done = align(Transcript { turns, alignment: Alignment::default() }, &speech, Account::Room);
        for (&(_, start, end), &(s, e, approximate)) in lines.iter().zip(&times(&done)) {
            prop_assert!(approximate || (s, e) == (start, end), "{:?} for {lines:?}", times(&done));
        }
    }

    #[test]
    fn a_constant_offset_is_found(lines in conversation(), shift in prop_oneof![-86_000_000_i64..-700, 700_i64..86_000_000, -5_000_i64..-700, 700_i64..5_000]) {
        prop_assume!(lines.len() >= 6);
        let (times, alignment) = aligned(shifted(&lines, shift), &of(&lines, Role::Agent), &of(&lines, Role::User));
        for (&(_, start, end), &(s, e, approximate)) in lines.iter().zip(&times) {
            prop_assert!(approximate || (s - start).abs() <= 20 && (e - end).abs() <= 20, "{s} {e} for {start} {end}");
        }
        prop_assert!((alignment.offset_ms + shift).abs() <= 150, "{} for {shift}", alignment.offset_ms);
    }

    /// Whatever is reported, and whatever is heard: no line ends before it begins, and no two claim the same sound.
    #[test]
    fn any_report_and_any_speech(
        lines in prop::collection::vec((any::<bool>(), prop::option::of(0_i64..90_000), prop::option::of(0_i64..90_000), prop::option::of(0_i64..90_000), any::<bool>(), 0_usize..80), 0..12),
        sounds in prop::collection::vec((any::<bool>(), 1_i64..3_000, 130_i64..4_000), 0..30),
        account in prop_oneof![Just(Account::Session), Just(Account::Room)],
    ) {
        let turns = lines.iter().enumerate().map(|(number, &(agent, start, end, created, typed, letters))| {
            let time = |time: Option<i64>| time.map(ms);
            Turn {
                reported: Times { start: time(start), end: time(end), created: time(created), last_text: time(end) },
                typed,
                ..Turn::new(number.to_string(), Kind::Message, if agent { Role::Agent } else { Role::User }, "x".repeat(letters))
            }
        });
        let mut voices = [(0, Vec::new()), (0, Vec::new())];
        for &(agent, length, pause) in &sounds {
            let (at, spans) = &mut voices[usize::from(agent)];
            *at += pause;
            spans.push((*at, *at + length));
            *at += length;
        }
        let transcript = Transcript { turns: turns.collect(), alignment: Alignment::default() };
        let speech = SpeechSpans::of_channels(spans(&voices[1].1), spans(&voices[0].1));
        let done = align(transcript, &speech, account);
        for role in [Role::Agent, Role::User] {
            let mut exact: Vec<_> = done.turns.iter().filter(|turn| turn.role == role).filter_map(|turn| turn.refined).collect();
            prop_assert!(exact.iter().all(|refined| refined.start <= refined.end));
            exact.retain(|refined| !refined.approximate);
            exact.sort_by_key(|refined| refined.start);
            prop_assert!(exact.windows(2).all(|pair| pair[0].end <= pair[1].start), "{exact:?}");
        }
    }
}
