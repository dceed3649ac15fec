//! A store that is known by its marker, which has the store's id: so what is absent from it is lost, and what is absent because its
//! disk is not mounted, or because another folder stands in its place, is not.

use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;

use crate::{Error, ObjectMeta, ObjectStore, Pieces, Result};

/// The name of the marker: an object's key, and in a directory of objects that of a folder.
pub const MARKER: &str = "echosphere-store-id";
/// The longest id that is read, in bytes.
pub(crate) const LONGEST_ID: u64 = 64;

/// The marker's key, where it is an object.
pub(crate) fn key() -> Result<ObjectKey> {
    ObjectKey::parse(MARKER).map_err(|_| Error::Foreign { marker: MARKER })
}

/// A store with a marker. While the marker cannot be read, or is another one, nothing is written, deleted or called absent.
#[derive(Debug, Clone)]
pub struct MarkedStore<S> {
    inner: S,
    id: String,
}

impl<S: ObjectStore> MarkedStore<S> {
    /// Opens a store. `known` is its id, if it was opened before: then it is expected to have it. One that is opened for the first
    /// time says which id it has, or is given `new`.
    ///
    /// # Errors
    ///
    /// A store that is opened for the first time, and cannot be read or written.
    pub async fn open(inner: S, known: Option<String>, new: String) -> Result<Self> {
        if let Some(id) = known {
            return Ok(Self { inner, id });
        }
        if let Some(id) = inner.marker().await? {
            return Ok(Self { inner, id });
        }
        inner.mark(&new).await?;
        Ok(Self { inner, id: new })
    }

    /// The store's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Checks that this is the store that it was.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] when it is another one, or none at all.
    pub async fn prove(&self) -> Result<()> {
        match self.inner.marker().await? {
            Some(id) if id == self.id => Ok(()),
            _ => Err(Error::Foreign { marker: MARKER }),
        }
    }
}

impl<S: ObjectStore> MarkedStore<S> {
    /// What was read; that it is absent is said only of a store that is proven to be this one.
    async fn proven(&self, read: Result<Bytes>) -> Result<Bytes> {
        if let Err(Error::NotFound(_)) = read {
            self.prove().await?;
        }
        read
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for MarkedStore<S> {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.prove().await?;
        self.inner.put(key, bytes).await
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        self.prove().await?;
        self.inner.put_file(key, file).await
    }

    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()> {
        self.prove().await?;
        self.inner.put_pieces(key, pieces).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        let found = self.inner.head(key).await?;
        if found.is_none() {
            self.prove().await?;
        }
        Ok(found)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.proven(self.inner.get(key).await).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        self.proven(self.inner.get_range(key, range).await).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool> {
        self.prove().await?;
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        self.prove().await?;
        self.inner.delete_many(keys).await
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        self.prove().await?;
        self.inner.list(folder).await
    }

    async fn check(&self) -> Result<()> {
        self.prove().await?;
        self.inner.check().await
    }
}

#[cfg(test)]
mod tests;
