//! When agents spoke, as reported by themselves. LiveKit's own speaker detection is half a second late and takes each breath for an
//! end; the tracks themselves are more accurate.

use std::collections::HashMap;

use crate::log::Participant;

/// How far before the first word of a line its speech may have begun, in nanoseconds.
const SPOKE_BEFORE: i64 = 20_000_000_000;
/// How far after the first word it may begin, in nanoseconds: an agent's text can be ahead of its voice.
const SPOKE_AFTER: i64 = 1_500_000_000;

/// The attribute in which an agent reports its state, and the value for speaking (livekit-agents, `types.py`).
pub(super) const AGENT_STATE: &str = "lk.agent.state";
const SPEAKING: &str = "speaking";

/// The state that an agent reports: `listening`, `thinking`, `speaking`.
fn state(participant: &Participant) -> Option<&str> {
    participant.attributes.get(AGENT_STATE).map(String::as_str)
}

/// From when to when somebody spoke, in nanoseconds since the Unix epoch; without an end while they are speaking.
pub(super) type Span = (i64, Option<i64>);

/// When agents spoke, by participant id.
#[derive(Debug, Clone, Default)]
pub(super) struct Speaking(HashMap<String, Vec<Span>>);

impl Speaking {
    /// Takes an update of a participant; `known` is what was known before.
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

    /// When the speech that a line belongs to began, and ended if it has, given when the line's first word arrived. `None` when the
    /// speaker reports none.
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
