//! A recording and its captures, as kept and as shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CaptureId, ProjectId, RecordingId, UploadId};
use crate::key::{ObjectKey, RecordingPrefix};
use crate::lifecycle::State;
use crate::time::{MediaTime, WallTime};

/// What a user sees: one conversation, whatever sources it was captured from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// Whose it is.
    pub project: ProjectId,
    /// The user's own id for the conversation; the LiveKit job id for an upload that joined nothing.
    pub session_id: Option<String>,
    /// LiveKit's name of the room. Names are reused; nothing is ever joined by name.
    pub room_name: Option<String>,
    /// LiveKit's id of the room (`RM_...`), unique for the life of the room.
    pub room_sid: Option<String>,
    /// Where its objects lie.
    pub prefix: RecordingPrefix,
    /// Status, partiality, revision, deletion and tier.
    pub state: State,
    /// When its row was made.
    pub created_at: WallTime,
    /// When its first sample, or without sound its first turn, was.
    pub started_at: Option<WallTime>,
    /// When its last sample, or without sound its last turn, was.
    pub ended_at: Option<WallTime>,
    /// The length of its media; zero without sound.
    pub duration: MediaTime,
    /// What is missing in it.
    pub gaps: Vec<Gap>,
    /// The name that the agent was dispatched by.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// Who took part, as far as known.
    pub participants: Vec<Participant>,
    /// The tracks of a room that we recorded ourselves; each can be had on its own.
    pub tracks: Vec<Track>,
    /// Whether it is of a test of the agent, and not of a call (the upload's header, field `simulated`).
    pub simulated: bool,
}

impl Recording {
    /// A recording that begins now, and of which nothing else is known yet. Without a session id its folder is named after
    /// itself.
    pub fn starting(id: RecordingId, project: ProjectId, session_id: Option<String>, created_at: WallTime) -> Self {
        Self {
            id,
            prefix: RecordingPrefix::new(&project, session_id.as_deref(), id),
            project,
            session_id,
            room_name: None,
            room_sid: None,
            state: State::starting(),
            created_at,
            started_at: None,
            ended_at: None,
            duration: MediaTime::ZERO,
            gaps: Vec::new(),
            agent_name: None,
            tags: Vec::new(),
            labels: BTreeMap::new(),
            participants: Vec::new(),
            tracks: Vec::new(),
            simulated: false,
        }
    }
}

/// A stretch of media time in which something that was said is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Where it begins.
    pub start: MediaTime,
    /// How long it is, as far as known.
    pub duration: MediaTime,
    /// Why: `packets_lost`, `damaged`, `upload_cut`, `storage_lost`, ...
    pub reason: String,
}

/// A participant of the room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    /// LiveKit's identity, or the role (`agent`, `user`) when the source does not tell.
    pub identity: String,
    /// The display name.
    pub name: Option<String>,
    /// LiveKit's kind: `STANDARD`, `AGENT`, `SIP`, ...
    pub kind: String,
    /// LiveKit's participant attributes.
    pub attributes: BTreeMap<String, String>,
}

/// One participant's track.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// LiveKit's id of it (`TR_...`).
    pub id: String,
    /// The participant's identity.
    pub participant: String,
    /// `audio` or `video`.
    pub kind: String,
    /// LiveKit's source in small letters: `microphone`, `screen_share_audio`, ...
    pub source: String,
    /// When its first sample was.
    pub started_at: WallTime,
    /// From its first sample to its last.
    pub duration: MediaTime,
}

/// Where a capture came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// LiveKit's Egress API.
    Egress,
    /// Our own hidden participant.
    Recorder,
    /// The agents SDK's session upload.
    Upload,
    /// A file that somebody brought.
    Import,
}

/// How far a capture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureStatus {
    /// Received, being read.
    Processing,
    /// Read, nothing missing.
    Complete,
    /// Read, something missing.
    Partial,
    /// Nothing of it can be played or read.
    Failed,
    /// A better capture of the same source took its place.
    Superseded,
}

/// One attempt to record the conversation, from one source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    /// Its id.
    pub id: CaptureId,
    /// The recording that it belongs to.
    pub recording: RecordingId,
    /// Its number within the recording, from 1; part of its object keys.
    pub attempt: u32,
    /// Where it came from.
    pub source: Source,
    /// How far it is.
    pub status: CaptureStatus,
    /// When its first sample was.
    pub started_at: Option<WallTime>,
    /// When its last sample was.
    pub ended_at: Option<WallTime>,
    /// What went wrong, in words for the user.
    pub error: Option<String>,
    /// The upload that brought it.
    pub upload: Option<UploadId>,
    /// LiveKit's job id, for an upload.
    pub job_id: Option<String>,
    /// The audio that it is rendered from, if it brought any.
    pub audio: Option<Audio>,
}

impl Capture {
    /// A capture of which nothing was read yet.
    pub fn processing(id: CaptureId, recording: RecordingId, attempt: u32, source: Source) -> Self {
        Self {
            id,
            recording,
            attempt,
            source,
            status: CaptureStatus::Processing,
            started_at: None,
            ended_at: None,
            error: None,
            upload: None,
            job_id: None,
            audio: None,
        }
    }
}

/// A kept master: sound inside an object, or a capture log in many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audio {
    /// The object; of a capture log the first chunk.
    pub key: ObjectKey,
    /// The chunks of a capture log; 0 when the sound is Ogg in one object.
    #[serde(default)]
    pub chunks: u32,
    /// Bytes before the sound in that object.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
    /// Its length in samples of 48 kHz.
    pub samples: u64,
    /// The target length of its segments, in milliseconds; it stays what it was when the capture was read.
    pub segment_ms: u32,
    /// Whether the capture log was given up (`recorder.keep_log`): the segments that were made of it are all that is left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// What other captures have where this one has nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fills: Vec<Fill>,
}

/// A stretch of one side that another capture of the conversation has and this one has not. In samples of 48 kHz.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Its first sample.
    pub start: i64,
    /// Its length.
    pub samples: i64,
    /// Whether it is the agent's side, or everybody else's.
    pub agent: bool,
    /// The capture that has it.
    pub from: CaptureId,
    /// Its first sample there.
    pub at: i64,
}

impl Fill {
    /// The stretch.
    pub fn range(&self) -> std::ops::Range<i64> {
        self.start..self.start.saturating_add(self.samples)
    }
}
