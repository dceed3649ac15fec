//! The queue of OTLP requests on their way to object storage.
//!
//! They are answered within moments, whatever else is going on: a request that cannot be stored waits (in memory, or in a file if
//! it is large) and is tried again, and when too much waits the oldest is lost. Logs may be lost in a crash; a recording that is
//! not sent because its logs were refused would be lost for sure.
//!
//! They are kept as they came, compressed if they came compressed, and read on the threads of [`crate::readers`].

mod content;
mod store;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use echosphere_domain::id::{ProjectId, UploadId};
use echosphere_livekit::telemetry::InflateError;

use super::Uploads;

pub use self::content::{Content, Error as ContentError, remove_leftovers};
use self::store::store_request;

/// The largest request, before and after inflation, in bytes.
pub const MAX_LENGTH: usize = 64 << 20;
/// How much of one project may wait in memory, and on the disk, in bytes.
const MAX_IN_MEMORY: usize = 16 << 20;
const MAX_ON_DISK: usize = 256 << 20;
/// Requests of one project that are being stored at the same time.
const MAX_UNDER_WAY: usize = 128;
/// How long the sender waits until its request is stored; after that it is answered all the same.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often what waits is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// An authenticated request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose token it came with.
    pub project: ProjectId,
    /// `traces`, `logs` or `metrics`.
    pub signal: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Whether its body is gzip.
    pub is_gzip: bool,
    /// Its body, as it came.
    pub body: Content,
}

/// The requests of one project that wait.
#[derive(Default)]
struct Waiting {
    requests: VecDeque<(UploadId, Request)>,
    in_memory: usize,
    on_disk: usize,
    /// Requests that are being stored.
    under_way: usize,
}

impl Waiting {
    fn bytes(&mut self, request: &Request) -> &mut usize {
        if request.body.is_in_memory() { &mut self.in_memory } else { &mut self.on_disk }
    }

    fn push(&mut self, id: UploadId, request: Request) {
        *self.bytes(&request) += request.body.len();
        self.requests.push_back((id, request));
        while self.in_memory > MAX_IN_MEMORY || self.on_disk > MAX_ON_DISK {
            let Some((_, oldest)) = self.pop() else { break };
            metrics::counter!("echosphere_telemetry_lost_total").increment(1);
            tracing::error!(signal = oldest.signal, bytes = oldest.body.len(), "telemetry is lost: too much waits");
        }
    }

    fn pop(&mut self) -> Option<(UploadId, Request)> {
        let next = self.requests.pop_front()?;
        *self.bytes(&next.1) -= next.1.body.len();
        Some(next)
    }
}

/// What waits to be stored.
#[derive(Default)]
pub struct TelemetryQueue {
    waiting: Mutex<HashMap<ProjectId, Waiting>>,
}

impl TelemetryQueue {
    /// Stores a request, or lets it wait. Returns within moments; with an error when it can never be stored.
    pub async fn accept(&self, uploads: &Arc<Uploads>, id: UploadId, request: Request) -> Result<(), InflateError> {
        if !self.begin(&request.project) {
            self.push(id, request);
            return Ok(());
        }
        let uploads = Arc::clone(uploads);
        // It goes on after the sender was answered, or is gone.
        let stored = tokio::spawn(async move {
            let stored = store_request(&uploads, id, &request).await;
            uploads.telemetry.end(&request.project);
            match stored {
                Ok(()) => Ok(()),
                Err(Error::Unreadable(error)) => Err(error),
                Err(error) => {
                    tracing::warn!(%error, "telemetry cannot be stored now; it waits");
                    uploads.telemetry.push(id, request);
                    Ok(())
                }
            }
        });
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(stored)) => stored,
            _ => Ok(()),
        }
    }

    /// Whether one more request of a project may be under way.
    fn begin(&self, project: &ProjectId) -> bool {
        let mut waiting = self.waiting();
        let waiting = waiting.entry(project.clone()).or_default();
        let may = waiting.under_way < MAX_UNDER_WAY;
        waiting.under_way += usize::from(may);
        may
    }

    fn end(&self, project: &ProjectId) {
        if let Some(waiting) = self.waiting().get_mut(project) {
            waiting.under_way = waiting.under_way.saturating_sub(1);
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, id: UploadId, request: Request) {
        self.waiting().entry(request.project.clone()).or_default().push(id, request);
    }

    fn pop(&self, project: &ProjectId) -> Option<(UploadId, Request)> {
        self.waiting().get_mut(project)?.pop()
    }

    fn projects(&self) -> Vec<ProjectId> {
        self.waiting().keys().cloned().collect()
    }
}

/// Why a request was not stored.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// It cannot be read, now or later.
    #[error(transparent)]
    Unreadable(#[from] InflateError),
    /// It cannot be kept now.
    #[error(transparent)]
    Kept(#[from] crate::error::Error),
    /// The readers do not take it now.
    #[error(transparent)]
    Reader(#[from] crate::readers::Error),
}

impl From<echosphere_store::Error> for Error {
    fn from(error: echosphere_store::Error) -> Self {
        Self::Kept(error.into())
    }
}

/// Retries what waits until the server stops, and once more then.
pub async fn run(uploads: Arc<Uploads>) {
    loop {
        tokio::select! {
            () = uploads.stop.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
        let projects = uploads.telemetry.projects();
        futures_util::future::join_all(projects.iter().map(|project| try_again(&uploads, project))).await;
        if uploads.stop.is_cancelled() {
            return;
        }
    }
}

/// Retries what waits of a project, up to the first request that still cannot be stored.
async fn try_again(uploads: &Arc<Uploads>, project: &ProjectId) {
    while let Some((id, request)) = uploads.telemetry.pop(project) {
        match store_request(uploads, id, &request).await {
            Ok(()) => {}
            Err(Error::Unreadable(error)) => tracing::warn!(%error, "telemetry cannot be read"),
            Err(error) => {
                tracing::warn!(%error, "telemetry still cannot be stored");
                uploads.telemetry.push(id, request);
                break;
            }
        }
    }
}
