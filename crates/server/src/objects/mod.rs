//! Object storage as the rest of the server uses it: objects are announced in a row before they are written, and never written
//! for a recording that is being deleted.

mod fences;
mod moving;
mod places;
mod proof;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::Recording;
use echosphere_storage::{ObjectMeta, ObjectStore, Pieces};
use echosphere_store::{PlaceId, Purpose, Store};
use futures_util::Stream;
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

pub use self::fences::Fences;
pub use self::moving::Moved;
use self::places::Places;
pub use self::proof::Proof;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// What is written.
pub enum Content {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A local file, which stays until it is stored.
    File(PathBuf),
    /// What comes piece by piece.
    Pieces(Pieces),
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Pieces> for Content {
    fn from(pieces: Pieces) -> Self {
        Self::Pieces(pieces)
    }
}

impl From<&Path> for Content {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

/// The bytes in object storage with the rows that say which of them are ours, and the fences around what is being deleted.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn Store>,
    bytes: Arc<dyn ObjectStore>,
    /// Where `bytes` are, while places of before have something.
    places: Option<Arc<Places>>,
    fences: Arc<Fences>,
    /// Locked for reading while something is announced, and for writing while what nothing needs is found and deleted: else what is announced
    /// anew in between would be deleted after it was written.
    announcing: Arc<RwLock<()>>,
    clock: Clock,
}

impl Objects {
    /// The objects whose rows are in this store: written to `here`, and read from places of before too, if there are any.
    pub fn new(
        store: Arc<dyn Store>,
        here: Arc<dyn ObjectStore>,
        earlier: BTreeMap<PlaceId, Arc<dyn ObjectStore>>,
        clock: Clock,
    ) -> Self {
        let rows = Arc::clone(&store);
        let places = (!earlier.is_empty()).then(|| Arc::new(Places { here: Arc::clone(&here), earlier, rows }));
        let bytes: Arc<dyn ObjectStore> = places.clone().map_or(here, |places| places);
        Self { store, bytes, places, fences: Arc::default(), announcing: Arc::default(), clock }
    }

    /// The fences around recordings that are being deleted.
    pub fn fences(&self) -> &Fences {
        &self.fences
    }

    /// Nothing is announced until the answer is dropped: what is needed by nothing now stays so, and can be deleted.
    pub async fn nothing_is_announced(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.announcing).write_owned().await
    }

    /// Announces objects of a recording that are about to be written. `Error::Store(Deleted)` when it is being deleted.
    pub async fn announce(&self, recording: &Recording, purpose: Purpose, keys: &[ObjectKey]) -> Result<()> {
        let (project, id) = (&recording.project, Some(recording.id));
        let _announcing = self.announcing.read().await;
        Ok(self.store.announce(project, id, purpose, keys, self.clock.now()).await?)
    }

    /// Announces an object of a recording, and stores it.
    pub async fn put(
        &self,
        recording: &Recording,
        purpose: Purpose,
        key: &ObjectKey,
        content: impl Into<Content>,
    ) -> Result<()> {
        self.announce(recording, purpose, std::slice::from_ref(key)).await?;
        self.put_announced(recording.id, key, content).await
    }

    /// Stores an object of a recording that was announced. Goes on when the caller is dropped, and a deletion waits for it all the
    /// same.
    pub async fn put_announced(
        &self,
        recording: RecordingId,
        key: &ObjectKey,
        content: impl Into<Content>,
    ) -> Result<()> {
        let (writing, bytes, key, content) =
            (self.fences.enter(recording)?, Arc::clone(&self.bytes), key.clone(), content.into());
        let put = tokio::spawn(async move {
            let put = store(bytes.as_ref(), &key, content).await;
            drop(writing);
            put
        });
        match put.await {
            Ok(put) => Ok(put?),
            Err(error) => Err(Error::io("store an object")(std::io::Error::other(error))),
        }
    }

    /// Announces an object that belongs to no recording (yet), and stores it.
    pub async fn put_unowned(
        &self,
        project: &ProjectId,
        purpose: Purpose,
        key: &ObjectKey,
        content: impl Into<Content>,
    ) -> Result<()> {
        {
            let _announcing = self.announcing.read().await;
            self.store.announce(project, None, purpose, std::slice::from_ref(key), self.clock.now()).await?;
        }
        Ok(store(self.bytes.as_ref(), key, content.into()).await?)
    }

    /// An object's bytes. `Error::Storage(NotFound)` when there is no such object.
    pub async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        Ok(self.bytes.get(key).await?)
    }

    /// A range of an object's bytes, cut off at its end, piece by piece, however long it is.
    pub fn pieces(
        &self,
        key: ObjectKey,
        range: Range<u64>,
    ) -> impl Stream<Item = echosphere_storage::Result<Bytes>> + Send + use<> {
        echosphere_storage::pieces(Arc::clone(&self.bytes), key, range)
    }

    /// A range of an object's bytes, shortened to where the object ends. `Error::Storage(NotFound)` when there is no such object.
    pub async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        Ok(self.bytes.get_range(key, range).await?)
    }

    /// An object's bytes; `None` when there is no such object.
    pub async fn find(&self, key: &ObjectKey) -> Result<Option<Bytes>> {
        found(self.bytes.get(key).await)
    }

    /// A range of an object's bytes, shortened to where the object ends; `None` when there is no such object.
    pub async fn find_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<Bytes>> {
        found(self.bytes.get_range(key, range).await)
    }

    /// What is known of an object without reading it; `None` when there is none.
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        Ok(self.bytes.head(key).await?)
    }

    /// The objects in a folder, however deep.
    pub async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        Ok(self.bytes.list(folder).await?)
    }

    /// Removes what is left of objects in a folder that were never written whole.
    pub async fn abort_unfinished(&self, folder: &ObjectKey) -> Result<u64> {
        Ok(self.bytes.abort_unfinished(folder).await?)
    }

    /// Deletes an object, if there is one, and leaves its row to the caller.
    pub async fn delete(&self, key: &ObjectKey) -> Result<()> {
        Ok(self.bytes.delete(key).await?)
    }

    /// Deletes those of these objects that there are, and leaves their rows to the caller.
    pub async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        Ok(self.bytes.delete_many(keys).await?)
    }

    /// Deletes objects, and then forgets their rows.
    pub async fn forget(&self, keys: &[ObjectKey]) -> Result<()> {
        self.bytes.delete_many(keys).await?;
        Ok(self.store.forget_objects(keys).await?)
    }

    /// Whether objects can be written at this moment.
    pub async fn check(&self) -> Result<()> {
        Ok(self.bytes.check().await?)
    }
}

fn found(read: echosphere_storage::Result<Bytes>) -> Result<Option<Bytes>> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(echosphere_storage::Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn store(bytes: &dyn ObjectStore, key: &ObjectKey, content: Content) -> echosphere_storage::Result<()> {
    match content {
        Content::Bytes(content) => bytes.put(key, content).await,
        Content::File(file) => bytes.put_file(key, &file).await,
        Content::Pieces(pieces) => bytes.put_pieces(key, pieces).await,
    }
}
