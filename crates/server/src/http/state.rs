//! The state that all request handlers share: the parts of a running server.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use echosphere_livekit::token::Verifier;
use echosphere_storage::endpoint::Endpoint;
use echosphere_storage::presign::Presigner;
use echosphere_store::Store;

use super::{Health, Watchers};
use crate::auto_record::AutoRecord;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::jobs::Jobs;
use crate::links::Links;
use crate::objects::Objects;
use crate::recording::Recorder;
use crate::rendering::Rendering;
use crate::sign_in::SignIns;
use crate::signals::Stop;
use crate::uploads::Uploads;

/// The parts of a running server.
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// The data directory, locked.
    pub data: Arc<DataDir>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// The stored objects.
    pub objects: Objects,
    /// Checks LiveKit's tokens.
    pub tokens: Verifier,
    /// Makes and checks signed links.
    pub links: Links,
    /// Browsers that sign in.
    pub sign_ins: SignIns,
    /// The embedded S3 endpoint, unless an S3 server has the objects.
    pub s3: Option<Endpoint>,
    /// Makes presigned URLs.
    pub presigner: Presigner,
    /// Renders segments.
    pub rendering: Rendering,
    /// What agents upload.
    pub uploads: Arc<Uploads>,
    /// Background work.
    pub jobs: Arc<Jobs>,
    /// The rooms that this process records.
    pub recorder: Arc<Recorder>,
    /// Rooms that are recorded automatically.
    pub auto_record: Arc<AutoRecord>,
    /// The clients that receive events of recordings.
    pub watchers: Watchers,
    /// Whether requests can be served, by the last check.
    pub health: Health,
    /// Cancelled when the server has to stop.
    pub stop: Stop,
}

/// The parts of a running server, shared.
pub type SharedApp = Arc<App>;

impl App {
    /// How the client that sent these headers reaches this server: the configured public URL, else by the host that it called.
    pub fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.config.public_url {
            return url.clone();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let usable = host.filter(|host| is_authority(host));
        usable.map_or_else(|| format!("http://{}", self.config.listen), |host| format!("http://{host}"))
    }
}

/// Whether a Host header is a plain `host` or `host:port`, safe to be written into a URL.
fn is_authority(host: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    !host.is_empty() && host.len() <= 255 && host.bytes().all(plain)
}
