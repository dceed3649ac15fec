//! The error of reading or writing what is stored: database rows, objects, local files.

use echosphere_domain::id::RecordingId;

/// The result of reading or writing what is stored.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why rows, objects or a file were not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rows of the database.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// Objects.
    #[error(transparent)]
    Storage(#[from] echosphere_storage::Error),
    /// A local file.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The server is stopping; the work is resumed after the next start.
    #[error("the server is stopping")]
    Stopping,
}

impl Error {
    /// A local file could not be read or written.
    pub fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, source }
    }

    /// A recording is being deleted: nothing more of it is stored.
    pub fn deleted(recording: RecordingId) -> Self {
        Self::Store(echosphere_store::Error::Deleted(recording))
    }

    /// Whether a recording is being deleted.
    pub fn is_deleted(&self) -> bool {
        matches!(self, Self::Store(echosphere_store::Error::Deleted(_)))
    }
}
