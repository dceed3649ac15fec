//! The fence around a recording that is being deleted: whoever writes for it is waited for, and nobody begins to write any more.
//!
//! The rows refuse announcements from the transaction on that asked for the deletion. What was announced before it and is written
//! later is what this is for. One process has the data directory, so a fence in its memory is enough: what an earlier process
//! wrote lies there by now.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::id::RecordingId;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};

use crate::work::Error;

#[derive(Debug, Default)]
struct Fence {
    writers: usize,
    is_closed: bool,
}

/// The fences of all recordings.
#[derive(Debug, Default)]
pub struct Fences {
    fences: Arc<Shared>,
    /// Held for reading by whoever looks whether a session is gone and then keeps something of it that is no recording's.
    sessions: Arc<RwLock<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    fences: Mutex<HashMap<RecordingId, Fence>>,
    left: Notify,
}

impl Shared {
    fn fences(&self) -> MutexGuard<'_, HashMap<RecordingId, Fence>> {
        // Each critical section leaves it whole.
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who looked whether a session is gone, and has not yet kept what they keep of it.
pub type Looking = Arc<OwnedRwLockReadGuard<()>>;

/// Somebody who writes for a recording. Its deletion waits until this is dropped.
#[derive(Debug)]
pub struct Writing {
    shared: Arc<Shared>,
    recording: RecordingId,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut fences = self.shared.fences();
        if let Some(fence) = fences.get_mut(&self.recording) {
            fence.writers -= 1;
            if fence.writers == 0 {
                if !fence.is_closed {
                    fences.remove(&self.recording);
                }
                drop(fences);
                self.shared.left.notify_waiters();
            }
        }
    }
}

impl Fences {
    /// Begins to write for a recording; an error when it is being deleted.
    pub fn enter(&self, recording: RecordingId) -> Result<Writing, Error> {
        let mut fences = self.fences.fences();
        let fence = fences.entry(recording).or_default();
        if fence.is_closed {
            return Err(echosphere_store::Error::Deleted(recording).into());
        }
        fence.writers += 1;
        Ok(Writing { shared: Arc::clone(&self.fences), recording })
    }

    /// Lets nobody begin to write for a recording any more, and waits for those who do. False when that takes too long.
    pub async fn close(&self, recording: RecordingId, patience: Duration) -> bool {
        self.fences.fences().entry(recording).or_default().is_closed = true;
        let empty = async {
            loop {
                let left = self.fences.left.notified();
                tokio::pin!(left);
                left.as_mut().enable();
                if self.fences.fences().get(&recording).is_none_or(|fence| fence.writers == 0) {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(patience, empty).await.is_ok()
    }

    /// Whoever looks whether a session is gone and keeps something of it holds this until it is kept.
    /// It is taken once: somebody who has it and takes it again may wait for ever.
    pub async fn session(&self) -> Looking {
        Arc::new(Arc::clone(&self.sessions).read_owned().await)
    }

    /// Waits for all who looked before this: whoever looks from now on sees what the rows say now.
    /// False when that takes too long.
    pub async fn settle_sessions(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.sessions.write()).await.is_ok()
    }

    /// Stores an object of a recording. Goes on when the caller is dropped, and a deletion waits for it all the same.
    pub async fn put(
        &self,
        objects: &Arc<dyn ObjectStore>,
        recording: RecordingId,
        key: &ObjectKey,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let (writing, objects, key) = (self.enter(recording)?, Arc::clone(objects), key.clone());
        finish(async move {
            let put = objects.put(&key, bytes).await;
            drop(writing);
            put
        })
        .await
    }

    /// The same with a file.
    pub async fn put_file(
        &self,
        objects: &Arc<dyn ObjectStore>,
        recording: RecordingId,
        key: &ObjectKey,
        file: PathBuf,
    ) -> Result<(), Error> {
        let (writing, objects, key) = (self.enter(recording)?, Arc::clone(objects), key.clone());
        finish(async move {
            let put = objects.put_file(&key, &file).await;
            drop(writing);
            put
        })
        .await
    }
}

async fn finish(put: impl Future<Output = echosphere_storage::Result<()>> + Send + 'static) -> Result<(), Error> {
    match tokio::spawn(put).await {
        Ok(put) => Ok(put?),
        Err(error) => Err(Error::Io { action: "store an object", source: std::io::Error::other(error) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn a_deletion_waits_for_writers_and_refuses_new_ones() {
        let fences = Fences::default();
        let id: RecordingId = "0193a3a0-1111-7222-8333-444455556666".parse().unwrap();
        let other: RecordingId = "0193a3a0-1111-7222-8333-444455556667".parse().unwrap();
        let (first, second) = (fences.enter(id).unwrap(), fences.enter(id).unwrap());
        drop(first);
        assert!(!fences.close(id, SOON).await, "one still writes");
        assert!(fences.enter(id).is_err() && fences.enter(other).is_ok());
        drop(second);
        assert!(fences.close(id, SOON).await);
        assert!(fences.enter(id).is_err(), "it stays closed");
        assert!(fences.fences.fences().keys().all(|known| *known == id), "the others are forgotten");
    }
}
