//! The trait `RecordingRows`: reads and writes the rows of recordings.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::{ObjectKey, RecordingPrefix};
use echosphere_domain::lifecycle::State;
use echosphere_domain::recording::{Gap, Participant, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};

use crate::{Publication, Result, SessionFacts};

/// The rows of recordings.
#[async_trait]
pub(crate) trait RecordingRows {
    /// The recording with this id, if there is one.
    async fn find_recording(&mut self, id: RecordingId) -> Result<Option<Recording>>;

    /// The recording with this id; `Error::NotFound` when there is none.
    async fn recording(&mut self, id: RecordingId) -> Result<Recording>;

    /// The recording with this id, if the project has it.
    async fn recording_in(&mut self, project: &ProjectId, id: RecordingId) -> Result<Option<Recording>>;

    /// The recordings of the very room, in no order.
    async fn recordings_in_room(&mut self, project: &ProjectId, room_sid: &str) -> Result<Vec<Recording>>;

    /// Inserts a recording of which only its names, labels and state are known.
    async fn insert_recording(&mut self, recording: &Recording) -> Result<()>;

    /// Stores the state of a recording.
    async fn set_state(&mut self, id: RecordingId, state: &State) -> Result<()>;

    /// Stores when a recording began, unless that is known.
    async fn set_started(&mut self, id: RecordingId, at: WallTime) -> Result<()>;

    /// Stores when a recording ended, unless that is known.
    async fn set_ended(&mut self, id: RecordingId, at: WallTime) -> Result<()>;

    /// Stores which room a recording is of.
    async fn set_room_sid(&mut self, id: RecordingId, room_sid: &str) -> Result<()>;

    /// Stores the user's own id for the conversation.
    async fn set_session_id(&mut self, id: RecordingId, session_id: Option<&str>) -> Result<()>;

    /// Stores the prefix of a recording's object keys.
    async fn set_prefix(&mut self, id: RecordingId, prefix: &RecordingPrefix) -> Result<()>;

    /// Stores the length of a recording so far.
    async fn set_duration(&mut self, id: RecordingId, duration: MediaTime) -> Result<()>;

    /// Replaces the list of participants.
    async fn set_participants(&mut self, id: RecordingId, people: &[Participant]) -> Result<()>;

    /// Replaces the list of tracks.
    async fn set_tracks(&mut self, id: RecordingId, tracks: &[Track]) -> Result<()>;

    /// Replaces the list of gaps.
    async fn set_gaps(&mut self, id: RecordingId, gaps: &[Gap]) -> Result<()>;

    /// Stores the times, the length and the gaps of a publication.
    async fn set_extent(&mut self, publication: &Publication) -> Result<()>;

    /// Fills in what a recording does not know yet, unless its deletion was requested; what it knows stays.
    async fn fill_facts(&mut self, id: RecordingId, facts: &SessionFacts) -> Result<()>;

    /// The object with peaks and levels.
    async fn analysis_of(&mut self, id: RecordingId) -> Result<Option<ObjectKey>>;

    /// Stores which object has peaks and levels.
    async fn set_analysis(&mut self, id: RecordingId, analysis: Option<&ObjectKey>) -> Result<()>;

    /// Whether a recording captured its room: a recorder was sent there, or it has a capture of that kind.
    async fn captured_room(&mut self, id: RecordingId) -> Result<bool>;
}
