//! The errors of object storage.

use std::fmt::Write as _;
use std::io;

use echosphere_domain::key::ObjectKey;

/// The result of a storage call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a storage call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such object.
    #[error("there is no object {0}")]
    NotFound(ObjectKey),
    /// No space is left.
    #[error("cannot {action} {target}: the storage is full")]
    Full {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
    },
    /// This user may not do it.
    #[error("cannot {action} {target}: it is not allowed")]
    Denied {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
    },
    /// The S3 server does not let it be done; it will not either when it is asked again.
    #[error("cannot {action} {target}: the S3 server refuses it: {why}")]
    Refused {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
        /// What the server says.
        why: String,
    },
    /// Nobody whom this machine trusts vouches for the S3 server.
    #[error(
        "cannot {action} {target}: the S3 server's certificate is not trusted ({why}); storage.ca_file names the certificate of the authority that signed it"
    )]
    Untrusted {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
        /// What is wrong with the certificate.
        why: String,
    },
    /// The S3 server cannot be reached, is too busy, or failed.
    #[error("cannot {action} {target}: {why}")]
    Away {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
        /// What happened.
        why: String,
    },
    /// This machine's clock and the S3 server's are far apart.
    #[error(
        "nothing is deleted: the S3 server's clock is {seconds} s ahead of this machine's; let NTP keep both in step"
    )]
    Clocks {
        /// By how many seconds the server's is ahead; negative when it is late.
        seconds: i64,
    },
    /// There is no such bucket.
    #[error("there is no bucket {bucket}")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The settings of a bucket cannot be used.
    #[error("the bucket {bucket} cannot be used: {why}")]
    Settings {
        /// Its name.
        bucket: String,
        /// Why.
        why: String,
    },
    /// The file system reported an error.
    #[error("cannot {action} {target}: {source}")]
    Io {
        /// The attempted action.
        action: &'static str,
        /// Its target.
        target: String,
        /// Why it failed.
        source: io::Error,
    },
    /// This is not the store that it was: its disk is not mounted, or another folder stands in its place.
    #[error(
        "the object storage is not the one that this data directory knows: its marker {marker} is not there. Is its disk mounted? To give up what it had and use this one, remove the file store-id from the data directory"
    )]
    Foreign {
        /// The marker's name.
        marker: &'static str,
    },
    /// The bucket is not the one that it was: it was made anew, or another one has its name.
    #[error(
        "the bucket is not the one that this data directory knows: its object {marker} is missing or another installation's. Was the bucket made anew, or is storage.url another one? To give up what it had and use this one, remove the file store-id from the data directory"
    )]
    ForeignBucket {
        /// The marker's name.
        marker: &'static str,
    },
    /// The bucket belongs to another installation.
    #[error(
        "this place in the bucket belongs to another installation, whose id is {id}: give each one a prefix of its own (storage.url: s3://BUCKET/PREFIX). If the other one is gone for good and this one takes its place, write that id into the file store-id of the data directory"
    )]
    Taken {
        /// The other one's id.
        id: String,
    },
    /// The work was interrupted (a shutdown, a panic).
    #[error("cannot {action} {target}: the work was interrupted")]
    Interrupted {
        /// The attempted action.
        action: &'static str,
        /// Its target.
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
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::Denied { action, target },
            _ => Self::Io { action, target, source },
        }
    }
}

/// What an error and its causes say, each once.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            let _ = write!(text, ": {said}");
        }
        cause = error.source();
    }
    text
}
