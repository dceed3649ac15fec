//! People in rooms, as LiveKit's webhooks name them, and the participants of recordings.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;

use crate::Result;

/// People in rooms, as LiveKit's webhooks name them.
#[async_trait]
pub trait People {
    /// Stores that somebody was in a room; the latest report counts. Nothing is stored of somebody who is left out of the room, or
    /// of more than a thousand people. Scope: project.
    async fn note_person(
        &self,
        project: &ProjectId,
        room_sid: &str,
        person: &Participant,
        told_at: WallTime,
    ) -> Result<()>;

    /// Somebody is left out of a room: nothing is stored of them from now on, and what was stored is removed; only the SHA-256 of
    /// the identity stays. Scope: project.
    async fn leave_out(&self, project: &ProjectId, room_sid: &str, identity: &str, now: WallTime) -> Result<()>;

    /// The known people of a room, in the order of their identities. Scope: project.
    async fn people(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<Participant>>;

    /// The recordings of a room that have ended and whose deletion was not requested. Scope: project.
    async fn ended_recordings(&self, project: &ProjectId, room_sid: &str) -> Result<Vec<RecordingId>>;

    /// Adds participants to those of a recording; those it has already stay as they are. Scope: id.
    async fn add_participants(&self, recording: RecordingId, people: &[Participant]) -> Result<()>;

    /// Deletes people who were last reported before a time, except in rooms with a recording that has not ended; returns how many.
    /// Scope: all projects.
    async fn forget_people(&self, before: WallTime) -> Result<u64>;
}
