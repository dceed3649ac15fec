//! Rooms that are being recorded.

use std::collections::BTreeMap;

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::{Capture, Participant, Recording, Track};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::{MediaTime, WallTime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A request that is carried out once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The sender's key, unique in the project.
    pub key: String,
    /// What is asked for: a fingerprint of the body.
    pub asked: String,
}

/// What was asked for under a key before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The same; this recording came of it.
    Same(RecordingId),
    /// Something else.
    Other,
}

/// A recording of a room that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLive {
    /// The recording's id, should there be none yet.
    pub recording: RecordingId,
    /// The capture's id.
    pub capture: CaptureId,
    /// Whose it is.
    pub project: ProjectId,
    /// LiveKit's name of the room.
    pub room_name: String,
    /// The user's own id for the conversation.
    pub session_id: Option<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// What the recorder is told, in the server's own form.
    pub settings: String,
    /// Whether keeping is paused from the start.
    pub paused: bool,
    /// The request that asks for it, if it may be sent again.
    pub once: Option<Once>,
    /// Now.
    pub now: WallTime,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// A new recording.
    New(Box<(Recording, Capture)>),
    /// That room is being recorded already.
    Already(RecordingId),
    /// The request was carried out before, or its key was used for another one.
    Repeated(Repeated),
}

/// A stretch of wall-clock time; without an end it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Its beginning.
    pub from: WallTime,
    /// Its end.
    pub to: Option<WallTime>,
}

/// A room that is being recorded, as far as rows know.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRow {
    /// The recording.
    pub recording: Recording,
    /// The recorder's capture.
    pub capture: Capture,
    /// What the recorder was told.
    pub settings: String,
    /// Whether it is paused now.
    pub paused: bool,
}

/// Somebody who was in a room, and of whom nothing is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Whether it was an agent; everybody else is heard as a user.
    pub agent: bool,
    /// Since when; `None` when it may have been from the beginning.
    pub from: Option<WallTime>,
}

/// What must not be kept of a room, whichever source brings it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Redactions {
    /// Pauses.
    pub pauses: Vec<Stretch>,
    /// Those who were seen and left out.
    pub left_out: Vec<LeftOut>,
    /// What the room's recorders were told, in the server's own form.
    pub told: Vec<String>,
}

/// Rooms that are being recorded.
#[async_trait]
pub trait Live {
    /// Begins a recording, unless one of a room of that name is STARTING or ACTIVE in the project, or the request is a
    /// repetition of one of the last 24 h.
    async fn begin_live(&self, new: &NewLive) -> Result<Begun>;

    /// What was asked for under a request's key in the last 24 h.
    async fn repeated(&self, project: &ProjectId, once: &Once, now: WallTime) -> Result<Option<Repeated>>;

    /// The tracks that a recording's capture log has.
    async fn note_tracks(&self, recording: RecordingId, tracks: &[Track]) -> Result<()>;

    /// The room was joined. Answers the recording that records this very room already, if another one does.
    async fn room_joined(&self, recording: RecordingId, room_sid: &str) -> Result<Option<RecordingId>>;

    /// The first sound was kept.
    async fn heard(&self, recording: RecordingId, started_at: WallTime) -> Result<()>;

    /// Segments that were rendered and stored while the room goes on; they continue the index.
    async fn append_segments(
        &self,
        recording: RecordingId,
        segments: &[Segment],
        duration: MediaTime,
        participants: &[Participant],
        now: WallTime,
    ) -> Result<()>;

    /// Keeping is paused, or goes on.
    async fn note_pause(&self, recording: RecordingId, paused: bool, at: WallTime) -> Result<()>;

    /// Somebody is left out from now on.
    async fn note_excluded(&self, recording: RecordingId, identity: &str) -> Result<()>;

    /// The identities that [`Live::note_excluded`] was told of.
    async fn excluded(&self, recording: RecordingId) -> Result<Vec<String>>;

    /// Somebody was seen in the room who is left out.
    async fn note_left_out(&self, recording: RecordingId, who: LeftOut) -> Result<()>;

    /// What must not be kept of a recording's room. It may have been recorded more than once: a session lasts as long as its
    /// room, so what one recording leaves out counts for all.
    async fn redactions(&self, recording: RecordingId) -> Result<Redactions>;

    /// What must not be kept of a job's or a room's session.
    async fn redactions_of(
        &self,
        project: &ProjectId,
        job_id: Option<&str>,
        room_sid: Option<&str>,
    ) -> Result<Redactions>;

    /// The room has ended, or we stopped, but what was kept is not in storage yet. Another room may have its name from now on.
    async fn room_over(&self, recording: RecordingId) -> Result<()>;

    /// The room has ended, or we stopped: what was kept is settled in the background.
    async fn room_ended(&self, recording: RecordingId, now: WallTime) -> Result<()>;

    /// Gives up the capture logs of recordings that ended before a time and of which every segment is stored: their chunks are
    /// condemned, and single tracks are there no more. Returns how many.
    async fn give_up_logs(&self, ended_before: WallTime, now: WallTime) -> Result<u64>;

    /// Whether a recorder recorded that very room, or does.
    async fn recorded_room(&self, project: &ProjectId, room_sid: &str) -> Result<bool>;

    /// What the recorder of a recording was told; `None` when no recorder was.
    async fn live_settings(&self, recording: RecordingId) -> Result<Option<String>>;

    /// The rooms that an earlier process recorded, and that have not ended as far as rows know.
    async fn live(&self) -> Result<Vec<LiveRow>>;
}
