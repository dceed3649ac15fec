//! Background work: a queue of tasks in a table, claimed under fenced leases.
//!
//! A task runs at least once and its effect happens once: each claim raises the lease's generation, and what a worker
//! writes at the end is refused when the generation is no longer its own.

use async_trait::async_trait;
use echosphere_domain::id::{NodeId, TaskId};
use echosphere_domain::time::WallTime;

use crate::Result;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Read a received upload; payload: the upload's id.
    Ingest,
    /// Render what is not stored of a revision; payload: `{project}/{recording}/{revision}`.
    Render,
    /// Erase a recording, or what was kept of a refused session or room; payload: [`Erasure::payload`](crate::Erasure::payload).
    Erase,
    /// Finalize: publish what a room's capture log amounts to; payload: `{project}/{recording}`.
    Finalize,
    /// Recompose: publish what a recording's captures amount to now, after some came or went; payload: `{project}/{recording}`.
    Compose,
    /// Give a session a recording of its own if its room's recording does not hold all of it; payload:
    /// `{project}/{recording}/{capture}`.
    Separate,
    /// Align the transcripts of a revision again with what was measured of it; payload: `{project}/{recording}/{revision}`.
    Align,
    /// Divide a capture's master into sound, words and header; payload: `{project}/{recording}/{capture}`.
    Divide,
    /// Move what is in places of before to the one that is written to; without a payload.
    Move,
}

impl TaskKind {
    /// Every kind, most urgent first. Rows store the position in this list, so a new kind is added at its end.
    pub const ALL: [Self; 9] = [
        Self::Finalize,
        Self::Ingest,
        Self::Erase,
        Self::Render,
        Self::Compose,
        Self::Separate,
        Self::Align,
        Self::Divide,
        Self::Move,
    ];

    /// The word that the database and the metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Render => "render",
            Self::Erase => "erase",
            // The word of earlier versions, which their rows have.
            Self::Finalize => "settle",
            Self::Compose => "compose",
            Self::Separate => "separate",
            Self::Align => "align",
            Self::Divide => "divide",
            Self::Move => "move",
        }
    }
}

/// A task to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// Its id.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// What it works on.
    pub payload: String,
    /// When it may run at the earliest.
    pub run_at: WallTime,
}

/// The right to work on a task, for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: TaskId,
    /// Which claim this is; a later claim has a higher one.
    pub generation: u64,
}

/// A claimed task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The lease.
    pub lease: Lease,
    /// What to do.
    pub kind: TaskKind,
    /// What to work on.
    pub payload: String,
    /// How often it was claimed, this time included.
    pub attempts: u32,
}

/// How a task failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in words; no secrets.
    pub reason: String,
    /// When to try again; `None` gives up: the task stays as a dead letter with the reason.
    pub retry_at: Option<WallTime>,
}

/// Tasks of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskCounts {
    /// The kind.
    pub kind: TaskKind,
    /// Waiting or running.
    pub open: u64,
    /// Given up.
    pub dead: u64,
}

/// Background work. Rows of tasks have no project; payloads do, or name an id.
#[async_trait]
pub trait Tasks {
    /// Queues a task, unless an open one of the same kind and payload exists. Scope: all projects.
    async fn enqueue(&self, task: &NewTask) -> Result<()>;

    /// Claims the most urgent due task of these kinds (in the order of `TaskKind::ALL`, then of `run_at`): one that waits, or one
    /// whose lease ran out; `TaskKind::Divide` only while no rendering is due or under way. Its generation and attempts rise by one, and it is noted which node claimed it. Scope: all projects.
    async fn claim(
        &self,
        kinds: &[TaskKind],
        owner: NodeId,
        now: WallTime,
        lease_until: WallTime,
    ) -> Result<Option<Claim>>;

    /// Extends a lease; `Error::LeaseLost` when it is no longer ours. Scope: id.
    async fn heartbeat(&self, lease: &Lease, until: WallTime) -> Result<()>;

    /// Finishes a task (its row is deleted); `Error::LeaseLost` when it is no longer ours. Scope: id.
    async fn complete(&self, lease: &Lease) -> Result<()>;

    /// Gives a task back, or gives it up; `Error::LeaseLost` when it is no longer ours. Scope: id.
    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<()>;

    /// Makes the leases of a node's tasks run out at once. Only for a process that has just started as that node, and so knows that
    /// nobody works on them. Scope: all projects.
    async fn release_tasks(&self, owner: NodeId) -> Result<()>;

    /// How many tasks of each kind are open and dead; for metrics, and for tests to see that no work is left. Scope: all projects.
    async fn task_counts(&self) -> Result<Vec<TaskCounts>>;
}
