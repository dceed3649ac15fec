//! Starts and stops the server: puts its parts together, listens for connections, and shuts down.

mod assemble;
mod bucket;
mod places;
mod s3_requests;
mod stores;
mod unreachable;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::task::TaskTracker;

#[cfg(test)]
pub use self::assemble::assemble_over;
pub use self::bucket::bucket_of;
pub use self::places::marker_of;
#[cfg(test)]
pub use self::stores::embedded;
pub use self::stores::open as open_stores;
use crate::auto_record::{self, inbox};
use crate::config::{Config, UnknownRoom};
use crate::connections::{self, Listener};
use crate::http;
use crate::http::state::SharedApp;
use crate::jobs::{self, clean};
use crate::recording::{self, load, owner};
use crate::signals::Stop;
use crate::uploads::{held, recover, telemetry_queue};
use crate::{data_dir, error, private, sign_in};

/// How long background work may take to come to rest when the server stops.
const REST: Duration = Duration::from_secs(10);

/// Connections that the kernel completes before we accept them (it takes `net.core.somaxconn` at most): whoever knocks while
/// hundreds of others do waits for their turn, and not a second for the next attempt.
const BACKLOG: u32 = 4_096;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
    /// Others on the machine can read what is kept.
    #[error(transparent)]
    Open(#[from] private::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// Object storage.
    #[error(transparent)]
    Storage(#[from] echosphere_storage::Error),
    /// Where objects are, or were.
    #[error("where objects are kept cannot be noted: {0}")]
    Places(String),
    /// A bucket is asked for, and no S3 server has the objects.
    #[error("storage.url names no bucket")]
    NoBucket,
    /// The keys for it.
    #[error(transparent)]
    Credentials(#[from] echosphere_storage::credentials::Error),
    /// A file that a setting names.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// A call to the operating system.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The transport to LiveKit.
    #[error(transparent)]
    Wire(#[from] echosphere_recorder::wire::Error),
    /// What an earlier process left cannot be cleaned up or resumed.
    #[error("what an earlier process left cannot be gone on with: {0}")]
    Resume(#[from] jobs::Error),
    /// Nobody can be shown how to sign in.
    #[error(transparent)]
    SignIn(#[from] sign_in::Error),
    /// The metrics recorder.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

/// Runs the server until it is to stop (SIGTERM, SIGINT). `ready` is called with the app when it listens.
pub async fn run(mut config: Config, ready: impl FnOnce(&SharedApp)) -> Result<(), Error> {
    connections::raise_descriptors();
    let listener = listen(config.listen).map_err(|source| Error::Listen { address: config.listen, source })?;
    config.listen = listener.local_addr().map_err(|source| Error::System { action: "read the address", source })?;
    let metrics = metrics()?;
    let (app, journals) = assemble::assemble(config).await?;
    app.recorder.wire.install();
    match clean::run(&app.jobs).await {
        // Rooms are recorded without it: what they say waits on the disk.
        Err(jobs::Error::Kept(error::Error::Storage(error))) if error.is_transient() => {
            tracing::error!(%error, "what an earlier process left is not cleaned up before the next start");
        }
        cleaned => cleaned?,
    }
    recover::recover(&app.uploads).await?;
    app.store.release_tasks(app.jobs.node).await?;
    announce(&app.config);
    recording::resume(&app.recorder, journals).await.map_err(jobs::Error::from)?;
    let background = TaskTracker::new();
    background.spawn(jobs::run(Arc::clone(&app.jobs)));
    background.spawn(telemetry_queue::run(Arc::clone(&app.uploads)));
    background.spawn(held::run(Arc::clone(&app.uploads)));
    background.spawn(auto_record::poll(Arc::clone(&app.auto_record)));
    background.spawn(inbox::run(Arc::clone(&app.auto_record)));
    background.spawn(owner::run(Arc::clone(&app.recorder)));
    background.spawn(load::watch(Arc::clone(&app.recorder)));
    background.spawn(forget_sign_ins(app.clone()));
    background.close();
    tokio::task::spawn_blocking(http::prepare);
    println!("EchoSphere is listening on http://{}", app.config.listen);
    sign_in::begin(&app.sign_ins, app.store.as_ref(), &app.config, &app.data).await?;
    ready(&app);
    serve(&app, listener, http::router(&app, metrics)).await;
    app.recorder.registry.hand_over().await;
    if tokio::time::timeout(REST, background.wait()).await.is_err() {
        let tasks = background.len();
        tracing::warn!(tasks, "background work did not come to rest; it goes on after the next start");
    }
    app.rendering.pool.stop();
    app.uploads.redaction.readers.stop();
    app.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that the next process can listen while connections of this one are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn metrics() -> Result<PrometheusHandle, Error> {
    PrometheusBuilder::new().install_recorder().map_err(|error| Error::Metrics(error.to_string()))
}

/// Logs what an operator should know before anything happens.
fn announce(config: &Config) {
    tracing::info!(listen = %config.listen, projects = config.projects.len(), "EchoSphere starts");
    if !config.recorder.auto.rooms.is_empty() && config.projects.len() > 1 {
        tracing::info!(
            project = %config.recording_project(),
            "rooms are recorded without being asked into this project; recorder.project names another"
        );
    }
    for key in config.short_secrets() {
        tracing::warn!(key, "the secret of this LiveKit key has less than the 32 characters that LiveKit asks for");
    }
    for project in config.projects.iter().filter(|project| !project.excluded_rooms.is_empty()) {
        let then = if config.unknown_room == UnknownRoom::Keep { "kept" } else { "deleted" };
        tracing::info!(
            project = %project.id, wait = ?config.unknown_room_wait, then,
            "rooms are left out by name: an upload whose room has no name yet waits for it, and is then treated as \
             uploads.unknown_room says"
        );
    }
    if config.projects.iter().all(|project| project.livekit.is_empty()) {
        tracing::warn!(
            "no LiveKit key pair is configured, so no agent can upload: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        );
    }
}

async fn serve(app: &SharedApp, listener: TcpListener, router: Router) {
    let signalled = wait_for_signal(app.stop.clone());
    let listener = Listener {
        socket: listener,
        router,
        limits: app.config.http.clone(),
        stop: app.stop.clone(),
        grace: app.config.shutdown_grace,
    };
    let server = tokio::spawn(listener.serve());
    signalled.await;
    // Requests and uploads under way finish within the grace period; what is left then is cut, and kept as cut.
    if !server.await.unwrap_or(false) {
        tracing::warn!("connections were still open at the end of the grace");
    }
}

/// Forgets old sign-ins periodically.
async fn forget_sign_ins(app: SharedApp) {
    const EVERY: Duration = Duration::from_secs(600);
    while tokio::time::timeout(EVERY, app.stop.cancelled()).await.is_err() {
        sign_in::forget_old(app.store.as_ref(), &app.config).await;
    }
}

async fn wait_for_signal(stop: Stop) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stop.cancelled() => {}
    }
    tracing::info!("stopping: no new connections, requests under way are finished");
    stop.cancel();
}
