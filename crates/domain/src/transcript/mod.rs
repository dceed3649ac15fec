//! The transcript: who said, typed, called or did what, and when.
//!
//! A turn keeps the wall-clock times that its source reported. Times that were found in the sound are kept next to them
//! and never replace them; media time is computed through the recording's timeline when the transcript is read.

pub mod align;
pub mod earlier;
pub mod export;
pub mod markup;
mod once;
mod placed;

pub use once::once;
pub use placed::{Placed, place};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::WallTime;

/// The turns of one capture, and how well their times are known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Transcript {
    /// The turns, in the order in which they began.
    pub turns: Vec<Turn>,
    /// How the times of the turns were determined.
    pub alignment: Alignment,
}

/// One utterance, tool call or event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// The source's id of the item; made unique within the transcript.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Who it is from.
    pub role: Role,
    /// The name of the speaker: the agent's id, the participant's identity, the tool's name.
    pub speaker: Option<String>,
    /// What was said, or a readable form of what happened.
    pub text: String,
    /// What the source wrote, where `text` is the same without delivery marks ([`markup`]); never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_text: Option<String>,
    /// The times that the source reported.
    pub reported: Times,
    /// The times that were found in the sound, when they are better.
    pub refined: Option<Refined>,
    /// Whether the speaker was cut off.
    pub interrupted: bool,
    /// Whether it was typed, so that it cannot be heard.
    pub typed: bool,
    /// The recogniser's confidence, 0 to 1.
    pub confidence: Option<f64>,
    /// Latencies and models, as the source gave them.
    pub metrics: Map<String, Value>,
    /// The tool call or result.
    pub call: Option<Call>,
    /// Whether it belongs to an earlier conversation that this session was started with ([`earlier`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

impl Turn {
    /// A turn with nothing else known about it.
    pub fn new(id: impl Into<String>, kind: Kind, role: Role, text: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind,
            role,
            speaker: None,
            text: text.into(),
            source_text: None,
            reported: Times::default(),
            refined: None,
            interrupted: false,
            typed: false,
            confidence: None,
            metrics: Map::new(),
            call: None,
            earlier: false,
        }
    }

    /// Whether it is said aloud. A message without any sign of how it was entered counts as typed until it is found in the sound.
    pub fn is_spoken(&self) -> bool {
        self.kind == Kind::Message && !self.earlier && (!self.typed || self.refined.is_some())
    }
}

/// What a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something said or typed.
    Message,
    /// The agent calls a tool.
    ToolCall,
    /// The tool answers.
    ToolResult,
    /// One agent hands over to another.
    Handoff,
    /// The agent's instructions or tools change.
    Config,
    /// Anything else worth a line, including an item of an unknown type.
    Marker,
}

/// Who a turn is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The human.
    User,
    /// The agent.
    Agent,
    /// Neither.
    System,
}

/// Wall-clock times of a turn as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// When the speaker began.
    pub start: Option<WallTime>,
    /// When the speaker ended.
    pub end: Option<WallTime>,
    /// When the item was created: exact for typed messages, tool calls and events; for speech only a rough hint.
    pub created: Option<WallTime>,
    /// When its text last grew or changed, where a room reports it piece by piece.
    #[serde(default)]
    pub last_text: Option<WallTime>,
}

/// Wall-clock times of a turn as heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refined {
    /// When the speaker is first heard.
    pub start: WallTime,
    /// When the speaker is last heard.
    pub end: WallTime,
    /// Whether even this is a guess.
    pub approximate: bool,
}

/// A tool call, or its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The id that joins call and result.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments, as JSON text.
    pub arguments: Option<String>,
    /// What the tool answered.
    pub output: Option<String>,
    /// Whether the answer is an error.
    pub is_error: Option<bool>,
}

/// How the times of a transcript were determined.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alignment {
    /// What they are based on.
    pub method: Method,
    /// How much later than reported the turns are heard, in milliseconds (negative: earlier). Where the source's clock was set
    /// during the call, this is the offset of most turns.
    pub offset_ms: i64,
    /// 0 (a guess) to 1 (certain).
    pub confidence: f64,
    /// What is added to the reported times, in order; empty when nothing is added.
    #[serde(default)]
    pub clock: Vec<ClockStep>,
    /// The [`align::VERSION`] that determined it; 0 when none did.
    #[serde(default)]
    pub version: u32,
}

/// From one reported time on, the source's clock is off by this much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStep {
    /// The first reported time that it applies to.
    pub from: WallTime,
    /// What is added to reported times, in nanoseconds.
    pub offset: i64,
}

impl Alignment {
    /// Times as a source reports them, not compared with the sound yet.
    pub fn reported(any: bool) -> Self {
        let (method, confidence) = if any { (Method::Reported, 0.5) } else { (Method::None, 0.0) };
        Self { method, confidence, ..Self::default() }
    }

    /// A clock that, according to the sound, is off by `offset_ms` milliseconds.
    #[cfg(test)]
    pub(crate) fn off_by(offset_ms: i64) -> Self {
        let step = ClockStep { from: WallTime::from_nanos(i64::MIN), offset: offset_ms * 1_000_000 };
        Self { method: Method::VoiceActivity, offset_ms, confidence: 0.9, clock: vec![step], version: align::VERSION }
    }

    /// Converts a reported time to the recording's clock.
    pub fn time(&self, reported: WallTime) -> WallTime {
        let after = self.clock.partition_point(|step| step.from <= reported);
        let step = self.clock.get(after.saturating_sub(1));
        reported.plus_nanos(step.map_or(0, |step| step.offset))
    }
}

/// What the times of a transcript are based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Nothing: there are no times.
    #[default]
    None,
    /// The source's own times.
    Reported,
    /// The source's times, corrected turn by turn from the voice activity of the speakers' channels.
    VoiceActivity,
}
