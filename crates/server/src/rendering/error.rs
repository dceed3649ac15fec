//! Why a segment could not be rendered.

use echosphere_domain::key::ObjectKey;

use super::PoolError;

/// Why a segment could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The master is gone, or differs from what was indexed: trying again is of no use.
    #[error("the master {0} is gone or damaged")]
    MasterLost(ObjectKey),
    /// Rows or objects cannot be read or written now.
    #[error(transparent)]
    Kept(#[from] crate::error::Error),
    /// The pool cannot take it now.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The codecs failed.
    #[error(transparent)]
    Codec(#[from] echosphere_media::render::Error),
}

impl From<echosphere_store::Error> for Error {
    fn from(error: echosphere_store::Error) -> Self {
        Self::Kept(error.into())
    }
}
