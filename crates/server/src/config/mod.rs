//! The configuration: one YAML file and the environment, read once at the start.
//!
//! [`settings`] lists every setting with its key, its variable, its default and its meaning; reading the file, the error
//! messages and the test that compares `docs/configuration.md` with the code all use that table.

mod credentials;
mod http;
mod load;
mod network;
mod projects;
mod recorder;
pub mod settings;
mod sign_in;
mod storage;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use echosphere_domain::id::ProjectId;
use echosphere_domain::recording::Source;
use secrecy::SecretString;

pub use self::http::Http;
pub use load::{Environment, Error, load};
pub use network::{Network, is_loopback_host};
pub use projects::{KeyPair, Project};
pub use recorder::{AutoRecord, Recorder};
pub use sign_in::SignIn;
pub use storage::{Place, S3, Storage};

/// What becomes of a session that asks for redaction, which this version cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// It is refused, and nothing of it is kept.
    Refuse,
    /// It is kept like any other, unredacted.
    Accept,
}

/// What a sender is told whose upload an S3 server does not take in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenAway {
    /// That it was taken: it is on this machine's disk, and goes to the server as soon as that takes it.
    Accept,
    /// To come again.
    Retry,
}

/// When segments are rendered (AAC in MPEG-TS). What can be played in Opus is there at once either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderWhen {
    /// When somebody asks for them, and a few after them.
    Asked,
    /// All of them, as soon as there is sound.
    Always,
    /// Never: there is nothing but Opus.
    Never,
}

/// What becomes of an upload when its room's name stays unknown, while rules exclude rooms by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownRoom {
    /// It is kept; a name that becomes known later still erases it.
    Keep,
    /// It is deleted.
    Delete,
}

/// All settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The folder for everything that has no other place.
    pub data_dir: PathBuf,
    /// How clients reach this server, when that differs from the address they called; without a trailing slash.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// How long a browser stays signed in.
    pub sign_in: SignIn,
    /// Whether local clients are served without credentials (`--no-auth`).
    pub no_auth: bool,
    /// Whether `/metrics` is served without credentials.
    pub metrics_public: bool,
    /// The URL of the LiveKit server. Recording rooms needs a connection to it, session uploads do not.
    pub livekit_url: Option<String>,
    /// A certificate authority (PEM) that LiveKit's certificate may be signed by, besides the public ones.
    pub livekit_ca: Option<PathBuf>,
    /// How rooms are recorded.
    pub recorder: Recorder,
    /// The SQLite database's file; `None` is the one in the data directory.
    pub database: Option<PathBuf>,
    /// Where objects are kept.
    pub storage: Storage,
    /// Fixed keys of the embedded S3 endpoint; without them a pair is made at the first start.
    pub s3_credentials: Option<(String, SecretString)>,
    /// How old an object that nothing needs must be before it is deleted.
    pub sweep_after: Duration,
    /// How often to look for such objects.
    pub sweep_every: Duration,
    /// The largest session upload, in bytes.
    pub max_upload_bytes: u64,
    /// How long the agents SDK is asked to wait before it tries again, when we could not take its upload.
    pub upload_retry_delay: Duration,
    /// What a sender is told whose upload an S3 server does not take in time.
    pub when_storage_is_away: WhenAway,
    /// What becomes of a session that asks for redaction.
    pub redaction: Redaction,
    /// How long an upload is held until the name of its room is known, while rules exclude rooms by name.
    pub unknown_room_wait: Duration,
    /// What becomes of it when the name stays unknown.
    pub unknown_room: UnknownRoom,
    /// How long an upload that could not be read is kept.
    pub quarantine: Duration,
    /// The target length of a media segment.
    pub segment_duration: Duration,
    /// How many segments are rendered at the same time.
    pub render_workers: usize,
    /// When segments are rendered.
    pub render_when: RenderWhen,
    /// How long a segment is kept that was rendered because somebody asked for it.
    pub render_keep: Duration,
    /// How long presigned URLs live; `None` is twice the recording's length, at least an hour, at most seven days.
    pub url_ttl: Option<Duration>,
    /// The limits of the HTTP listener.
    pub http: Http,
    /// How long a shutdown waits for requests and uploads under way.
    pub shutdown_grace: Duration,
    /// The log's filter, for example `info` or `echosphere=debug,info`.
    pub log_filter: String,
    /// Whether the log is JSON (else text for people).
    pub log_json: bool,
    /// The projects, in the order of the file; never empty.
    pub projects: Vec<Project>,
}

impl Config {
    /// How often what is heard in a room is put into object storage.
    pub fn chunk(&self) -> Duration {
        self.recorder.chunk.unwrap_or(Duration::from_secs(if self.storage.is_s3() { 10 } else { 2 }))
    }

    /// Whether sound can be had as AAC.
    pub fn makes_aac(&self) -> bool {
        self.render_when != RenderWhen::Never
    }

    /// Whether the segments of a capture from this source are rendered as soon as there is sound. They have to be where its log is given
    /// up: what was not rendered then would be lost.
    pub fn renders_at_once(&self, source: Source) -> bool {
        self.render_when == RenderWhen::Always || (source == Source::Recorder && self.recorder.keep_log.is_some())
    }

    /// The project that sign-in links are for, and that requests without credentials see under `--no-auth`: `default`, or the
    /// first one when no project has that name.
    pub fn local_project(&self) -> &ProjectId {
        let default = self.projects.iter().find(|project| project.id.is_default());
        &default.unwrap_or(&self.projects[0]).id
    }

    /// The project that automatic recordings of rooms belong to: the configured one, else the local one if it has a key pair, else
    /// the first that has one.
    pub fn recording_project(&self) -> &ProjectId {
        let local = self.local_project();
        let has_pair = |id: &ProjectId| self.project(id).is_some_and(|project| !project.livekit.is_empty());
        match &self.recorder.project {
            Some(named) => named,
            None if has_pair(local) => local,
            None => {
                self.projects.iter().find(|project| !project.livekit.is_empty()).map_or(local, |project| &project.id)
            }
        }
    }

    /// The LiveKit keys whose secrets are shorter than LiveKit asks for.
    pub fn short_secrets(&self) -> impl Iterator<Item = &str> {
        let pairs = self.projects.iter().flat_map(|project| &project.livekit);
        pairs.filter(|pair| credentials::is_short(&pair.secret)).map(|pair| pair.key.as_str())
    }

    /// The settings of a project.
    pub fn project(&self, id: &ProjectId) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == *id)
    }
}
