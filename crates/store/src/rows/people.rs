//! The trait `PeopleRows`: reads and writes the rows of the people in rooms.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;

use crate::Result;

/// The rows of people.
#[async_trait]
pub(crate) trait PeopleRows {
    /// Inserts or updates somebody by the hash of their identity: the latest report counts, and a room has `most` of them. Without
    /// `person` they are left out: that is final, and not limited.
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
