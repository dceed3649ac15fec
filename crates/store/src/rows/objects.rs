//! The trait `ObjectRows`: reads and writes the rows of objects.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::{Purpose, Result};

/// Whether something needs an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectState {
    /// It may exist; nothing needs it yet.
    Announced,
    /// Something needs it.
    Live,
    /// Nothing needs it any more.
    Condemned,
}

/// The rows of objects.
#[async_trait]
pub(crate) trait ObjectRows {
    /// Inserts objects; those that are known and not live get this state and time.
    async fn put_objects(
        &mut self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        state: ObjectState,
        since: WallTime,
    ) -> Result<()>;

    /// Stores that a key is that of a folder.
    async fn set_folder(&mut self, key: &ObjectKey) -> Result<()>;

    /// Stores the state of an object; false when it has no row.
    async fn set_object_state(&mut self, key: &ObjectKey, state: ObjectState, since: WallTime) -> Result<bool>;

    /// Stores the state of objects.
    async fn set_object_states(&mut self, keys: &[ObjectKey], state: ObjectState, since: WallTime) -> Result<()>;

    /// Stores that an object belongs to another recording; with `from`, only if it belonged to that one.
    async fn give_object(&mut self, key: &ObjectKey, from: Option<RecordingId>, to: RecordingId) -> Result<()>;

    /// Condemns the chunks of a recording's capture logs, and their parts.
    async fn condemn_logs(&mut self, recording: RecordingId, since: WallTime) -> Result<()>;

    /// Deletes the row of an object unless it is live; false when it was not deleted.
    async fn delete_unneeded(&mut self, key: &ObjectKey) -> Result<bool>;

    /// Deletes the row of an object.
    async fn delete_object(&mut self, key: &ObjectKey) -> Result<()>;
}
