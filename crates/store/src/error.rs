//! Errors of the store, and which of them are transient.

use sqlx::sqlite::SqliteError;

/// The result of a store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a store call failed. Nothing was written; only [`crate::Deletions::scrub`] and [`crate::Deletions::rewrite`] may have
/// done a part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot do it now: locked, out of disk space, not reachable. The same call may succeed later.
    #[error("the database cannot {action} now: {source}")]
    Unavailable {
        /// What was asked of it.
        action: &'static str,
        /// What its driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refuses the call for good: a constraint, a missing table. A defect of ours, or not our schema.
    #[error("the database refused to {action}: {source}")]
    Refused {
        /// What was asked of it.
        action: &'static str,
        /// What its driver said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The call did not reach its end and was not committed: a shutdown, a panic, or a reader in the way of a scrub.
    #[error("the database call to {action} was interrupted: {reason}")]
    Interrupted {
        /// What was asked of it.
        action: &'static str,
        /// Why it ended.
        reason: String,
    },
    /// The database could not be opened or brought to the current schema.
    #[error("cannot open the database {path}: {reason}")]
    Open {
        /// Its file or address (without a password).
        path: String,
        /// Why.
        reason: String,
    },
    /// A stored value is not one that this version can read.
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
    /// This node does not own the room: another one does, or nobody. Whatever this one knows of it must not be written.
    #[error("the room of recording {0} is not this node's")]
    NotOwner(echosphere_domain::id::RecordingId),
    /// The recording changed since it was read; read it again and decide again.
    #[error("recording {0} changed in the meantime")]
    Conflict(echosphere_domain::id::RecordingId),
    /// Nothing more is kept of this recording: its deletion was requested.
    #[error("recording {0} is being deleted")]
    Deleted(echosphere_domain::id::RecordingId),
    /// What the call is about does not exist (any more).
    #[error("{0} does not exist")]
    NotFound(String),
}

impl Error {
    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Interrupted { .. })
    }

    /// The failure of a transaction, for another call that was in it.
    pub(crate) fn of(&self, action: &'static str) -> Self {
        let source = std::error::Error::source(self).unwrap_or(self).to_string().into();
        if self.is_transient() { Self::Unavailable { action, source } } else { Self::Refused { action, source } }
    }

    /// Sorts the driver's errors into those that may pass and those that will not.
    pub(crate) fn from_sqlx(action: &'static str, source: sqlx::Error) -> Self {
        let transient = match &source {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| {
                let is_sqlite = error.try_downcast_ref::<SqliteError>().is_some();
                if is_sqlite { is_transient_result_code(&code) } else { is_transient_sqlstate(&code) }
            }),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                true
            }
            _ => false,
        };
        let source = Box::new(source);
        if transient { Self::Unavailable { action, source } } else { Self::Refused { action, source } }
    }
}

/// SQLite's result codes (<https://www.sqlite.org/rescode.html>) that say "not now": `BUSY`, `LOCKED`, `NOMEM`,
/// `READONLY`, `IOERR`, `FULL`, `CANTOPEN`, in their basic and extended forms.
fn is_transient_result_code(code: &str) -> bool {
    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 7 | 8 | 10 | 13 | 14))
}

/// PostgreSQL's SQLSTATEs (manual, appendix A) that say "not now". Of classes: `08` connection, `40` rollback (deadlock,
/// serialization), `53` resources (disk full, too many connections), `57` operator (shutdown), `58` system (I/O). Of codes: `25006`
/// (a standby takes no writes) and `55P03` (a lock is taken).
fn is_transient_sqlstate(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "40" | "53" | "57" | "58")) || matches!(code, "25006" | "55P03")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_its_own_database_means_it() {
        for code in ["5", "6", "10", "13", "261", "517", "3338"] {
            assert!(is_transient_result_code(code), "{code}");
        }
        for code in ["1", "19", "787", "2067", ""] {
            assert!(!is_transient_result_code(code), "{code}");
        }
        for code in ["08006", "40001", "40P01", "53100", "53300", "57P01", "58030", "25006", "55P03"] {
            assert!(is_transient_sqlstate(code), "{code}");
        }
        for code in ["23505", "42P01", "42501", "22001", "25001", "", "4"] {
            assert!(!is_transient_sqlstate(code), "{code}");
        }
        // Read as the other's, a lack of rights would pass, and a deadlock would not.
        assert!(is_transient_result_code("42501") && !is_transient_result_code("40001"));
    }
}
