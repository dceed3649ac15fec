//! What can go wrong with rows.

/// The result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store call did not happen. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not take the call now: locked, out of disk space, gone away. Trying again later is right.
    #[error("the database cannot {action} now: {source}")]
    Unavailable {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// The database refused the call for good: a constraint, a missing table. A defect, or a foreign schema.
    #[error("the database refused to {action}: {source}")]
    Refused {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// The database could not be opened or brought to the current schema.
    #[error("cannot open the database {path}: {reason}")]
    Open {
        /// Its file or address (without a password).
        path: String,
        /// Why.
        reason: String,
    },
    /// A stored value is not what this version writes.
    #[error("row {row} holds a value that cannot be read: {reason}")]
    Corrupt {
        /// Table and key.
        row: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The lease was lost: another worker has the task, or it is finished. The result must be thrown away.
    #[error("the lease on task {0} is no longer ours")]
    LeaseLost(echosphere_domain::id::TaskId),
    /// The recording changed since it was read; read it again and decide again.
    #[error("recording {0} changed in the meantime")]
    Conflict(echosphere_domain::id::RecordingId),
    /// What the call is about does not exist (any more).
    #[error("{0} does not exist")]
    NotFound(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
