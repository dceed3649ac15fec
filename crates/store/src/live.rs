//! Recordings of rooms while they go on: their beginning, segments, pauses and end, and what must not be kept of a room.

use std::collections::BTreeMap;

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, NodeId, ProjectId, RecordingId};
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Capture, Participant, Recording, Track};
use echosphere_domain::rendition::Rendition;
use echosphere_domain::segment::Segment;
use echosphere_domain::time::{MediaTime, WallTime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// A request that is carried out once, however often it is sent (`Idempotency-Key`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The sender's key, unique in the project.
    pub key: String,
    /// What is requested: a fingerprint of the body.
    pub asked: String,
}

/// What an earlier request with the same key asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The same; this recording resulted from it.
    Same(RecordingId),
    /// Something else.
    Other,
}

/// A recording of a room that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLive {
    /// The recording's id, if a new one is made.
    pub recording: RecordingId,
    /// The capture's id.
    pub capture: CaptureId,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// LiveKit's name of the room.
    pub room_name: String,
    /// The user's own id for the conversation.
    pub session_id: Option<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// The options of the recording.
    pub options: RecordingOptions,
    /// The key of the request, if it has one.
    pub once: Option<Once>,
    /// The node that will record the room.
    pub owner: NodeId,
    /// Until when the room is the owner's, unless it prolongs that.
    pub lease_until: WallTime,
    /// Now.
    pub now: WallTime,
}

/// The outcome of beginning a recording.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// A new recording.
    New(Box<(Recording, Capture)>),
    /// The room is being recorded already, by this recording.
    Already(RecordingId),
    /// The request was carried out before, or its key was used for another one.
    Repeated(Repeated),
}

/// A stretch of wall-clock time. While it has no end, it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// Its beginning.
    pub from: WallTime,
    /// Its end.
    pub to: Option<WallTime>,
}

/// A room that is being recorded, according to the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRow {
    /// The recording.
    pub recording: Recording,
    /// The recorder's capture.
    pub capture: Capture,
    /// The options of the recording.
    pub options: RecordingOptions,
    /// Whether it is paused now.
    pub paused: bool,
    /// The node that owned it before it was claimed, if one did.
    pub previous_owner: Option<NodeId>,
}

/// A room that is being recorded, and who records it: what is written about the room is refused (`Error::NotOwner`) when another node
/// owns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedRoom {
    /// The room's recording.
    pub recording: RecordingId,
    /// The node that records it.
    pub owner: NodeId,
}

/// Somebody who was seen in a room and is left out of its recording. Who it was is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Whether it was an agent; everybody else is on the user's side.
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
    /// The options of the room's recordings.
    pub options: Vec<RecordingOptions>,
}

/// Recordings of rooms while they go on.
#[async_trait]
pub trait Live {
    /// Begins a recording, unless a room of that name is being recorded in the project (its recording is STARTING or ACTIVE, the
    /// room is not over, no deletion was requested), or the request repeats one of the last 24 h. Scope: project.
    async fn begin_live(&self, new: &NewLive) -> Result<Begun>;

    /// What an earlier request with the same key asked for in the last 24 h. Scope: project.
    async fn repeated(&self, project: &ProjectId, once: &Once, now: WallTime) -> Result<Option<Repeated>>;

    /// The rooms that are being recorded and are a node's own, nobody's, or whose lease has expired: from now on all of them are the node's,
    /// until `lease_until`. Of one whose options cannot be read, they are the defaults. Scope: all projects.
    async fn claim_rooms(&self, owner: NodeId, now: WallTime, lease_until: WallTime) -> Result<Vec<LiveRow>>;

    /// The captures of the rooms that are being recorded and are other nodes'. Scope: all projects.
    async fn captures_elsewhere(&self, owner: NodeId) -> Result<Vec<CaptureId>>;

    /// Prolongs the leases of a node's rooms that are being recorded, and returns these. Scope: all projects.
    async fn prolong_rooms(&self, owner: NodeId, lease_until: WallTime) -> Result<Vec<RecordingId>>;

    /// Stores which tracks a recording's capture log has. Scope: id.
    async fn note_tracks(&self, recording: RecordingId, tracks: &[Track]) -> Result<()>;

    /// The room was joined: stores its sid. If another recording of the same project is recording this very room, its id is
    /// returned instead. Scope: id.
    async fn room_joined(&self, room: OwnedRoom, room_sid: &str) -> Result<Option<RecordingId>>;

    /// The first sound was kept: the recording steps by `Event::Heard`. Scope: id.
    async fn heard(&self, room: OwnedRoom, started_at: WallTime) -> Result<()>;

    /// Appends to the index the segments that were rendered and stored while the room goes on, and stores the recording's new
    /// length; participants replace the list if not empty. Only an ACTIVE recording without a requested deletion changes.
    /// Scope: id.
    async fn append_segments(
        &self,
        room: OwnedRoom,
        rendition: &Rendition,
        segments: &[Segment],
        duration: MediaTime,
        participants: &[Participant],
        now: WallTime,
    ) -> Result<()>;

    /// The identities that were excluded while the room went on. Scope: id.
    async fn excluded(&self, recording: RecordingId) -> Result<Vec<String>>;

    /// Somebody who is left out was seen in the room. Scope: id.
    async fn note_left_out(&self, room: OwnedRoom, who: LeftOut) -> Result<()>;

    /// What must not be kept of a recording's room, according to all recordings of that room: a session lasts as long as its room,
    /// so what one recording leaves out counts for all. Scope: id.
    async fn redactions(&self, recording: RecordingId) -> Result<Redactions>;

    /// What must not be kept of a job's or a room's session. Scope: project.
    async fn redactions_of(
        &self,
        project: &ProjectId,
        job_id: Option<&str>,
        room_sid: Option<&str>,
    ) -> Result<Redactions>;

    /// The room has ended, or recording was stopped, but what was kept is not all in storage yet: the recording steps by
    /// `Event::RoomOver`. From now on a room of that name, this one too, may be recorded again. Scope: id.
    async fn room_over(&self, room: OwnedRoom, now: WallTime) -> Result<()>;

    /// The room has ended, or recording was stopped: what was kept is finalized in the background (`TaskKind::Finalize`). The room has
    /// no owner any more. Scope: id.
    async fn room_ended(&self, room: OwnedRoom, now: WallTime) -> Result<()>;

    /// Whether that very room was recorded by a recorder, or is being recorded. Scope: project.
    async fn recorded_room(&self, project: &ProjectId, room_sid: &str) -> Result<bool>;

    /// The options of a recording of a room; `None` for one without a recorder. Scope: id.
    async fn recording_options(&self, recording: RecordingId) -> Result<Option<RecordingOptions>>;
}
