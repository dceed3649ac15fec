//! The JSON structures of the API: how recordings, transcripts and lists are shown. The names of their fields are a contract.

use std::collections::BTreeMap;

use echosphere_domain::lifecycle::{Deletion, Reason, Status, Tier};
use echosphere_domain::recording::{self, CaptureStatus, Source};
use echosphere_domain::time::WallTime;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::rfc3339;

/// A recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recording {
    /// Its id, a UUID version 7.
    #[schema(format = "uuid")]
    pub id: String,
    /// The user's own id for the conversation; LiveKit's job id when nothing else was given.
    pub session_id: Option<String>,
    /// The room's name.
    pub room_name: Option<String>,
    /// LiveKit's id of the room.
    pub room_sid: Option<String>,
    /// The status.
    #[schema(value_type = String, pattern = "^(STARTING|ACTIVE|PROCESSING|COMPLETED|FAILED)$")]
    pub status: Status,
    /// Why there is no sound: `no_audio`, `audio_missing`, `audio_unreadable`, `encrypted`, `connection_lost`,
    /// `nobody_came`; null when there is.
    #[schema(value_type = Option<String>)]
    pub reason: Option<Reason>,
    /// Whether something that was said is missing.
    pub partial: bool,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// When EchoSphere first knew of it.
    #[schema(format = "date-time")]
    pub created_at: String,
    /// When the first sample (or turn) was.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When the last sample (or turn) was.
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// The length of the media, in milliseconds; 0 without sound.
    pub duration_ms: i64,
    /// The attempts that it was made from.
    pub captures: Vec<Capture>,
    /// Other recordings of the same room, in the order in which they began, 20 at most.
    pub same_room: Vec<SameRoom>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// Whether the session says of itself that it was a test, and not a call.
    pub simulated: bool,
    /// Who took part.
    pub participants: Vec<Participant>,
    /// The tracks of a room that EchoSphere recorded itself, in the order in which they began.
    pub tracks: Vec<Track>,
    /// How far a deletion is: `none`, `pending`, `done`.
    #[schema(value_type = String)]
    pub deletion: Deletion,
    /// Where the bytes are: `hot`, `archiving`, `archived`, `restoring`.
    #[schema(value_type = String)]
    pub tier: Tier,
    /// Which version of the segment index is current.
    pub revision: u32,
    /// How long it is kept.
    pub retention: Retention,
    /// The multivariant playlist, with a signature that serves as the credential; null without sound.
    pub playlist_url: Option<String>,
    /// The page that replays it.
    pub page_url: String,
}

/// A stretch of media time in which something is missing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Gap {
    /// Where it begins, in milliseconds of media time.
    pub start_ms: i64,
    /// How long it is, in milliseconds, as far as known.
    pub duration_ms: i64,
    /// Why.
    pub reason: String,
}

/// One attempt to record, from one source.
#[derive(Debug, Serialize, ToSchema)]
pub struct Capture {
    /// Its number, from 1.
    pub attempt: u32,
    /// `egress`, `recorder`, `upload` or `import`.
    #[schema(value_type = String)]
    pub source: Source,
    /// `processing`, `complete`, `partial`, `failed` or `superseded`.
    #[schema(value_type = String)]
    pub status: CaptureStatus,
    /// When its first sample was.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// When its last sample was.
    #[schema(format = "date-time")]
    pub ended_at: Option<String>,
    /// What went wrong, or why we ended it.
    pub error: Option<String>,
    /// LiveKit's id of the job that uploaded it; null when no agent did, or its SDK does not say.
    pub job_id: Option<String>,
}

/// Another recording of the same room (the same `room_sid`).
#[derive(Debug, Serialize, ToSchema)]
pub struct SameRoom {
    /// Its id.
    #[schema(format = "uuid")]
    pub id: String,
    /// The user's own id for the conversation; LiveKit's job id when nothing else was given.
    pub session_id: Option<String>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// The status.
    #[schema(value_type = String, pattern = "^(STARTING|ACTIVE|PROCESSING|COMPLETED|FAILED)$")]
    pub status: Status,
    /// When its first sample (or turn) was.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// The length of its media, in milliseconds; 0 without sound.
    pub duration_ms: i64,
}

/// A participant.
#[derive(Debug, Serialize, ToSchema)]
pub struct Participant {
    /// LiveKit's identity.
    pub identity: String,
    /// The display name.
    pub name: Option<String>,
    /// LiveKit's kind.
    pub kind: String,
    /// LiveKit's participant attributes.
    pub attributes: BTreeMap<String, String>,
}

/// One participant's track.
#[derive(Debug, Serialize, ToSchema)]
pub struct Track {
    /// LiveKit's id of it.
    pub id: String,
    /// The participant's identity.
    pub participant: String,
    /// `audio` or `video`.
    pub kind: String,
    /// `microphone`, `screen_share_audio`, ...
    pub source: String,
    /// When its first sample was.
    #[schema(format = "date-time")]
    pub started_at: String,
    /// From its first sample to its last, in milliseconds.
    pub duration_ms: i64,
    /// The track as Ogg/Opus, with a signature that serves as the credential. What is heard of it begins at media time 0.
    pub url: String,
}

/// How long a recording is kept.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Retention {
    /// When it will be deleted; null is never.
    #[schema(format = "date-time")]
    pub expires_at: Option<String>,
    /// Whether it must not be deleted.
    pub legal_hold: bool,
}

/// One page of the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    /// The recordings, newest first.
    pub items: Vec<Recording>,
    /// What to send as `cursor` for the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// The transcript.
#[derive(Debug, Serialize, ToSchema)]
pub struct Transcript {
    /// The recording.
    pub recording_id: String,
    /// How the times of the turns were found.
    pub alignment: Alignment,
    /// The turns, in the order in which they began.
    pub turns: Vec<Turn>,
}

/// How the times of a transcript were found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Alignment {
    /// `reported`, `voice_activity`, `none`.
    #[schema(value_type = String)]
    pub method: echosphere_domain::transcript::Method,
    /// How much later the sound is than the reported times, in milliseconds.
    pub offset_ms: i64,
    /// 0 to 1.
    pub confidence: f64,
}

/// One utterance, tool call or event.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub struct Turn {
    /// Its id within the transcript.
    pub id: String,
    /// `message`, `tool_call`, `tool_result`, `handoff`, `config` or `marker`.
    #[schema(value_type = String)]
    pub kind: echosphere_domain::transcript::Kind,
    /// `user`, `agent` or `system`.
    #[schema(value_type = String)]
    pub role: echosphere_domain::transcript::Role,
    /// The speaker's name.
    pub speaker: Option<String>,
    /// What was said, or what happened in words; of a line that an agent speaks without the marks of its delivery.
    pub text: String,
    /// What the source wrote, with the marks of its delivery (`<expr type="break" label="300ms"/>`, `[laughs]`); only there when it
    /// differs from `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_text: Option<String>,
    /// Where it begins, in milliseconds of media time; null without media.
    pub start_ms: Option<i64>,
    /// Where it ends.
    pub end_ms: Option<i64>,
    /// When it began, by the wall clock.
    #[schema(format = "date-time")]
    pub started_at: Option<String>,
    /// Whether its times are a guess.
    pub approximate: bool,
    /// Whether the speaker was cut off.
    pub interrupted: bool,
    /// Whether it was typed.
    pub typed: bool,
    /// The recogniser's confidence, 0 to 1.
    pub confidence: Option<f64>,
    /// Latencies and models, as the source gave them.
    #[schema(value_type = Object)]
    pub metrics: serde_json::Map<String, Value>,
    /// The tool call or result.
    pub call: Option<Call>,
    /// Whether it is of an earlier conversation, which the session was begun with: it has no place in this one's media.
    pub earlier: bool,
}

/// A tool call, or its result.
#[derive(Debug, Serialize, ToSchema)]
pub struct Call {
    /// Joins call and result.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text.
    pub arguments: Option<String>,
    /// The answer.
    pub output: Option<String>,
    /// Whether the answer is an error.
    pub is_error: Option<bool>,
}

/// Where a recording's links lead.
pub struct Urls {
    /// The multivariant playlist.
    pub playlist: Option<String>,
    /// The page.
    pub page: String,
}

impl Recording {
    /// A recording as the API shows it, with its captures, the other recordings of its room, and its tracks.
    pub fn new(
        recording: recording::Recording,
        captures: Vec<recording::Capture>,
        same_room: Vec<SameRoom>,
        tracks: Vec<Track>,
        urls: Urls,
    ) -> Self {
        let time = |time: Option<WallTime>| time.map(rfc3339);
        Self {
            id: recording.id.to_string(),
            session_id: recording.session_id,
            room_name: recording.room_name,
            room_sid: recording.room_sid,
            status: recording.state.status,
            reason: recording.state.reason,
            partial: recording.state.partial,
            gaps: recording.gaps.into_iter().map(Gap::from).collect(),
            created_at: rfc3339(recording.created_at),
            started_at: time(recording.started_at),
            ended_at: time(recording.ended_at),
            duration_ms: recording.duration.as_millis(),
            captures: captures.into_iter().map(Capture::from).collect(),
            same_room,
            labels: recording.labels,
            agent_name: recording.agent_name,
            tags: recording.tags,
            simulated: recording.simulated,
            participants: recording.participants.into_iter().map(Participant::from).collect(),
            tracks,
            deletion: recording.state.deletion,
            tier: recording.state.tier,
            revision: recording.state.revision,
            retention: Retention::default(),
            playlist_url: urls.playlist,
            page_url: urls.page,
        }
    }
}

impl Track {
    /// A track as the API shows it, which can be downloaded at this URL.
    pub fn new(track: recording::Track, url: String) -> Self {
        let recording::Track { id, participant, kind, source, started_at, duration } = track;
        Self { id, participant, kind, source, started_at: rfc3339(started_at), duration_ms: duration.as_millis(), url }
    }
}

impl From<recording::Gap> for Gap {
    fn from(gap: recording::Gap) -> Self {
        Self { start_ms: gap.start.as_millis(), duration_ms: gap.duration.as_millis(), reason: gap.reason }
    }
}

impl From<recording::Capture> for Capture {
    fn from(capture: recording::Capture) -> Self {
        Self {
            attempt: capture.attempt,
            source: capture.source,
            status: capture.status,
            started_at: capture.started_at.map(rfc3339),
            ended_at: capture.ended_at.map(rfc3339),
            error: capture.error,
            job_id: capture.job_id,
        }
    }
}

impl From<echosphere_store::SameRoom> for SameRoom {
    fn from(other: echosphere_store::SameRoom) -> Self {
        Self {
            id: other.id.to_string(),
            session_id: other.session_id,
            agent_name: other.agent_name,
            status: other.status,
            started_at: other.started_at.map(rfc3339),
            duration_ms: other.duration.as_millis(),
        }
    }
}

impl From<recording::Participant> for Participant {
    fn from(participant: recording::Participant) -> Self {
        let recording::Participant { identity, name, kind, attributes } = participant;
        Self { identity, name, kind, attributes }
    }
}
