//! Who spoke when: as LiveKit hears it, or as an agent says itself.

use std::collections::HashMap;

use crate::log::{Participant, Speakers};

/// How far before the first word of a line its speaking may have begun, in nanoseconds.
const SPOKE_BEFORE: i64 = 20_000_000_000;
/// How far behind the first word it may begin: an agent's text can be ahead of its voice.
const SPOKE_AFTER: i64 = 1_500_000_000;

/// The attribute in which an agent says what it does, and the word for speaking (livekit-agents, `types.py`).
pub(super) const AGENT_STATE: &str = "lk.agent.state";
const SPEAKING: &str = "speaking";

/// What an agent says that it does: `listening`, `thinking`, `speaking`.
fn state(participant: &Participant) -> Option<&str> {
    participant.attributes.get(AGENT_STATE).map(String::as_str)
}

/// From when to when somebody spoke, in nanoseconds since the Unix epoch; without an end while they do.
type Span = (i64, Option<i64>);

/// Who spoke when, by participant id.
#[derive(Debug, Clone, Default)]
pub(super) struct Speaking(HashMap<String, Vec<Span>>);

impl Speaking {
    /// Takes what is told of a participant, of whom this was known: an agent says itself when it speaks, sooner than LiveKit hears it.
    pub fn participant(&mut self, known: Option<&Participant>, participant: &Participant, at: i64) {
        if let Some(now) = state(participant).filter(|now| known.and_then(state) != Some(*now)) {
            self.speaks(&participant.sid, now == SPEAKING, at);
        }
    }

    /// Takes what LiveKit hears, of those who do not say it themselves.
    pub fn speakers(&mut self, people: &HashMap<String, Participant>, changed: &Speakers, at: i64) {
        for speaker in &changed.speakers {
            if people.get(&speaker.participant_sid).and_then(state).is_none() {
                self.speaks(&speaker.participant_sid, speaker.active, at);
            }
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

    /// When the speaking began and ended that a line belongs to, whose first and last words came at these times.
    pub fn of_line(&self, person: Option<&Participant>, first_at: i64, last_at: i64) -> (i64, i64) {
        let spans = person.and_then(|person| self.0.get(&person.sid)).map(Vec::as_slice).unwrap_or_default();
        let after = spans.partition_point(|(start, _)| *start <= first_at);
        // Words follow the speaking that they are of; only an agent's may be a little ahead of it.
        let before = spans[..after].last().filter(|(start, _)| *start >= first_at - SPOKE_BEFORE);
        let soon = spans[after..].first().filter(|(start, _)| *start <= first_at + SPOKE_AFTER);
        let was_over = |(_, end): &&Span| end.is_some_and(|end| end < first_at - SPOKE_AFTER);
        let Some((start, end)) = before.filter(|span| soon.is_none() || !was_over(span)).or(soon) else {
            return (first_at, last_at.max(first_at));
        };
        // Interim words come while somebody speaks: the end of the speaking is known later than they are.
        (*start, end.unwrap_or(last_at).max(*start))
    }
}
