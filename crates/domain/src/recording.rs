//! A recording and its captures: the data that is stored and shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{CaptureId, ProjectId, RecordingId, UploadId};
use crate::key::{ObjectKey, RecordingPrefix};
use crate::lifecycle::State;
use crate::location::ByteRange;
use crate::master::Master;
use crate::time::{MediaTime, WallTime};

/// What a user sees: one conversation, whatever sources it was captured from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// Its id.
    pub id: RecordingId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// The user's own id for the conversation; the LiveKit job id for an upload that joined no other recording.
    pub session_id: Option<String>,
    /// LiveKit's name of the room. Names are reused; nothing is ever joined by name.
    pub room_name: Option<String>,
    /// LiveKit's id of the room (`RM_...`), unique for the life of the room.
    pub room_sid: Option<String>,
    /// The prefix of its objects' keys.
    pub prefix: RecordingPrefix,
    /// Status, partiality, revision, deletion and tier.
    pub state: State,
    /// When its row was created.
    pub created_at: WallTime,
    /// The time of its first sample, or without sound of its first turn.
    pub started_at: Option<WallTime>,
    /// The time of its last sample, or without sound of its last turn.
    pub ended_at: Option<WallTime>,
    /// The length of its media; zero without sound.
    pub duration: MediaTime,
    /// What is missing from it.
    pub gaps: Vec<Gap>,
    /// The name under which the agent was dispatched.
    pub agent_name: Option<String>,
    /// Tags that the agent set.
    pub tags: Vec<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// Who took part, as far as known.
    pub participants: Vec<Participant>,
    /// The tracks, if EchoSphere recorded the room itself; each is available on its own.
    pub tracks: Vec<Track>,
    /// Whether it is of a test of the agent rather than a call (field `simulated` of the upload's header).
    pub simulated: bool,
}

impl Recording {
    /// A recording that begins now, with nothing else known about it yet. Without a session id its folder is named after the
    /// recording itself.
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

/// A stretch of media time in which something that was said is missing.
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
    /// LiveKit's identity, or the role (`agent`, `user`) when the source does not say.
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
    /// LiveKit's id of the track (`TR_...`).
    pub id: String,
    /// The participant's identity.
    pub participant: String,
    /// `audio` or `video`.
    pub kind: String,
    /// LiveKit's source in lower case: `microphone`, `screen_share_audio`, ...
    pub source: String,
    /// The time of its first sample.
    pub started_at: WallTime,
    /// The time from its first sample to its last.
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
    /// A file that somebody imported.
    Import,
}

/// How far a capture has been processed.
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
    /// A better capture of the same source has replaced it.
    Superseded,
}

/// One attempt to record the conversation, from one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Capture {
    /// Its id.
    pub id: CaptureId,
    /// The recording that it belongs to.
    pub recording: RecordingId,
    /// Its number within the recording, from 1; part of its object keys.
    pub attempt: u32,
    /// Where it came from.
    pub source: Source,
    /// How far it has been processed.
    pub status: CaptureStatus,
    /// The time of its first sample.
    pub started_at: Option<WallTime>,
    /// The time of its last sample.
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
    /// Whether it captured the room rather than one session in it.
    pub fn is_of_room(&self) -> bool {
        matches!(self.source, Source::Recorder | Source::Egress)
    }

    /// Whether it is of a room that still goes on, or whose log was not read yet.
    pub fn is_going_on(&self) -> bool {
        self.source == Source::Recorder && self.audio.is_none()
    }

    /// Whether two captures are of one LiveKit job: only then may one be heard after the other.
    pub fn is_same_job(&self, other: &Self) -> bool {
        self.id == other.id || (self.job_id.is_some() && self.job_id == other.job_id)
    }

    /// A capture that nothing was read from yet.
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

/// The sound of a capture: what is kept of it, and how it is cut into segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// What is kept of it.
    pub master: Master,
    /// Its length in samples of 48 kHz.
    pub samples: u64,
    /// The target length of its segments, in milliseconds; it stays what it was when the capture was read.
    pub segment_ms: u32,
    /// What other captures supply where this one has nothing.
    pub fills: Vec<Fill>,
}

/// A part of an object of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The object.
    pub key: ObjectKey,
    /// Bytes before the part.
    pub offset: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Audio {
    /// Where its Ogg Opus is, if it is that, and ours.
    pub fn extent(&self) -> Option<Extent> {
        let Master::Ogg(location) = &self.master else { return None };
        let (key, ByteRange { offset, length }) = (location.own()?, location.range?);
        Some(Extent { key: key.clone(), offset, length })
    }

    /// Whether there is a capture log that can be read.
    pub fn has_log(&self) -> bool {
        matches!(self.master, Master::Log { is_gone: false, .. })
    }

    /// Whether there was a capture log, and it was deleted.
    pub fn is_gone(&self) -> bool {
        matches!(self.master, Master::Log { is_gone: true, .. })
    }
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
    /// Its first sample in that capture.
    pub at: i64,
}

impl Fill {
    /// The stretch.
    pub fn range(&self) -> std::ops::Range<i64> {
        self.start..self.start.saturating_add(self.samples)
    }
}
