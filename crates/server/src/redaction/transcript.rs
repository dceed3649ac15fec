//! Redacts the transcript of a session: removes the turns that must not be kept.

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Kind, Role, Transcript, Turn};

use super::{RedactionSpans, touches};

/// How far from the time at which a line was written down it may have been spoken, if it does not say when: 30 s, in nanoseconds.
const UNTIMED: i64 = 30_000_000_000;

/// Keeps what may be kept. During a pause everything is removed. While a user is excluded, users' lines are removed, and what the
/// agent did with tools, which has the user's words in it; while an agent is excluded, all but the users' lines.
pub fn redact(transcript: &mut Transcript, spans: &RedactionSpans) {
    transcript.turns.retain(|turn| {
        // A turn without any time may have been at any time.
        let (from, to) = stretch(turn).unwrap_or((i64::MIN, i64::MAX));
        let spoken_by_agent = turn.role == Role::Agent && turn.kind == Kind::Message;
        let of_user = !spoken_by_agent && !matches!(turn.kind, Kind::Handoff | Kind::Config);
        let of_agent = turn.role != Role::User;
        let goes = touches(&spans.pauses, from, to)
            || (of_user && touches(&spans.user, from, to))
            || (of_agent && touches(&spans.agent, from, to));
        !goes
    });
}

/// The stretch of time that a turn may belong to; `None` when it has no time.
fn stretch(turn: &Turn) -> Option<(i64, i64)> {
    let times = turn.reported;
    let known = [times.start, times.end, times.created].into_iter().flatten().map(WallTime::as_nanos);
    let (from, to) = (known.clone().min()?, known.max()?);
    let is_exact = times.start.is_some() || turn.typed || turn.kind != Kind::Message;
    Some(if is_exact { (from, to) } else { (from.saturating_sub(UNTIMED), to.saturating_add(UNTIMED)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redaction::wider;
    use echosphere_domain::transcript::Times;

    fn at(second: f64) -> WallTime {
        WallTime::from_millis((second * 1000.0) as i64)
    }

    fn turn(kind: Kind, role: Role, start: Option<f64>, end: Option<f64>, created: Option<f64>) -> Turn {
        let times = Times { start: start.map(at), end: end.map(at), created: created.map(at), last_text: None };
        Turn { reported: times, ..Turn::new("", kind, role, format!("{start:?} {created:?}")) }
    }

    fn kept(turns: &[Turn], spans: &RedactionSpans) -> Vec<usize> {
        let numbered = turns.iter().enumerate().map(|(n, turn)| Turn { id: n.to_string(), ..turn.clone() });
        let mut transcript = Transcript { turns: numbered.collect(), ..Transcript::default() };
        redact(&mut transcript, spans);
        transcript.turns.iter().map(|turn| turn.id.parse().unwrap()).collect()
    }

    #[test]
    fn nothing_that_touches_a_pause_stays_and_nothing_without_a_time() {
        use Kind::{Message, ToolCall, ToolResult};
        let pause = wider(Some(at(100.0)), Some(at(200.0)));
        let spans = RedactionSpans { pauses: vec![pause], ..RedactionSpans::default() };
        let turns = [
            turn(Message, Role::User, Some(1.0), Some(99.0), Some(99.2)),
            turn(Message, Role::Agent, Some(80.0), Some(99.8), None), // by another clock it may have reached into it
            turn(Message, Role::User, Some(120.0), Some(130.0), None),
            turn(Message, Role::User, Some(198.0), Some(199.0), Some(203.0)), // spoken within, written down after
            turn(Message, Role::User, None, None, None),
            turn(Message, Role::User, None, None, Some(215.0)), // nobody knows when it was spoken
            turn(ToolCall, Role::Agent, None, None, Some(150.0)),
            turn(ToolResult, Role::System, None, None, Some(201.0)),
            turn(Message, Role::Agent, Some(201.0), None, None),
        ];
        assert_eq!(kept(&turns, &spans), [0, 7, 8]);
    }

    #[test]
    fn of_somebody_who_is_excluded_neither_lines_nor_what_was_done_with_them() {
        use Kind::{Config, Message, ToolCall, ToolResult};
        let turns = [
            turn(Config, Role::System, None, None, Some(1.0)),
            turn(Message, Role::User, Some(10.0), Some(11.0), None),
            turn(Message, Role::User, Some(60.0), Some(61.0), None),
            turn(Message, Role::Agent, Some(62.0), Some(63.0), None),
            turn(ToolCall, Role::Agent, None, None, Some(64.0)),
            turn(ToolResult, Role::System, None, None, Some(65.0)),
        ];
        let from = |second: Option<f64>| vec![wider(second.map(at), None)];
        assert_eq!(kept(&turns, &RedactionSpans { user: from(Some(50.0)), ..RedactionSpans::default() }), [0, 1, 3]);
        assert_eq!(kept(&turns, &RedactionSpans { user: from(None), ..RedactionSpans::default() }), [0, 3]);
        assert_eq!(kept(&turns, &RedactionSpans { agent: from(None), ..RedactionSpans::default() }), [1, 2]);
    }
}
