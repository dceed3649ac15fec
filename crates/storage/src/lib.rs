//! Object storage behind one trait, presigned URLs for it, and an embedded S3 endpoint.
//!
//! Storage stores and never renders: what a client is redirected to is an object that exists. Callers use [`ObjectStore`] and
//! presigned URLs only, so that a directory and an S3 server are interchangeable.

pub mod credentials;
pub mod endpoint;
mod error;
pub mod local;
pub mod marked;
pub mod presign;
pub mod s3;
mod sigv4;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

pub use error::{Error, Result};

/// An object's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
    /// Changes whenever its bytes do; without quotes.
    pub etag: String,
}

/// An object's bytes, piece by piece.
pub type Pieces = BoxStream<'static, Result<Bytes>>;

/// A store of objects by key.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object. When this returns, the object is durable and complete; until then the key's previous state remains
    /// visible.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()>;

    /// Stores a local file as an object, with the same guarantee. The file stays; the caller removes it when it is no longer
    /// needed. Storing the same file again is harmless.
    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()>;

    /// Stores what comes piece by piece as an object, with the same guarantee: however long it is, a piece of it is in memory. When a
    /// piece is an error, nothing is stored, and that is returned.
    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()>;

    /// An object's metadata; `None` when there is no such object.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>>;

    /// All of an object's bytes. To be used for objects that are known to be small: [`pieces`] reads one of any length.
    async fn get(&self, key: &ObjectKey) -> Result<Bytes>;

    /// A range of an object's bytes, cut off at the object's end, and after 64 MiB.
    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes>;

    /// A range of an object's bytes, cut off at the object's end, piece by piece: however long it is, a piece of it is in memory, and an S3
    /// server is asked for it once.
    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces>;

    /// Deletes an object, if there is one.
    async fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// Deletes those of these objects that there are.
    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }

    /// Removes what is left of objects in a folder that were never written whole, because the process that wrote them died. Nobody may be
    /// writing there. Returns of how many there was something.
    async fn abort_unfinished(&self, _folder: &ObjectKey) -> Result<u64> {
        Ok(0)
    }

    /// The keys of the objects in a folder, at any depth: those that begin with the folder's key and a slash. Invalid keys are left
    /// out.
    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>>;

    /// Whether objects can be written at the moment, for `/readyz`.
    async fn check(&self) -> Result<()>;

    /// The id that the store was marked with (see [`marked`]); `None` when it was not.
    async fn marker(&self) -> Result<Option<String>> {
        match self.get_range(&marked::key()?, 0..marked::LONGEST_ID).await {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).trim().to_owned())),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Marks the store with an id.
    async fn mark(&self, id: &str) -> Result<()> {
        self.put(&marked::key()?, Bytes::from(id.to_owned())).await
    }
}

/// The most that one read returns, in bytes: a caller that wants more asks again.
const MAX_READ: u64 = 64 << 20;

/// How much of an object [`by_ranges`] reads at a time, in bytes.
const PIECE: u64 = 1 << 20;

/// A range of an object's bytes, cut off at the object's end, piece by piece: see [`ObjectStore::get_pieces`]. That there is no such object
/// is its first error.
pub fn pieces(
    store: Arc<dyn ObjectStore>,
    key: ObjectKey,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes>> + Send {
    stream::once(async move { store.get_pieces(&key, range).await }).try_flatten()
}

/// The same of a store in which each read costs little: one after another of 1 MiB. The first is done at once, so that what is absent is an error.
pub async fn by_ranges(store: impl ObjectStore + Clone, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
    let key = key.clone();
    let read = move |range: Range<u64>| {
        let (store, key) = (store.clone(), key.clone());
        async move {
            if range.is_empty() {
                return Ok(None);
            }
            let piece = store.get_range(&key, range.start..range.end.min(range.start.saturating_add(PIECE))).await?;
            let next = range.start + piece.len() as u64..range.end;
            Ok((!piece.is_empty()).then_some((piece, next)))
        }
    };
    Ok(match read(range).await? {
        Some((first, rest)) => stream::once(async { Ok(first) }).chain(stream::try_unfold(rest, read)).boxed(),
        None => stream::empty().boxed(),
    })
}

/// The media type of an object, by the extension of its key; `application/octet-stream` if it is neither playable nor text.
pub fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, ending)| ending) {
        Some("ts") => "video/mp2t",
        Some("m4s" | "m4a" | "mp4") => "audio/mp4",
        Some("ogg") => "audio/ogg",
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("json") => "application/json",
        Some("vtt") => "text/vtt",
        _ => "application/octet-stream",
    }
}
