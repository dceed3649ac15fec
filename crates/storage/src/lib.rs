//! The bytes: object storage behind one trait, presigned URLs, and the S3 endpoint inside the process.
//!
//! Storage stores and never renders: what a client is sent to is an object that exists. Callers speak [`ObjectStore`] and
//! presigned URLs only, so that a directory and an S3 server can take each other's place.

pub mod endpoint;
mod error;
pub mod local;
pub mod presign;
mod sigv4;

use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;

pub use error::{Error, Result};

/// What is known of an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its length in bytes.
    pub size: u64,
    /// When it was written.
    pub modified: SystemTime,
    /// Changes whenever its bytes do; without quotes.
    pub etag: String,
}

/// Objects by key.
#[async_trait]
pub trait ObjectStore: Send + Sync + 'static {
    /// Stores an object. When this returns, it is durable and whole; until then its key shows what it showed before.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()>;

    /// Stores a local file as an object, with the same promise. The file stays; the caller removes it when it is not needed
    /// any more. Storing the same file again is harmless.
    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()>;

    /// What is known of an object; `None` when there is none.
    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>>;

    /// A range of an object's bytes, shortened to where the object ends.
    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes>;

    /// Removes an object; false when there was none.
    async fn delete(&self, key: &ObjectKey) -> Result<bool>;

    /// The objects in a folder, however deep: their keys begin with its own and a slash. What is no key of ours is left out.
    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>>;

    /// Whether objects can be written at this moment, for `/readyz`.
    async fn check(&self) -> Result<()>;
}

/// The media type of an object, by the ending of its key. Whatever cannot be played or read as text is a stream of octets.
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
