//! What can go wrong with objects.

use std::io;

use echosphere_domain::key::ObjectKey;

/// The result of a storage call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a storage call did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("there is no object {0}")]
    NotFound(ObjectKey),
    /// No space is left.
    #[error("cannot {action} {target}: the storage is full")]
    Full {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
    },
    /// The file system said no.
    #[error("cannot {action} {target}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The work did not come to its end (a shutdown, a panic).
    #[error("cannot {action} {target}: the work was interrupted")]
    Interrupted {
        /// What was tried.
        action: &'static str,
        /// On what.
        target: String,
    },
}

impl Error {
    /// Whether the same call may succeed later: all but a missing object.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::NotFound(_))
    }

    pub(crate) fn io(action: &'static str, target: impl ToString, source: io::Error) -> Self {
        let target = target.to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { action, target },
            _ => Self::Io { action, target, source },
        }
    }
}
