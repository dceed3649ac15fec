//! An object store in memory, for tests of what is kept: quick, and able to fail when it is asked to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::{Error, ObjectMeta, ObjectStore, Pieces, Result, by_ranges};
use futures_util::TryStreamExt;

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<ObjectKey, Bytes>,
    /// While true, every call fails as if the storage were full.
    is_full: bool,
    /// While true, what is stored in pieces loses its last byte, and nobody is told.
    is_garbling: bool,
}

/// Objects in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryObjects {
    inner: Arc<Mutex<Inner>>,
}

impl MemoryObjects {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys of all objects, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.inner().objects.keys().cloned().collect()
    }

    /// The bytes of an object, if there is one.
    pub fn bytes(&self, key: &ObjectKey) -> Option<Bytes> {
        self.inner().objects.get(key).cloned()
    }

    /// Removes an object without a word, as somebody else might. False when there was none.
    pub fn lose(&self, key: &ObjectKey) -> bool {
        self.inner().objects.remove(key).is_some()
    }

    /// From now on every call fails, or none does.
    pub fn set_full(&self, is_full: bool) {
        self.inner().is_full = is_full;
    }

    /// From now on what is stored in pieces loses its last byte, or no longer does.
    pub fn set_garbling(&self, is_garbling: bool) {
        self.inner().is_garbling = is_garbling;
    }

    fn run<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut BTreeMap<ObjectKey, Bytes>) -> Result<T>,
    ) -> Result<T> {
        let mut inner = self.inner();
        if inner.is_full {
            return Err(Error::Full { action, target: "an object in memory".to_owned() });
        }
        work(&mut inner.objects)
    }
}

#[async_trait]
impl ObjectStore for MemoryObjects {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.run("store", |objects| {
            objects.insert(key.clone(), bytes);
            Ok(())
        })
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        let target = file.display().to_string();
        let read = std::fs::read(file).map_err(|source| Error::Io { action: "read", target, source })?;
        self.put(key, read.into()).await
    }

    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()> {
        let mut bytes = pieces.try_collect::<Vec<Bytes>>().await?.concat();
        if self.inner().is_garbling {
            bytes.pop();
        }
        self.put(key, bytes.into()).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        self.run("look at", |objects| {
            Ok(objects.get(key).map(|bytes| ObjectMeta {
                size: bytes.len() as u64,
                modified: SystemTime::UNIX_EPOCH,
                etag: format!("{:08x}", bytes.iter().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte))),
            }))
        })
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.get_range(key, 0..u64::MAX).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        self.run("read", |objects| {
            let bytes = objects.get(key).ok_or_else(|| Error::NotFound(key.clone()))?;
            let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            let (start, end) = (within(range.start), within(range.end));
            Ok(bytes.slice(start..end.max(start)))
        })
    }

    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
        by_ranges(self.clone(), key, range).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.run("delete", |objects| {
            objects.remove(key);
            Ok(())
        })
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        let prefix = format!("{folder}/");
        self.run("list", |objects| {
            Ok(objects.keys().filter(|key| key.as_str().starts_with(&prefix)).cloned().collect())
        })
    }

    async fn check(&self) -> Result<()> {
        self.run("write", |_| Ok(()))
    }
}
