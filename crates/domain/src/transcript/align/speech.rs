//! What is heard in a capture: for each voice, the spans in which it speaks.

use super::super::{Role, Turn};
use crate::time::WallTime;

/// A span in which somebody is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub start: WallTime,
    /// Its end, after the beginning.
    pub end: WallTime,
}

impl Span {
    /// Its length in nanoseconds.
    pub fn length(&self) -> i64 {
        self.end.since(self.start)
    }

    /// The same span, later by a number of nanoseconds.
    pub fn shifted(&self, nanos: i64) -> Self {
        Self { start: self.start.plus_nanos(nanos), end: self.end.plus_nanos(nanos) }
    }
}

/// The spans in order and without overlap; pauses between them that are no longer than `bridge` nanoseconds are bridged.
pub fn joined(mut spans: Vec<Span>, bridge: i64) -> Vec<Span> {
    spans.sort_by_key(|span| span.start);
    spans.dedup_by(|next, before| {
        let joins = next.start.since(before.end) <= bridge;
        if joins {
            before.end = before.end.max(next.end);
        }
        joins
    });
    spans
}

/// A voice with sound of its own: one channel of a recording, or one participant's tracks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// The role whose lines it speaks.
    pub role: Role,
    /// The participant's identity, where each has a voice of their own.
    pub speaker: Option<String>,
    /// Whether it speaks in noise, so that its faint sounds are not detected.
    pub noisy: bool,
    /// When it speaks: in order, without overlap. Short pauses (120 ms) do not end a span.
    pub spans: Vec<Span>,
}

/// What is heard in a capture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpeechSpans {
    /// The voices.
    pub voices: Vec<Voice>,
    /// The time up to which sound has been received; `None` when it is complete.
    pub until: Option<WallTime>,
}

impl SpeechSpans {
    /// The voices of two channels: the agent's, and everybody else's.
    pub fn of_channels(agent: Vec<Span>, user: Vec<Span>) -> Self {
        let voice = |role, spans| Voice { role, speaker: None, noisy: false, spans };
        Self { voices: vec![voice(Role::Agent, agent), voice(Role::User, user)], until: None }
    }

    /// Which voice speaks a line: its speaker's, else the one that all of its role share.
    pub(super) fn voice_of(&self, turn: &Turn) -> Option<usize> {
        let is_speakers = |voice: &Voice| voice.speaker.is_some() && voice.speaker == turn.speaker;
        let is_shared = |voice: &Voice| voice.speaker.is_none() && voice.role == turn.role;
        self.voices.iter().position(is_speakers).or_else(|| self.voices.iter().position(is_shared))
    }

    /// When anybody other than this voice speaks.
    pub(super) fn others(&self, voice: usize) -> Vec<Span> {
        let others = self.voices.iter().enumerate().filter(|(number, _)| *number != voice);
        let mut spans: Vec<Span> = others.flat_map(|(_, voice)| voice.spans.iter().copied()).collect();
        spans.sort_by_key(|span| span.start);
        spans
    }
}
