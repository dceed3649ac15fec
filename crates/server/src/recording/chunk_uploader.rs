//! Cuts a room's log into chunks, spools them to the disk while storage is slow, uploads them, and reads them back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::backoff::Backoff;
use echosphere_recorder::log::chunk;
use echosphere_store::Purpose;

use super::chunk_outbox::Held;
use super::session::RoomSession;
use crate::error::Error;

/// Keys that are announced in one transaction.
const ANNOUNCED: u32 = 64;
/// The pauses before storage is tried again.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };

impl RoomSession {
    /// Cuts a chunk, and adds it to the outbox. An error is the disk's.
    pub(super) async fn cut(&self) -> std::io::Result<()> {
        if self.outbox.is_full() {
            // Nothing is cut before the disk has what was cut before: this is what bounds the memory.
            self.spool().await?;
        }
        if let Some(chunk) = self.capture().cut() {
            self.outbox.add(chunk);
        }
        Ok(())
    }

    /// Writes what is only in memory to the disk.
    pub(super) async fn spool(&self) -> std::io::Result<()> {
        for held in self.outbox.in_memory_only() {
            let Held { number, before, bytes, .. } = held;
            let (spool, capture) = (Arc::clone(&self.recorder.registry.spool), self.capture_id.as_uuid());
            let put = tokio::task::spawn_blocking(move || spool.put(capture, number, &bytes));
            if let Err(error) = put.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
                self.outbox.failed();
                return Err(error);
            }
            if self.outbox.on_disk(number) {
                self.capture().kept(before);
            } else {
                self.unspool(number).await;
            }
        }
        Ok(())
    }

    async fn unspool(&self, number: u32) {
        let (spool, capture) = (Arc::clone(&self.recorder.registry.spool), self.capture_id.as_uuid());
        // The spool logs what goes wrong; the next process removes what stays.
        let _ = tokio::task::spawn_blocking(move || spool.remove(capture, number)).await;
    }

    /// Puts what waits into object storage, in order, and goes on for ever. May be dropped at any moment: a chunk that was
    /// being sent is sent again.
    pub(super) async fn upload(&self) {
        let mut failures = 0_u32;
        loop {
            let Some((number, held)) = self.outbox.next() else {
                self.outbox.filled().await;
                continue;
            };
            match self.send(number, held.as_ref()).await {
                Err(error) if !error.is_deleted() => {
                    if failures == 0 {
                        tracing::warn!(recording = %self.recording.id, chunk = number, %error, "object storage does not take what is heard; it waits on the disk");
                    }
                    metrics::counter!("echosphere_live_storage_failures_total").increment(1);
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(BACKOFF.after(failures)).await;
                }
                // Nothing more is kept of a deleted recording.
                Ok(()) | Err(_) => {
                    if let Some(held) = held {
                        self.capture().kept(held.before);
                    }
                    self.outbox.sent();
                    if self.recorder.registry.spool.has(self.capture_id.as_uuid(), number) {
                        self.unspool(number).await;
                    }
                    failures = 0;
                }
            }
        }
    }

    async fn send(&self, number: u32, held: Option<&Held>) -> Result<(), Error> {
        let Self { recorder, recording, attempt, .. } = self;
        if !self.outbox.is_announced(number) {
            let keys: Vec<_> =
                (number..number + ANNOUNCED).map(|number| recording.prefix.log_chunk(*attempt, number)).collect();
            recorder.objects.announce(recording, Purpose::Log, &keys).await?;
            self.outbox.announced(number + ANNOUNCED);
        }
        let key = recording.prefix.log_chunk(*attempt, number);
        let capture = self.capture_id.as_uuid();
        if let Some(held) = held {
            recorder.objects.put_announced(recording.id, &key, held.bytes.clone()).await?;
        } else if recorder.registry.spool.has(capture, number) {
            recorder
                .objects
                .put_announced(recording.id, &key, recorder.registry.spool.path(capture, number).as_path())
                .await?;
        } else {
            // Somebody has removed it. Reading stops at a chunk that is missing, so an empty one takes its place.
            tracing::error!(recording = %recording.id, chunk = number, "a chunk that waited on the disk is gone");
            recorder.objects.put_announced(recording.id, &key, chunk::begin(capture, number, 0)).await?;
        }
        Ok(())
    }

    /// Some chunks, wherever they are now. A damaged one was reported when it was written, or is when the room is finalized.
    pub(super) async fn chunks(&self, numbers: &[u32]) -> Result<Vec<Bytes>, Error> {
        let mut chunks = Vec::new();
        for &number in numbers {
            chunks.push(match self.outbox.find(number) {
                (Some(bytes), _) => bytes,
                (None, true) => {
                    let (spool, capture) = (Arc::clone(&self.recorder.registry.spool), self.capture_id.as_uuid());
                    let read = tokio::task::spawn_blocking(move || spool.get(capture, number)).await;
                    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
                    read.map_err(Error::io("read a chunk"))?.into()
                }
                (None, false) => {
                    let key = self.recording.prefix.log_chunk(self.attempt, number);
                    self.recorder.objects.get(&key).await?
                }
            });
        }
        Ok(chunks)
    }
}
