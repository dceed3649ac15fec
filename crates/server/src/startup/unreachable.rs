//! A place of before that cannot be opened: each call says why, so that nothing of it is taken for absent.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::{Error, ObjectMeta, ObjectStore, Pieces, Result};

/// A place that cannot be opened.
#[derive(Debug)]
pub(super) struct Unreachable {
    /// Why not.
    pub(super) why: String,
}

impl Unreachable {
    fn refuse<T>(&self, target: impl ToString) -> Result<T> {
        let why = format!("it was kept before storage.url was changed, where nothing can be reached: {}", self.why);
        Err(Error::Away { action: "reach", target: target.to_string(), why })
    }
}

#[async_trait]
impl ObjectStore for Unreachable {
    async fn put(&self, key: &ObjectKey, _: Bytes) -> Result<()> {
        self.refuse(key)
    }

    async fn put_file(&self, key: &ObjectKey, _: &Path) -> Result<()> {
        self.refuse(key)
    }

    async fn put_pieces(&self, key: &ObjectKey, _: Pieces) -> Result<()> {
        self.refuse(key)
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        self.refuse(key)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.refuse(key)
    }

    async fn get_range(&self, key: &ObjectKey, _: Range<u64>) -> Result<Bytes> {
        self.refuse(key)
    }

    async fn get_pieces(&self, key: &ObjectKey, _: Range<u64>) -> Result<Pieces> {
        self.refuse(key)
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.refuse(key)
    }

    /// Nothing that is known to be there is deleted by a listing.
    async fn list(&self, _: &ObjectKey) -> Result<Vec<ObjectKey>> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<()> {
        self.refuse("it")
    }
}
