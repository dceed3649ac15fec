//! A store that is known by its marker, which has the store's id: so what is absent from it is lost, and what is absent because its
//! disk is not mounted, or because another folder stands in its place, is not.

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
#[derive(Debug)]
pub struct MarkedStore<S> {
    inner: S,
    id: String,
    kind: Kind,
    /// When the store was proven to be this one.
    proven: Mutex<Option<Instant>>,
    /// When it took something.
    written: Mutex<Option<Instant>>,
}

/// What kind of store is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory: its disk may go at any moment, to look at the marker costs nothing, and one that has a marker may be taken over.
    Directory,
    /// A bucket: to look at the marker is a request, which is made once a minute at most, and a bucket that has a marker belongs to somebody else.
    Bucket,
}

/// So long a bucket counts as proven. What is absent from it is called so only after it was proven anew.
const PROVEN_FOR: Duration = Duration::from_secs(60);

fn locked(found: &Mutex<Option<Instant>>) -> MutexGuard<'_, Option<Instant>> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: ObjectStore> MarkedStore<S> {
    /// Opens a store. `known` is its id, if it was opened before: then it is expected to have it. One that is opened for the first
    /// time says which id it has, or is given `new`.
    ///
    /// # Errors
    ///
    /// A store that is opened for the first time, and cannot be read or written. [`Error::Taken`] for a bucket that has an id already.
    pub async fn open(inner: S, kind: Kind, known: Option<String>, new: String) -> Result<Self> {
        let id = match (known, kind) {
            (Some(id), _) => id,
            (None, _) => match inner.marker().await? {
                Some(id) if kind == Kind::Bucket && id != new => return Err(Error::Taken { id }),
                Some(id) => id,
                None => {
                    inner.mark(&new).await?;
                    new
                }
            },
        };
        Ok(Self { inner, id, kind, proven: Mutex::default(), written: Mutex::default() })
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
        let is_it = self.inner.marker().await?.is_some_and(|id| id == self.id);
        *locked(&self.proven) = is_it.then(Instant::now);
        match (is_it, self.kind) {
            (true, _) => Ok(()),
            (false, Kind::Directory) => Err(Error::Foreign { marker: MARKER }),
            (false, Kind::Bucket) => Err(Error::ForeignBucket { marker: MARKER }),
        }
    }

    /// Whether something was found out of a bucket so recently that it needs no new request.
    fn is_fresh(&self, found: &Mutex<Option<Instant>>) -> bool {
        self.kind == Kind::Bucket && locked(found).is_some_and(|at| at.elapsed() < PROVEN_FOR)
    }

    /// Checks it again, unless it has just been.
    async fn prove_again(&self) -> Result<()> {
        if self.is_fresh(&self.proven) { Ok(()) } else { self.prove().await }
    }

    /// Notes what became of a write: after a failure the store has to be proven anew.
    fn noted<T>(&self, done: Result<T>) -> Result<T> {
        if done.as_ref().is_err_and(Error::is_transient) {
            (*locked(&self.proven), *locked(&self.written)) = (None, None);
        } else {
            *locked(&self.written) = Some(Instant::now());
        }
        done
    }
}

impl<S: ObjectStore> MarkedStore<S> {
    /// What was read; that it is absent is said only of a store that is proven to be this one.
    async fn surely<T: Send>(&self, read: Result<T>) -> Result<T> {
        if let Err(Error::NotFound(_)) = read {
            self.prove().await?;
        }
        read
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for MarkedStore<S> {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.prove_again().await?;
        self.noted(self.inner.put(key, bytes).await)
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        self.prove_again().await?;
        self.noted(self.inner.put_file(key, file).await)
    }

    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()> {
        self.prove_again().await?;
        self.noted(self.inner.put_pieces(key, pieces).await)
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        let found = self.inner.head(key).await?;
        if found.is_none() {
            self.prove().await?;
        }
        Ok(found)
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.surely(self.inner.get(key).await).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        self.surely(self.inner.get_range(key, range).await).await
    }

    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
        self.surely(self.inner.get_pieces(key, range).await).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.prove_again().await?;
        self.noted(self.inner.delete(key).await)
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        self.prove_again().await?;
        self.noted(self.inner.delete_many(keys).await)
    }

    async fn abort_unfinished(&self, folder: &ObjectKey) -> Result<u64> {
        self.prove_again().await?;
        self.inner.abort_unfinished(folder).await
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        self.prove().await?;
        self.inner.list(folder).await
    }

    async fn check(&self) -> Result<()> {
        self.prove_again().await?;
        if self.is_fresh(&self.written) {
            return Ok(());
        }
        self.noted(self.inner.check().await)
    }
}

#[cfg(test)]
mod tests;
