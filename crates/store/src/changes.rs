//! Notifies watchers in this process when rows of a recording, or of the inbox, were written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_domain::id::RecordingId;
use tokio::sync::watch;

/// The recordings and the inbox, as far as they are watched. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Watched>);

#[derive(Debug, Default)]
struct Watched {
    recordings: Mutex<HashMap<RecordingId, watch::Sender<()>>>,
    inbox: watch::Sender<()>,
}

/// One who watches a recording, or the inbox.
#[derive(Debug)]
pub struct Changed(watch::Receiver<()>);

impl Changes {
    fn watched(&self) -> MutexGuard<'_, HashMap<RecordingId, watch::Sender<()>>> {
        // Each change of the map is a single call.
        self.0.recordings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a recording from now on: whatever is read of it after this call, a later write is not missed.
    pub fn of(&self, recording: RecordingId) -> Changed {
        let mut watched = self.watched();
        watched.retain(|_, sender| sender.receiver_count() > 0);
        Changed(watched.entry(recording).or_insert_with(|| watch::Sender::new(())).subscribe())
    }

    /// Watches the inbox from now on: whatever is read of it after this call, an event that this process stores later, or that it makes
    /// due again, is not missed.
    pub fn inbox(&self) -> Changed {
        Changed(self.0.inbox.subscribe())
    }

    /// Something to do was written into the inbox, durably.
    pub(crate) fn note_inbox(&self) {
        self.0.inbox.send_replace(());
    }

    /// Rows of a recording were written, durably.
    pub(crate) fn note(&self, recording: RecordingId) {
        if let Some(sender) = self.watched().get(&recording) {
            sender.send_replace(());
        }
    }
}

impl Changed {
    /// Waits until rows of it were written since the last call, or since it is watched; returns at once when they were meanwhile.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is gone, and writes nothing more.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use echosphere_domain::id::RecordingId;
    use uuid::Uuid;

    #[tokio::test]
    async fn who_watches_misses_no_write_and_hears_of_no_other_recording() {
        let changes = Changes::default();
        let [one, other] = [1, 2].map(|number| RecordingId::new(Uuid::from_u128(number)));
        changes.note(one);
        let mut changed = changes.of(one);
        let mut again = changes.of(one);
        changes.note(other);
        let is_told = async |changed: &mut Changed| {
            tokio::select! {
                biased;
                () = changed.next() => true,
                () = std::future::ready(()) => false,
            }
        };
        assert!(!is_told(&mut changed).await);
        changes.note(one);
        changes.note(one);
        assert!(is_told(&mut changed).await && is_told(&mut again).await, "also of what was written before it waits");
        assert!(!is_told(&mut changed).await, "of two writes at once");
        drop((changed, again));
        drop(changes.of(other));
        assert_eq!(changes.watched().len(), 1, "nobody watches the first any more");
        let mut inbox = changes.inbox();
        changes.note(one);
        assert!(!is_told(&mut inbox).await);
        changes.note_inbox();
        assert!(is_told(&mut inbox).await && !is_told(&mut inbox).await);
        assert!(!is_told(&mut changes.of(one)).await);
    }
}
