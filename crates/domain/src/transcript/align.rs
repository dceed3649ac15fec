//! From the times that a source reports to the times that are heard.
//!
//! The agents SDK is right about when its agent begins to speak, about 0.1 s late about the user, 0.4 s late about ends and
//! 3 s late about the end of an interrupted line; realtime models report nothing. Each speaker has a channel, so the sound
//! can be asked: an onset near a reported start is the start, the last sound before a reported end is the end.

use super::{Alignment, Kind, Method, Refined, Role, Transcript, Turn};
use crate::time::WallTime;

/// A stretch in which somebody is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start: WallTime,
    /// Its end, after the beginning.
    pub end: WallTime,
}

/// What is heard on the two channels; each list is ordered and without overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    /// The agent's channel.
    pub agent: Vec<Span>,
    /// Everybody else's.
    pub user: Vec<Span>,
}

impl Heard {
    fn of(&self, role: Role) -> &[Span] {
        match role {
            Role::Agent => &self.agent,
            Role::User => &self.user,
            Role::System => &[],
        }
    }
}

const MS: i64 = 1_000_000;
/// An onset this much before a reported start may be that start.
const EARLIER: i64 = 350 * MS;
/// An onset this much after a reported start may be that start.
const LATER: i64 = 600 * MS;
/// Sound may go on this long after a reported end.
const AFTER_END: i64 = 150 * MS;
/// Offsets are looked for up to this, in this step.
const WIDEST: i64 = 3_000 * MS;
const STEP: i64 = 20 * MS;
/// Pauses that do not part a line whose times are not reported.
const BREATH: i64 = 1_200 * MS;

/// Refines the times of a transcript by what is heard. Times that were refined before are made anew.
pub fn align(transcript: Transcript, heard: &Heard) -> Transcript {
    align_within(transcript, heard, WIDEST)
}

/// The same for a source whose clock is ours, so that there is no offset to be found.
pub fn align_same_clock(transcript: Transcript, heard: &Heard) -> Transcript {
    align_within(transcript, heard, 0)
}

fn align_within(mut transcript: Transcript, heard: &Heard, widest: i64) -> Transcript {
    let (offset, confidence) = calibrate(&transcript.turns, heard, widest);
    for role in [Role::Agent, Role::User] {
        refine_reported(&mut transcript.turns, role, heard.of(role), offset);
        claim_unreported(&mut transcript.turns, role, heard.of(role));
    }
    let any = transcript.turns.iter().any(|turn| turn.refined.is_some());
    if any {
        transcript.alignment = Alignment { method: Method::VoiceActivity, offset_ms: offset / MS, confidence };
    }
    transcript
}

fn is_spoken(turn: &Turn) -> bool {
    turn.kind == Kind::Message && !turn.typed
}

/// The constant offset between the reported times and the sound, in nanoseconds, and how sure it is.
///
/// The source's own clock is believed unless another offset fits clearly better.
fn calibrate(turns: &[Turn], heard: &Heard, widest: i64) -> (i64, f64) {
    let lines: Vec<(Role, WallTime, WallTime)> = turns
        .iter()
        .filter(|turn| is_spoken(turn) && !turn.interrupted)
        .filter_map(|turn| Some((turn.role, turn.reported.start?, turn.reported.end?)))
        .filter(|(role, start, end)| end > start && !heard.of(*role).is_empty())
        .collect();
    if lines.is_empty() {
        return (0, 0.0);
    }
    let fit = |offset: i64| {
        let shares = lines.iter().map(|(role, start, end)| {
            let (start, end) = (start.plus_nanos(offset), end.plus_nanos(offset));
            fit_of_line(heard.of(*role), start, end)
        });
        shares.sum::<f64>() / lines.len() as f64
    };
    let here = fit(0);
    let steps = widest / STEP;
    let candidates = (-steps..=steps).map(|step| step * STEP).map(|offset| (fit(offset), offset));
    let best = candidates.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.abs().cmp(&a.1.abs())));
    match best {
        Some((score, offset)) if lines.len() >= 2 && score > here + 0.15 && offset.abs() > 300 * MS => (offset, score),
        _ => (0, here),
    }
}

/// How well a line fits what is heard: 1 when sound fills it and begins with it.
fn fit_of_line(spans: &[Span], start: WallTime, end: WallTime) -> f64 {
    let first = spans.partition_point(|span| span.end <= start);
    let inside = spans[first..].iter().take_while(|span| span.start < end);
    let covered: i64 = inside.map(|span| span.end.min(end).since(span.start.max(start))).sum();
    let onset = nearest_onset(spans, start).map_or(i64::MAX, |onset| onset.since(start).abs());
    let near = 1.0 - onset.min(LATER) as f64 / LATER as f64;
    0.5 * covered as f64 / end.since(start) as f64 + 0.5 * near
}

fn nearest_onset(spans: &[Span], time: WallTime) -> Option<WallTime> {
    let after = spans.partition_point(|span| span.start < time);
    let before = after.checked_sub(1).and_then(|at| spans.get(at));
    let around = [before, spans.get(after)].into_iter().flatten().map(|span| span.start);
    around.min_by_key(|onset| onset.since(time).abs())
}

fn refine_reported(turns: &mut [Turn], role: Role, spans: &[Span], offset: i64) {
    let starts: Vec<WallTime> = {
        let mine = turns.iter().filter(|turn| turn.role == role && is_spoken(turn));
        let mut starts: Vec<_> = mine.filter_map(|turn| turn.reported.start).map(|t| t.plus_nanos(offset)).collect();
        starts.sort_unstable();
        starts
    };
    for turn in turns.iter_mut().filter(|turn| turn.role == role && is_spoken(turn)) {
        let Some(reported) = turn.reported.start else { continue };
        let start = reported.plus_nanos(offset);
        let end = turn.reported.end.map(|end| end.plus_nanos(offset).max(start));
        // The next line of the same speaker bounds this one: what is heard from there on is not this line.
        let next = starts.get(starts.partition_point(|other| *other <= start)).copied();
        turn.refined = Some(refine(spans, start, end, next));
    }
}

fn refine(spans: &[Span], start: WallTime, end: Option<WallTime>, next: Option<WallTime>) -> Refined {
    let before_next = |time: WallTime| next.is_none_or(|next| time < next.plus_nanos(-EARLIER).max(start));
    let onset = nearest_onset(spans, start)
        .filter(|onset| (-EARLIER..=LATER).contains(&onset.since(start)))
        .filter(|onset| *onset <= start || before_next(*onset));
    let in_speech = spans.iter().any(|span| span.start <= start && start < span.end);
    let begin = match onset {
        Some(onset) => onset,
        None => start,
    };
    let limit = match (end, next) {
        (Some(end), Some(next)) => end.plus_nanos(AFTER_END).min(next.max(begin)),
        (Some(end), None) => end.plus_nanos(AFTER_END),
        (None, Some(next)) => next.max(begin),
        (None, None) => spans.last().map_or(begin, |span| span.end),
    };
    // The last sound that begins within the line; what of it lies behind the limit belongs to what follows.
    let last = spans.iter().rev().find(|span| span.start < limit && span.end > begin);
    let heard_until = last.map(|span| span.end.min(limit)).filter(|until| *until > begin);
    let nothing_heard = onset.is_none() && !in_speech;
    Refined {
        start: begin,
        end: heard_until.or(end).unwrap_or(begin).max(begin),
        approximate: nothing_heard || heard_until.is_none(),
    }
}

/// Lines without reported times: laid on sound of their speaker that no other line has claimed, near to when the item was
/// made. An agent's item is made before its sound, a user's after it.
fn claim_unreported(turns: &mut [Turn], role: Role, spans: &[Span]) {
    let mut free: Vec<Span> = spans.to_vec();
    for turn in turns.iter().filter(|turn| turn.role == role && is_spoken(turn)) {
        if let (Some(_), Some(refined)) = (turn.reported.start, turn.refined) {
            free.retain(|span| span.end <= refined.start || span.start >= refined.end);
        }
    }
    let created: Vec<WallTime> = {
        let mine = turns.iter().filter(|turn| turn.role == role && is_spoken(turn) && turn.reported.start.is_none());
        mine.filter_map(|turn| turn.reported.created).collect()
    };
    for turn in turns.iter_mut().filter(|turn| turn.role == role && is_spoken(turn)) {
        let (None, Some(made)) = (turn.reported.start, turn.reported.created) else { continue };
        turn.refined = if role == Role::Agent {
            let until = created.iter().copied().filter(|other| *other > made).min();
            claim_after(&mut free, made, until)
        } else {
            claim_before(&mut free, made)
        };
    }
}

fn claim_after(free: &mut Vec<Span>, made: WallTime, until: Option<WallTime>) -> Option<Refined> {
    let first = free.iter().position(|span| span.end > made.plus_nanos(-EARLIER))?;
    if until.is_some_and(|until| free[first].start >= until) {
        return None;
    }
    let mut last = first;
    while let Some(next) = free.get(last + 1) {
        if next.start.since(free[last].end) > BREATH || until.is_some_and(|until| next.start >= until) {
            break;
        }
        last += 1;
    }
    Some(take(free, first, last))
}

fn claim_before(free: &mut Vec<Span>, made: WallTime) -> Option<Refined> {
    let last = free.iter().rposition(|span| span.start < made)?;
    let mut first = last;
    while first > 0 && free[first].start.since(free[first - 1].end) <= BREATH {
        first -= 1;
    }
    Some(take(free, first, last))
}

fn take(free: &mut Vec<Span>, first: usize, last: usize) -> Refined {
    let refined = Refined { start: free[first].start, end: free[last].end, approximate: true };
    free.drain(first..=last);
    refined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::Times;
    use proptest::prelude::*;

    fn ms(ms: i64) -> WallTime {
        WallTime::from_millis(ms)
    }

    fn spans(list: &[(i64, i64)]) -> Vec<Span> {
        list.iter().map(|&(start, end)| Span { start: ms(start), end: ms(end) }).collect()
    }

    fn line(role: Role, start: i64, end: i64) -> Turn {
        Turn {
            reported: Times { start: Some(ms(start)), end: Some(ms(end)), created: Some(ms(end + 500)) },
            ..Turn::new(start.to_string(), Kind::Message, role, "x")
        }
    }

    fn aligned(turns: Vec<Turn>, agent: &[(i64, i64)], user: &[(i64, i64)]) -> (Vec<(i64, i64, bool)>, Alignment) {
        let transcript = Transcript { turns, alignment: Alignment::default() };
        let done = align(transcript, &Heard { agent: spans(agent), user: spans(user) });
        let times = done.turns.iter().map(|turn| {
            turn.refined.map_or((-1, -1, true), |r| (r.start.as_millis(), r.end.as_millis(), r.approximate))
        });
        (times.collect(), done.alignment)
    }

    #[test]
    fn an_interrupted_line_ends_with_its_last_sound() {
        let mut cut = line(Role::Agent, 27_450, 35_866);
        cut.interrupted = true;
        let turns = vec![cut, line(Role::User, 32_328, 35_317), line(Role::Agent, 36_221, 39_899)];
        let (times, alignment) = aligned(turns, &[(27_470, 32_900), (36_230, 39_510)], &[(32_250, 35_200)]);
        assert_eq!(times, [(27_470, 32_900, false), (32_250, 35_200, false), (36_230, 39_510, false)]);
        assert_eq!((alignment.method, alignment.offset_ms), (Method::VoiceActivity, 0));
    }

    #[test]
    fn a_false_interruption_does_not_cut_a_line() {
        let (times, _) = aligned(vec![line(Role::Agent, 1_000, 12_400)], &[(1_010, 4_000), (7_000, 12_000)], &[]);
        assert_eq!(times, [(1_010, 12_000, false)]);
    }

    #[test]
    fn a_line_of_which_nothing_is_heard_stays_and_is_marked() {
        let (times, _) = aligned(vec![line(Role::User, 5_000, 6_000)], &[(5_000, 6_000)], &[(20_000, 21_000)]);
        assert_eq!(times, [(5_000, 6_000, true)]);
    }

    #[test]
    fn lines_without_times_claim_what_is_free() {
        let mut agent = line(Role::Agent, 0, 0);
        agent.reported = Times { start: None, end: None, created: Some(ms(900)) };
        let mut user = line(Role::User, 0, 0);
        user.reported = Times { start: None, end: None, created: Some(ms(9_000)) };
        let (times, _) = aligned(vec![agent, user], &[(1_200, 3_000), (3_500, 4_000)], &[(6_000, 8_200)]);
        assert_eq!(times, [(1_200, 4_000, true), (6_000, 8_200, true)]);
    }

    #[test]
    fn a_typed_message_is_left_alone() {
        let mut typed = line(Role::User, 5_000, 6_000);
        typed.typed = true;
        assert_eq!(aligned(vec![typed], &[], &[(5_000, 6_000)]).0, [(-1, -1, true)]);
    }

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

    proptest! {
        #[test]
        fn refined_lines_hold_together(lines in conversation(), shift in -200_i64..200) {
            let turns: Vec<_> = lines.iter().map(|&(role, start, end)| line(role, start + shift, end + shift)).collect();
            let of = |wanted| lines.iter().filter(|l| l.0 == wanted).map(|l| (l.1, l.2)).collect::<Vec<_>>();
            let (agent, user) = (of(Role::Agent), of(Role::User));
            let (times, _) = aligned(turns, &agent, &user);
            for (&(_, start, end), &(s, e, approximate)) in lines.iter().zip(&times) {
                prop_assert!(s <= e && !approximate);
                prop_assert!((s - start).abs() <= 20, "{s} for {start}");
                prop_assert!((e - end).abs() <= 250, "{e} for {end}");
            }
        }

        #[test]
        fn a_constant_offset_is_found(lines in conversation(), shift in prop_oneof![-2_500_i64..-700, 700_i64..2_500]) {
            prop_assume!(lines.len() >= 6);
            let turns: Vec<_> = lines.iter().map(|&(role, start, end)| line(role, start + shift, end + shift)).collect();
            let of = |wanted| lines.iter().filter(|l| l.0 == wanted).map(|l| (l.1, l.2)).collect::<Vec<_>>();
            let (_, alignment) = aligned(turns, &of(Role::Agent), &of(Role::User));
            prop_assert!((alignment.offset_ms + shift).abs() <= 150, "{} for {shift}", alignment.offset_ms);
        }
    }
}
