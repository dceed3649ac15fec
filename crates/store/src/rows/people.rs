//! Statements about the people in rooms.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;

use crate::Result;

/// The rows of people.
#[async_trait]
pub(crate) trait PeopleRows {
    /// Stores somebody by the hash of their identity, or without `person` that they are left out; the latest report counts, nothing
    /// replaces that somebody is left out, and nobody is added to a room with `most` people.
    async fn put_person(
        &mut self,
        project: &ProjectId,
        room_sid: &str,
        who: &str,
        person: Option<&Participant>,
        told_at: WallTime,
        most: u32,
    ) -> Result<()>;
}
