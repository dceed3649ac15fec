//! What every request and every task reaches: the parts of a running server, put together once at the start.

use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use echosphere_domain::id::RecordingId;
use echosphere_domain::key::ObjectKey;
use echosphere_livekit::token::Verifier;
use echosphere_recorder::wire::Wire;
use echosphere_storage::ObjectStore;
use echosphere_storage::endpoint::Endpoint;

use echosphere_store::Store;
use tokio::sync::watch;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::fences::Fences;
use crate::http::{Health, Watchers};
use crate::links::Links;
use crate::live::Rooms;
use crate::live::inbox::Inbox;
use crate::readers::Readers;
use crate::render::Pool;
use crate::sign_in::SignIns;
use crate::sources::Sources;
use crate::telemetry_queue::TelemetryQueue;
use crate::upload::held::Held;
use crate::work::Work;
use echosphere_storage::presign::Presigner;

/// The parts of a running server.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The data directory, locked.
    pub data: DataDir,
    /// The rows.
    pub store: Arc<dyn Store>,
    /// The bytes.
    pub objects: Arc<dyn ObjectStore>,
    /// Who signed a token.
    pub tokens: Verifier,
    /// Signed links.
    pub links: Links,
    /// Browsers that sign in.
    pub sign_ins: SignIns,
    /// The embedded S3 endpoint.
    pub s3: Endpoint,
    /// Presigned URLs.
    pub presigner: Presigner,
    /// The fences around recordings that are being deleted.
    pub fences: Fences,
    /// The captures that were rendered last.
    pub sources: Sources,
    /// The threads that render.
    pub renderers: Pool,
    /// The threads that read what was sent.
    pub readers: Readers,
    /// The rooms that this process records.
    pub rooms: Rooms,
    /// Who listens to recordings.
    pub watchers: Watchers,
    /// Whether requests can be served, as far as was looked.
    pub health: Health,
    /// What LiveKit's webhooks ask for.
    pub inbox: Inbox,
    /// How LiveKit is reached.
    pub wire: Wire,
    /// Uploads that wait for the name of their room.
    pub held: Held,
    /// Wakes background work.
    pub work: Work,
    /// OTLP requests that could not be stored at once.
    pub telemetry: TelemetryQueue,
    /// Turns true when the server is to stop.
    pub stopping: watch::Sender<bool>,
}

/// The parts of a running server, shared.
pub type SharedApp = Arc<App>;

impl App {
    /// How the client that sent these headers reaches this server: the configured public URL, else the host it called.
    pub fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.config.public_url {
            return url.clone();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let usable = host.filter(|host| is_authority(host));
        usable.map_or_else(|| format!("http://{}", self.config.listen), |host| format!("http://{host}"))
    }

    /// Stores an object of a recording, unless that is being deleted.
    pub async fn put(&self, recording: RecordingId, key: &ObjectKey, bytes: Bytes) -> Result<(), crate::work::Error> {
        self.fences.put(&self.objects, recording, key, bytes).await
    }

    /// Stores a file as an object of a recording, unless that is being deleted.
    pub async fn put_file(
        &self,
        recording: RecordingId,
        key: &ObjectKey,
        file: &Path,
    ) -> Result<(), crate::work::Error> {
        self.fences.put_file(&self.objects, recording, key, file.to_owned()).await
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}

/// Whether a Host header is a plain `host` or `host:port`, safe to be written into a URL.
fn is_authority(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    !host.is_empty() && host.len() <= 255 && host.bytes().all(plain)
}
