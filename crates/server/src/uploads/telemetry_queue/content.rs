//! The body of an OTLP request: in memory while it is small, else in a file.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use echosphere_domain::id::UploadId;
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::data_dir::DataDir;
use crate::objects;
use crate::uploads::Uploads;

/// Bytes of a request that are kept in memory; a longer one goes into a file.
const IN_MEMORY: usize = 64 << 10;

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// The sender went away.
    #[error("the body broke off")]
    Cut,
    /// It cannot be written to the disk.
    #[error("the body cannot be kept: {0}")]
    Io(#[from] io::Error),
}

/// A body, as it came.
#[derive(Debug, Clone)]
pub enum Content {
    /// In memory.
    Memory(Bytes),
    /// In a file of this many bytes.
    File(Arc<Spooled>, usize),
}

/// A file that is removed when nothing needs it any more.
#[derive(Debug)]
pub struct Spooled(PathBuf);

impl Drop for Spooled {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.0.display(), %error, "a spool file cannot be removed");
        }
    }
}

impl Content {
    /// Takes a body of at most `limit` bytes.
    pub async fn receive(uploads: &Uploads, id: UploadId, body: axum::body::Body, limit: usize) -> Result<Self, Error> {
        let mut body = body.into_data_stream();
        let mut memory = BytesMut::new();
        while let Some(chunk) = body.next().await {
            memory.extend_from_slice(&chunk.map_err(|_| Error::Cut)?);
            if memory.len() > limit {
                return Err(Error::TooLarge);
            }
            if memory.len() > IN_MEMORY {
                return Self::spool(uploads, id, memory.freeze(), body, limit).await;
            }
        }
        Ok(Self::Memory(memory.freeze()))
    }

    async fn spool(
        uploads: &Uploads,
        id: UploadId,
        beginning: Bytes,
        mut body: axum::body::BodyDataStream,
        limit: usize,
    ) -> Result<Self, Error> {
        uploads.check_disk().await?;
        let path = path(&uploads.data, id);
        let mut file = tokio::fs::File::create_new(&path).await?;
        let spooled = Arc::new(Spooled(path));
        let mut length = beginning.len();
        file.write_all(&beginning).await?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|_| Error::Cut)?;
            length += chunk.len();
            if length > limit {
                return Err(Error::TooLarge);
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(Self::File(spooled, length))
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(_, length) => *length,
        }
    }

    /// Whether this is the same body, and not only an equal one.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Memory(one), Self::Memory(other)) => one.as_ptr() == other.as_ptr() && one.len() == other.len(),
            (Self::File(one, _), Self::File(other, _)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Whether it takes memory while it waits; else it takes room on the disk.
    pub fn is_in_memory(&self) -> bool {
        matches!(self, Self::Memory(_))
    }

    /// Its bytes, from the first on. Blocking.
    pub fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Self::File(file, _) => Box::new(std::fs::File::open(&file.0)?),
        })
    }

    /// The content to store as an object; a file stays only as long as `self` does.
    pub fn to_object(&self) -> objects::Content {
        match self {
            Self::Memory(bytes) => bytes.clone().into(),
            Self::File(file, _) => file.0.as_path().into(),
        }
    }
}

fn path(data: &DataDir, id: UploadId) -> PathBuf {
    data.spool_folder().join(format!("{id}{SUFFIX}"))
}

const SUFFIX: &str = ".telemetry";

/// Removes what an earlier process left.
pub fn remove_leftovers(data: &DataDir) {
    let Ok(entries) = std::fs::read_dir(data.spool_folder()) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.ends_with(SUFFIX));
        if is_ours && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "a spool file cannot be removed");
        }
    }
}
