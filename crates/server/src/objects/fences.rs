//! Fences around recordings that are being deleted: current writers are waited for, and new ones are refused.
//!
//! From the transaction on that asked for the deletion, the database refuses announcements; fences are for what was announced
//! before it and is written later. Only one process has the data directory, so fences in its memory are enough: what an earlier
//! process wrote lies there by now.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use echosphere_domain::id::RecordingId;
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock};

use crate::error::Error;

#[derive(Debug, Default)]
struct Fence {
    writers: usize,
    is_closed: bool,
}

/// The fences of all recordings.
#[derive(Debug, Default)]
pub struct Fences {
    fences: Arc<Shared>,
    /// Locked for reading from the check whether a session is gone until what is kept of it, and is no recording's, is stored.
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

/// A check whether a session is gone, of whose session something is going to be kept that is not stored yet.
pub type Looking = Arc<OwnedRwLockReadGuard<()>>;

/// A writer for a recording. The recording's deletion waits until this is dropped.
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
            return Err(Error::deleted(recording));
        }
        fence.writers += 1;
        Ok(Writing { shared: Arc::clone(&self.fences), recording })
    }

    /// Refuses new writers for a recording, and waits for the current ones. False when that takes too long.
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

    /// Begins a check whether a session is gone; the guard is dropped when what is kept of the session is stored.
    /// It is taken once: a task that has it and takes it again may wait for ever.
    pub async fn session(&self) -> Looking {
        Arc::new(Arc::clone(&self.sessions).read_owned().await)
    }

    /// Waits for all checks that began before this: those that begin from now on see what the rows say now.
    /// False when that takes too long.
    pub async fn settle_sessions(&self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.sessions.write()).await.is_ok()
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
