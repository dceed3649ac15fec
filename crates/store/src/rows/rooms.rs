//! The trait `RoomRows`: reads and writes the rows of rooms that are being recorded.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, NodeId, ProjectId, RecordingId};
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;

use crate::{LeftOut, NewLive, Result, Stretch};

/// A room that goes on.
pub(crate) struct Room {
    /// Its recording.
    pub(crate) recording: Recording,
    /// The recorder's capture.
    pub(crate) capture: CaptureId,
    /// The options of the recording; the defaults if they cannot be read.
    pub(crate) options: RecordingOptions,
    /// Whether it is paused now.
    pub(crate) paused: bool,
    /// The node that records it.
    pub(crate) owner: Option<NodeId>,
    /// Until when the room is the owner's.
    pub(crate) lease_until: Option<WallTime>,
}

/// The rows of rooms.
#[async_trait]
pub(crate) trait RoomRows {
    /// Inserts the room of a new recording.
    async fn insert_room(&mut self, new: &NewLive, pauses: &[Stretch]) -> Result<()>;

    /// The STARTING and ACTIVE recordings of rooms of this name.
    async fn live_of_name(&mut self, project: &ProjectId, room_name: &str) -> Result<Vec<Recording>>;

    /// The rooms whose recordings are STARTING or ACTIVE and not being deleted, oldest first.
    async fn live_rooms(&mut self) -> Result<Vec<Room>>;

    /// The node that owns a recording's room; `None` when it has no room, or nobody owns it.
    async fn owner_of(&mut self, recording: RecordingId) -> Result<Option<NodeId>>;

    /// Stores who owns a room, and until when.
    async fn set_owner(&mut self, recording: RecordingId, owner: NodeId, lease_until: WallTime) -> Result<()>;

    /// Stores that nobody owns a room.
    async fn clear_owner(&mut self, recording: RecordingId) -> Result<()>;

    /// Prolongs the leases of a node's rooms whose recordings are STARTING or ACTIVE and not being deleted; returns these.
    async fn prolong_leases(&mut self, owner: NodeId, lease_until: WallTime) -> Result<Vec<RecordingId>>;

    /// The pauses of a room.
    async fn pauses(&mut self, recording: RecordingId) -> Result<Vec<Stretch>>;

    /// Stores the pauses of a room, and whether it is paused now.
    async fn set_pauses(&mut self, recording: RecordingId, paused: bool, pauses: &[Stretch]) -> Result<()>;

    /// The identities that were excluded while a room went on.
    async fn excluded_from(&mut self, recording: RecordingId) -> Result<Vec<String>>;

    /// Stores the identities that were excluded while a room went on.
    async fn set_excluded(&mut self, recording: RecordingId, identities: &[String]) -> Result<()>;

    /// Those who were seen in a room and are left out.
    async fn left_out_of(&mut self, recording: RecordingId) -> Result<Vec<LeftOut>>;

    /// Stores those who were seen in a room and are left out.
    async fn set_left_out(&mut self, recording: RecordingId, all: &[LeftOut]) -> Result<()>;
}
