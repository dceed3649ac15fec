//! Background work: a table with fenced leases.
//!
//! A task runs at least once and its effect happens once: each claim raises the lease's generation, and whatever a
//! worker writes at the end is refused when the generation is no longer its own.

use async_trait::async_trait;
use echosphere_domain::id::TaskId;
use echosphere_domain::time::WallTime;

use crate::Result;

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// Read a received upload; payload: the upload's id.
    Ingest,
    /// Render what is not stored of a revision; payload: `{project}/{recording}/{revision}`.
    Render,
    /// Remove the bytes of a recording; payload: the recording's id.
    Erase,
    /// Publish what a room's capture log amounts to; payload: `{project}/{recording}`.
    Settle,
    /// Publish what the captures of a recording amount to now, after some came or went; payload: `{project}/{recording}`.
    Compose,
    /// Give a session a recording of its own when its room's recording does not hold all of it; payload:
    /// `{project}/{recording}/{capture}`.
    Separate,
    /// Lay the transcripts of a revision anew on what was measured of it; payload: `{project}/{recording}/{revision}`.
    Align,
}

impl TaskKind {
    /// Every kind, most urgent first. Rows have the place in this list: a new kind goes to its end.
    pub const ALL: [Self; 7] =
        [Self::Settle, Self::Ingest, Self::Erase, Self::Render, Self::Compose, Self::Separate, Self::Align];

    /// The word that the database and the metrics use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Render => "render",
            Self::Erase => "erase",
            Self::Settle => "settle",
            Self::Compose => "compose",
            Self::Separate => "separate",
            Self::Align => "align",
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
    /// On what.
    pub payload: String,
    /// Not before.
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
    /// On what.
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

/// Background work.
#[async_trait]
pub trait Tasks {
    /// Queues a task, unless an open one of the same kind and payload exists.
    async fn enqueue(&self, task: &NewTask) -> Result<()>;

    /// Claims the task of one of these kinds that is due and most urgent (kind in the order of `TaskKind::ALL`, then
    /// `run_at`): one that waits, or one whose lease ran out. Its generation and attempts rise by one.
    async fn claim(&self, kinds: &[TaskKind], now: WallTime, lease_until: WallTime) -> Result<Option<Claim>>;

    /// Prolongs a lease; `Error::LeaseLost` when it is no longer ours.
    async fn heartbeat(&self, lease: &Lease, until: WallTime) -> Result<()>;

    /// Finishes a task (the row goes); `Error::LeaseLost` when it is no longer ours.
    async fn complete(&self, lease: &Lease) -> Result<()>;

    /// Gives a task back, or up; `Error::LeaseLost` when it is no longer ours.
    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<()>;

    /// Makes all leases run out at once. Only for a process that holds the lock of the data directory and so knows that
    /// no other worker lives.
    async fn expire_leases(&self) -> Result<()>;

    /// When the next waiting task is due.
    async fn next_due(&self) -> Result<Option<WallTime>>;

    /// Open and dead tasks of each kind; for metrics and the drained state of tests.
    async fn task_counts(&self) -> Result<Vec<TaskCounts>>;
}
