//! The trait `OnceRows`: reads and writes the rows of requests that are carried out once (`Idempotency-Key`). Keys and requests are
//! hashes.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;

use crate::Result;

/// A request that was carried out.
pub(crate) struct StoredRequest {
    /// The project.
    pub(crate) project: ProjectId,
    /// Its key.
    pub(crate) key: String,
    /// What was requested.
    pub(crate) asked: String,
    /// The recording that resulted from it.
    pub(crate) recording: RecordingId,
    /// When.
    pub(crate) at: WallTime,
}

/// The rows of requests.
#[async_trait]
pub(crate) trait OnceRows {
    /// The request with this key, if it was carried out after a time.
    async fn request(&mut self, project: &ProjectId, key: &str, after: WallTime) -> Result<Option<StoredRequest>>;

    /// Inserts a request.
    async fn insert_request(&mut self, request: &StoredRequest) -> Result<()>;

    /// Deletes the requests that were carried out at a time or before.
    async fn forget_requests(&mut self, until: WallTime) -> Result<()>;

    /// The requests whose keys do not begin with this.
    async fn requests_without(&mut self, prefix: &str) -> Result<Vec<StoredRequest>>;

    /// Replaces the key and the text of a request.
    async fn replace_request(&mut self, old: &StoredRequest, key: &str, asked: &str) -> Result<()>;
}
