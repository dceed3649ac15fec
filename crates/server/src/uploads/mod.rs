//! What agents upload, sessions and telemetry: received onto the disk, read, and held or refused where it must be.

pub mod arrivals;
pub mod body;
pub mod exclusion;
pub mod held;
pub mod receive;
pub mod recover;
pub mod refusal;
pub mod sound_ahead;
pub(crate) mod telemetry_queue;

use std::io;
use std::sync::Arc;

use echosphere_domain::id::UploadId;
use echosphere_store::Store;

use self::arrivals::Arrivals;
use self::exclusion::Exclusion;
use self::sound_ahead::SoundsAhead;
use self::telemetry_queue::TelemetryQueue;
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::objects::Objects;
use crate::redaction::Redaction;
use crate::signals::{Bell, Stop};

/// What uploads need.
pub struct Uploads {
    /// Their limits.
    pub config: Arc<Config>,
    /// Where their bodies are spooled.
    pub data: Arc<DataDir>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Object storage.
    pub objects: Objects,
    /// Removes from them what must not be kept.
    pub redaction: Redaction,
    /// Rooms that are excluded by name.
    pub exclusion: Exclusion,
    /// What was found of the sound of uploads while they came.
    pub ahead: SoundsAhead,
    /// Who waits until what they sent is in object storage.
    pub arrivals: Arrivals,
    /// OTLP requests that could not be stored at once.
    pub telemetry: TelemetryQueue,
    /// Locked while a request has an upload leave quarantine, or what is held: two requests for one upload do not meet.
    pub leaving: tokio::sync::Mutex<()>,
    /// Wakes the check of held uploads.
    pub held: Arc<Bell>,
    /// Wakes background work.
    pub jobs: Arc<Bell>,
    /// Cancelled when the server is to stop.
    pub stop: Stop,
    /// The time of day.
    pub clock: Clock,
}

impl Uploads {
    /// Refuses when the disk has less free space than is kept for rooms that are being recorded (`recorder.min_free_disk`).
    pub async fn check_disk(&self) -> io::Result<()> {
        let (data, least) = (Arc::clone(&self.data), self.config.recorder.min_free_disk);
        tokio::task::spawn_blocking(move || data.check_free(least)).await.map_err(io::Error::other)?
    }

    /// Removes an upload that became nothing: its files, then its row. What cannot be removed now is found again at the next start.
    pub async fn forget(&self, id: UploadId) -> Result<(), echosphere_store::Error> {
        for path in [self.data.spool(id), self.data.spool_silenced(id)] {
            if let Err(error) = tokio::fs::remove_file(path).await
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(upload = %id, %error, "a spool file cannot be removed");
            }
        }
        self.store.forget_upload(id).await
    }
}
