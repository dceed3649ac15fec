//! Moves an object from a place of before to the one that is written to: copied, read back, and only then switched to.

use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_storage::{ObjectStore, pieces};
use echosphere_store::{ElsewhereObject, PlaceId};
use futures_util::StreamExt;

use super::places::Places;
use super::{Objects, Proof};
use crate::error::{Error, Result};

/// What became of an object that was to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is here now, with so many bytes.
    Here(u64),
    /// It was deleted meanwhile, or is being deleted.
    Gone,
    /// It is not where its row says.
    Lost,
}

impl Objects {
    /// Whether places of before still have something.
    pub fn are_elsewhere(&self) -> bool {
        self.places.is_some()
    }

    /// Those of these objects that are in places of before.
    pub async fn elsewhere(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        if !self.are_elsewhere() {
            return Ok(Vec::new());
        }
        Ok(self.store.elsewhere(keys).await?.into_iter().map(|(key, _)| key).collect())
    }

    /// Moves an object here. What is left of it where it was is deleted after `left_until`.
    ///
    /// # Errors
    ///
    /// It cannot be read there, or written here; or here it does not read as it was written. It is where it was then.
    pub async fn move_here(&self, object: &ElsewhereObject, left_until: WallTime) -> Result<Moved> {
        let Some(places) = &self.places else { return Ok(Moved::Gone) };
        // A deletion waits for it, and does not find half of it here.
        let writing = match object.recording.map(|recording| self.fences.enter(recording)).transpose() {
            Ok(writing) => writing,
            Err(error) if error.is_deleted() => return Ok(Moved::Gone),
            Err(error) => return Err(error),
        };
        let there = Arc::clone(places.earlier(object.place)?);
        let size = match there.head(&object.key).await? {
            Some(found) => {
                let copied = copy(there, Arc::clone(&places.here), &object.key, found.size).await;
                if let Err(error) = copied {
                    self.delete_unneeded(places, object).await?;
                    return Err(error);
                }
                found.size
            }
            // What was announced there and never written may have been written here since.
            None => match places.here.head(&object.key).await? {
                Some(found) => found.size,
                None => return Ok(Moved::Lost),
            },
        };
        let is_moved = self.store.moved(&object.key, object.place, left_until).await?;
        if !is_moved {
            self.delete_unneeded(places, object).await?;
        }
        drop(writing);
        Ok(if is_moved { Moved::Here(size) } else { Moved::Gone })
    }

    /// Deletes the copy of an object that was deleted while it was copied.
    async fn delete_unneeded(&self, places: &Places, object: &ElsewhereObject) -> Result<()> {
        if self.store.known_objects(std::slice::from_ref(&object.key)).await?.is_empty() {
            places.here.delete(&object.key).await?;
        }
        Ok(())
    }

    /// Deletes what was left of an object in a place of before.
    pub async fn delete_left(&self, key: &ObjectKey, place: PlaceId) -> Result<()> {
        if let Some(places) = &self.places {
            places.earlier(place)?.delete(key).await?;
        }
        Ok(())
    }
}

/// Copies an object piece by piece, and reads the copy back.
async fn copy(there: Arc<dyn ObjectStore>, here: Arc<dyn ObjectStore>, key: &ObjectKey, size: u64) -> Result<()> {
    let (proof, read) = Proof::of(pieces(there, key.clone(), 0..size).boxed());
    here.put_pieces(key, read).await?;
    let back = pieces(here, key.clone(), 0..size.saturating_add(1)).boxed();
    if proof.length() == size && proof.is(back).await? {
        return Ok(());
    }
    let why = format!("{key} does not read as it was written: of {size} bytes {} were there", proof.length());
    Err(Error::io("move an object")(std::io::Error::other(why)))
}
