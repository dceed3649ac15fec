//! All objects of ours as one store: written to one place, and read from those too that were written to before the setting was changed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::{Error, ObjectMeta, ObjectStore, Pieces, Result};
use echosphere_store::{PlaceId, Store};

/// The place that is written to, and those of before that still have something. Which one has an object is in its row.
pub struct Places {
    /// The place that is written to.
    pub here: Arc<dyn ObjectStore>,
    /// Those of before that have something.
    pub earlier: BTreeMap<PlaceId, Arc<dyn ObjectStore>>,
    /// Rows, which say where an object is.
    pub rows: Arc<dyn Store>,
}

impl Places {
    /// A place of before.
    pub fn earlier(&self, place: PlaceId) -> Result<&Arc<dyn ObjectStore>> {
        self.earlier.get(&place).ok_or_else(|| unknown("there is no such place"))
    }

    /// The place of before in which an object is; `None` for the one that is written to.
    async fn elsewhere(&self, key: &ObjectKey) -> Result<Option<PlaceId>> {
        let found = self.rows.elsewhere(std::slice::from_ref(key)).await.map_err(unknown)?;
        Ok(found.first().map(|(_, place)| *place))
    }

    /// Reads an object where it is. What is not there is looked for where it may have been moved or written meanwhile.
    async fn read<T, F: Future<Output = Result<T>>>(
        &self,
        key: &ObjectKey,
        is_missing: impl Fn(&Result<T>) -> bool,
        read: impl Fn(Arc<dyn ObjectStore>) -> F,
    ) -> Result<T> {
        if let Some(place) = self.elsewhere(key).await? {
            let found = read(Arc::clone(self.earlier(place)?)).await;
            if !is_missing(&found) {
                return found;
            }
        }
        read(Arc::clone(&self.here)).await
    }
}

/// It is not known where an object is.
fn unknown(why: impl ToString) -> Error {
    Error::Away { action: "find", target: "an object".to_owned(), why: why.to_string() }
}

fn is_absent<T>(found: &Result<T>) -> bool {
    matches!(found, Err(Error::NotFound(_)))
}

#[async_trait]
impl ObjectStore for Places {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.here.put(key, bytes).await
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        self.here.put_file(key, file).await
    }

    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()> {
        self.here.put_pieces(key, pieces).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        let is_missing = |found: &Result<Option<ObjectMeta>>| matches!(found, Ok(None));
        self.read(key, is_missing, |place| async move { place.head(key).await }).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.read(key, is_absent, |place| async move { place.get(key).await }).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        let range = &range;
        self.read(key, is_absent, |place| async move { place.get_range(key, range.clone()).await }).await
    }

    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
        let range = &range;
        self.read(key, is_absent, |place| async move { place.get_pieces(key, range.clone()).await }).await
    }

    /// Deletes it wherever it has a copy: where it was before it was moved, too.
    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.delete_many(std::slice::from_ref(key)).await
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        let copies = self.rows.copies(keys).await.map_err(unknown)?;
        let mut by_place: BTreeMap<PlaceId, Vec<ObjectKey>> = BTreeMap::new();
        for (key, place) in copies {
            by_place.entry(place).or_default().push(key);
        }
        for (place, keys) in by_place {
            self.earlier(place)?.delete_many(&keys).await?;
        }
        self.here.delete_many(keys).await
    }

    async fn abort_unfinished(&self, folder: &ObjectKey) -> Result<u64> {
        let mut aborted = self.here.abort_unfinished(folder).await?;
        for place in self.earlier.values() {
            aborted += place.abort_unfinished(folder).await?;
        }
        Ok(aborted)
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        let mut keys = self.here.list(folder).await?;
        for place in self.earlier.values() {
            keys.extend(place.list(folder).await?);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn check(&self) -> Result<()> {
        self.here.check().await
    }
}
