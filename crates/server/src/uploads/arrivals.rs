//! Senders that wait until what they sent is in object storage: where an S3 server has the recordings, an upload is durable there, and not on this
//! machine's disk.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use echosphere_domain::id::UploadId;
use echosphere_domain::time::WallTime;
use echosphere_store::{Store, UploadState};
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

    /// What only this machine has of the session uploads that came, without those whose senders wait for their answer.
    pub async fn left(&self, store: &dyn Store) -> echosphere_store::Result<Left> {
        let expected: HashSet<UploadId> = self.waiting().keys().copied().collect();
        let (end, most) = (WallTime::from_nanos(i64::MAX), u32::try_from(expected.len() + 1).unwrap_or(u32::MAX));
        let oldest = store.uploads_before(UploadState::Received, end, most).await?;
        let Some(oldest) = oldest.into_iter().find(|upload| !expected.contains(&upload.id)) else {
            return Ok(Left::default());
        };
        let count = store.count_uploads(UploadState::Received).await?;
        let count = count.saturating_sub(expected.len() as u64).max(1);
        Ok(Left { count, since: Some(oldest.received_at) })
    }

    /// An upload is where it is kept, or will never be kept.
    pub fn arrived(&self, id: UploadId) {
        if let Some(waiting) = self.waiting().remove(&id) {
            let _ = waiting.send(());
        }
    }
}

/// Session uploads that wait in the spool for object storage, while nobody waits for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// How many.
    pub count: u64,
    /// When the first of them began to arrive.
    pub since: Option<WallTime>,
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
    use echosphere_domain::id::{ProjectId, TaskId};
    use echosphere_store::{Sealed, Upload, Uploads as _, sqlite};

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

    #[tokio::test]
    async fn an_upload_is_left_when_nobody_waits_for_it() {
        let (arrivals, store) = (Arrivals::default(), sqlite::open_in_memory().await.unwrap());
        let (id, at) = (|number| UploadId::new(uuid::Uuid::from_u128(number)), WallTime::from_nanos);
        for number in 1..=3 {
            let project = ProjectId::parse("default").unwrap();
            let upload = Upload::receiving(id(number), project, String::new(), at(number as i64));
            store.begin_upload(&upload).await.unwrap();
            let task = TaskId::new(uuid::Uuid::from_u128(number));
            store.seal_upload(upload.id, Sealed { bytes: 1, complete: true }, task, at(9)).await.unwrap();
        }
        let waits = arrivals.expect(id(1));
        assert_eq!(arrivals.left(&store).await.unwrap(), Left { count: 2, since: Some(at(2)) });
        drop(waits);
        assert_eq!(arrivals.left(&store).await.unwrap(), Left { count: 3, since: Some(at(1)) });
        let all = [1, 2, 3].map(|number| arrivals.expect(id(number)));
        assert_eq!(arrivals.left(&store).await.unwrap(), Left::default());
        drop(all);
    }
}
