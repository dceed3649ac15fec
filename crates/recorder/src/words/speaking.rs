//! When an agent spoke, as it says itself. LiveKit's own measure of who speaks comes half a second late and takes each breath for an end:
//! the tracks themselves tell better.

use std::collections::HashMap;

use crate::log::Participant;

/// How far before the first word of a line its speaking may have begun, in nanoseconds.
const SPOKE_BEFORE: i64 = 20_000_000_000;
/// How far after the first word it may begin: an agent's text can be ahead of its voice.
const SPOKE_AFTER: i64 = 1_500_000_000;

/// The attribute in which an agent says what it does, and the word for speaking (livekit-agents, `types.py`).
pub(super) const AGENT_STATE: &str = "lk.agent.state";
const SPEAKING: &str = "speaking";

/// What an agent says that it does: `listening`, `thinking`, `speaking`.
fn state(participant: &Participant) -> Option<&str> {
    participant.attributes.get(AGENT_STATE).map(String::as_str)
}

/// From when to when somebody spoke, in nanoseconds since the Unix epoch; without an end while they do.
pub(super) type Span = (i64, Option<i64>);

/// When agents spoke, by participant id.
#[derive(Debug, Clone, Default)]
pub(super) struct Speaking(HashMap<String, Vec<Span>>);

impl Speaking {
    /// Takes what is told of a participant, of whom this was known.
    pub fn participant(&mut self, known: Option<&Participant>, participant: &Participant, at: i64) {
        if let Some(now) = state(participant).filter(|now| known.and_then(state) != Some(*now)) {
            self.speaks(&participant.sid, now == SPEAKING, at);
        }
    }

    fn speaks(&mut self, sid: &str, active: bool, at: i64) {
        let spans = self.0.entry(sid.to_owned()).or_default();
        match (active, spans.last_mut()) {
            (true, Some((_, None))) | (false, None) => {}
            (true, _) => spans.push((at, None)),
            (false, Some((_, end))) => {
                end.get_or_insert(at);
            }
        }
    }

    /// When the speaking began, and ended if it has, that a line belongs to whose first word came at this time. `None` when the
    /// speaker says nothing of it.
    pub fn of_line(&self, person: Option<&Participant>, first_at: i64) -> Option<Span> {
        let spans = self.0.get(&person?.sid)?;
        let after = spans.partition_point(|(start, _)| *start <= first_at);
        // Text may be a little ahead of the voice.
        let before = spans[..after].last().filter(|(start, _)| *start >= first_at - SPOKE_BEFORE);
        let soon = spans[after..].first().filter(|(start, _)| *start <= first_at + SPOKE_AFTER);
        let was_over = |(_, end): &&Span| end.is_some_and(|end| end < first_at - SPOKE_AFTER);
        before.filter(|span| soon.is_none() || !was_over(span)).or(soon).copied()
    }
}
