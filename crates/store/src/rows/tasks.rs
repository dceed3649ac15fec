//! The trait `TaskRows`: reads and writes the rows of background tasks.

use async_trait::async_trait;
use echosphere_domain::id::NodeId;
use echosphere_domain::time::WallTime;

use crate::{Claim, Failure, Lease, NewTask, Result, TaskKind};

/// The rows of tasks.
#[async_trait]
pub(crate) trait TaskRows {
    /// Inserts a task, unless an open one of the same kind and payload exists.
    async fn insert_task(&mut self, task: &NewTask) -> Result<()>;

    /// Claims the oldest task of a kind that is due and that nobody has a lease on.
    async fn claim_task(
        &mut self,
        kind: TaskKind,
        owner: NodeId,
        now: WallTime,
        lease_until: WallTime,
    ) -> Result<Option<Claim>>;

    /// Whether a task of a kind is due or being worked on.
    async fn has_task(&mut self, kind: TaskKind, now: WallTime) -> Result<bool>;

    /// Stores until when a lease lasts; false when it is not the task's lease any more.
    async fn prolong_task(&mut self, lease: &Lease, until: WallTime) -> Result<bool>;

    /// Deletes the task of a lease; false when it is not the task's lease any more.
    async fn delete_task(&mut self, lease: &Lease) -> Result<bool>;

    /// Ends a lease, and stores when its task runs again, or that it is dead; false when it is not the task's lease any more.
    async fn fail_task(&mut self, lease: &Lease, failure: &Failure) -> Result<bool>;

    /// Ends the leases of a node.
    async fn end_leases_of(&mut self, owner: NodeId) -> Result<()>;
}
