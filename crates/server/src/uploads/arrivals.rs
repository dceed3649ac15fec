//! Senders that wait until what they sent is in object storage: where an S3 server has the recordings, an upload is durable there, and not on this
//! machine's disk.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use echosphere_domain::id::UploadId;
use tokio::sync::oneshot;

/// How long after its last byte a sender waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who waits for which upload.
#[derive(Debug, Default)]
pub struct Arrivals {
    waiting: Mutex<HashMap<UploadId, oneshot::Sender<()>>>,
}

impl Arrivals {
    fn waiting(&self) -> MutexGuard<'_, HashMap<UploadId, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to wait for an upload: before it is queued.
    pub fn expect(&self, id: UploadId) -> Arrival<'_> {
        let (arrived, arrival) = oneshot::channel();
        self.waiting().insert(id, arrived);
        Arrival { arrivals: self, id, arrival }
    }

    /// An upload is where it is kept, or will never be kept.
    pub fn arrived(&self, id: UploadId) {
        if let Some(waiting) = self.waiting().remove(&id) {
            let _ = waiting.send(());
        }
    }
}

/// An upload that is waited for.
#[derive(Debug)]
pub struct Arrival<'a> {
    arrivals: &'a Arrivals,
    id: UploadId,
    arrival: oneshot::Receiver<()>,
}

impl Arrival<'_> {
    /// Waits for it; false when it took too long.
    pub async fn wait(mut self) -> bool {
        tokio::time::timeout(PATIENCE, &mut self.arrival).await.is_ok_and(|arrived| arrived.is_ok())
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.arrivals.waiting().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_told_and_nothing_is_left_of_who_does_not_any_more() {
        let arrivals = Arrivals::default();
        let [first, second] = [1, 2].map(|number| UploadId::new(uuid::Uuid::from_u128(number)));
        let (one, other) = (arrivals.expect(first), arrivals.expect(second));
        arrivals.arrived(first);
        assert!(one.wait().await);
        drop(other);
        assert!(arrivals.waiting().is_empty());
        arrivals.arrived(second);
    }
}
