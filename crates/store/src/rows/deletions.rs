//! The trait `DeletionRows`: reads and writes the rows of what is deleted.

use async_trait::async_trait;
use echosphere_domain::id::RecordingId;
use echosphere_domain::time::WallTime;

use crate::{Erasure, Result};

/// Rows that are to be erased.
#[async_trait]
pub(crate) trait DeletionRows {
    /// The recordings whose deletion was scheduled for a time or before, and that are not under legal hold.
    async fn deletions_due(&mut self, now: WallTime) -> Result<Vec<RecordingId>>;

    /// Whether a recording under legal hold has a session of this recording, too.
    async fn shares_with_held(&mut self, recording: RecordingId) -> Result<bool>;

    /// The recordings whose deletion is pending and has no open task.
    async fn deletions_without_task(&mut self) -> Result<Vec<RecordingId>>;

    /// Whether uploads or telemetry belong to an erasure.
    async fn has_kept(&mut self, what: Erasure) -> Result<bool>;

    /// Deletes the rows of an erasure, and clears what is listed in [`crate::BELONGS`] in those that stay.
    async fn erase(&mut self, what: Erasure) -> Result<()>;
}
