//! People in rooms, as LiveKit's webhooks name them.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;

use crate::Result;

/// People in rooms, as LiveKit's webhooks name them.
#[async_trait]
pub trait People {
    /// Somebody was in a room; what was told last counts. Nothing is kept of somebody who is left out of it, nor of more people than
    /// a thousand.
    async fn note_person(
        &self,
        project: &ProjectId,
        room_sid: &str,
        person: &Participant,
        told_at: WallTime,
    ) -> Result<()>;

    /// Somebody is left out of a room: nothing of them is kept from now on, nor what was before.
    async fn leave_out(&self, project: &ProjectId, room_sid: &str, identity: &str, now: WallTime) -> Result<()>;

    /// The people of a room who are known, by identity.
    async fn people(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<Participant>>;

    /// The recordings of a room that have ended and are not going to be deleted.
    async fn ended_recordings(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<RecordingId>>;

    /// Adds participants to those of a recording; who is among them already stays as known.
    async fn add_participants(&self, recording: RecordingId, people: &[Participant]) -> Result<()>;

    /// Forgets people of whom was told before a time, save in rooms of which a recording has not ended; returns how many.
    async fn forget_people(&self, before: WallTime) -> Result<u64>;
}
