//! Starting and stopping: the parts put together, the listener, the shutdown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use echosphere_livekit::token::Verifier;
use echosphere_media::render::Renderer;
use echosphere_recorder::log::journal::{Journal, Recovered};
use echosphere_recorder::log::spool::Spool;
use echosphere_recorder::wire::Wire;
use echosphere_storage::ObjectStore;
use echosphere_storage::endpoint::Endpoint;
use echosphere_storage::local::LocalStore;
use echosphere_storage::presign::{Credentials, Presigner};
use echosphere_store::{Store, sqlite};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::{App, SharedApp};
use crate::cleaning;
use crate::config::{Config, UnknownRoom};
use crate::data_dir::{self, DataDir};
use crate::http;
use crate::links::Links;
use crate::listener::{self, Listener};
use crate::live::{self, Rooms};
use crate::readers::Readers;
use crate::render::Pool;
use crate::sign_in::{self, SignIns};
use crate::sources::Sources;
use crate::telemetry_queue::{self, TelemetryQueue};
use crate::upload::{self, recover};
use crate::work::{self, Work};
use crate::{clock, entropy, private};

/// Threads that read what was sent: what one of them may take of memory is taken as often.
const READERS: usize = 2;

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
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Something of the operating system's.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The way to LiveKit.
    #[error(transparent)]
    Wire(#[from] echosphere_recorder::wire::Error),
    /// What an earlier process left.
    #[error("what an earlier process left cannot be taken up: {0}")]
    TakeUp(#[from] work::Error),
    /// The metrics recorder.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

/// Runs the server until it is told to stop (SIGTERM, SIGINT). `ready` is called with the app when it listens.
pub async fn run(mut config: Config, ready: impl FnOnce(&SharedApp)) -> Result<(), Error> {
    listener::raise_descriptors();
    let listener = TcpListener::bind(config.listen).await;
    let listener = listener.map_err(|source| Error::Listen { address: config.listen, source })?;
    config.listen = listener.local_addr().map_err(|source| Error::System { action: "read the address", source })?;
    let metrics = metrics()?;
    let (app, journals) = assemble(config).await?;
    app.wire.install();
    cleaning::run(&app).await?;
    recover::recover(&app).await?;
    app.store.expire_leases().await?;
    announce(&app);
    live::take_up(&app, journals).await?;
    let background = [
        tokio::spawn(work::run(app.clone())),
        tokio::spawn(telemetry_queue::run(app.clone())),
        tokio::spawn(live::auto::poll(app.clone())),
        tokio::spawn(live::inbox::run(app.clone())),
        tokio::spawn(upload::held::run(app.clone())),
        tokio::spawn(live::load::watch(app.clone())),
        tokio::spawn(forget_sign_ins(app.clone())),
    ];
    tokio::task::spawn_blocking(http::prepare);
    println!("EchoSphere is listening on http://{}", app.config.listen);
    sign_in::begin(&app).await?;
    ready(&app);
    serve(&app, listener, http::router(&app, metrics)).await;
    app.rooms.hand_over().await;
    for task in background {
        if tokio::time::timeout(Duration::from_secs(10), task).await.is_err() {
            tracing::warn!("background work did not come to rest; it goes on after the next start");
        }
    }
    app.renderers.stop();
    app.readers.stop();
    app.store.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn metrics() -> Result<PrometheusHandle, Error> {
    PrometheusBuilder::new().install_recorder().map_err(|error| Error::Metrics(error.to_string()))
}

async fn assemble(config: Config) -> Result<(SharedApp, Recovered), Error> {
    let data = DataDir::open(&config.data_dir)?;
    // Read before this process's own journal is begun beside them.
    let journals = live::journals(&data.journal())?;
    let journal = Journal::start(&data.journal(), entropy::uuid(clock::now()));
    let journal = journal.map_err(|source| Error::System { action: "begin the journal", source })?;
    let spool = Spool::open(&data.chunks());
    let spool = spool.map_err(|source| Error::System { action: "open the spool of chunks", source })?;
    let wire = Wire::new(config.livekit_ca.as_deref())?;
    let database = config.database.clone().unwrap_or_else(|| data.database());
    let objects_root: PathBuf = config.storage.clone().unwrap_or_else(|| data.objects());
    let store: Arc<dyn Store> = Arc::new(sqlite::open(&database).await?);
    let objects: Arc<dyn ObjectStore> = Arc::new(LocalStore::open(&objects_root, &config.bucket)?);
    // Where they lie outside of the data directory, an earlier version or a volume may have left them open.
    let outside = private::database_files(&database).into_iter().chain([objects_root.join(&config.bucket)]);
    private::close(outside.collect::<Vec<_>>().iter().map(PathBuf::as_path))?;
    let credentials = match &config.s3_credentials {
        Some((access_key, secret_key)) => {
            Credentials { access_key: access_key.clone(), secret_key: secret_key.clone() }
        }
        None => Credentials { access_key: "echosphere".to_owned(), secret_key: data.secret("s3-secret-key")? },
    };
    let pairs = config.projects.iter().flat_map(|project| {
        project.livekit.iter().map(|pair| (project.id.clone(), pair.key.clone(), pair.secret.clone()))
    });
    let renderers = Pool::start(config.render_workers, Renderer::new);
    let renderers = renderers.map_err(|source| Error::System { action: "start a thread", source })?;
    let readers = Readers::start(READERS).map_err(|source| Error::System { action: "start a thread", source })?;
    telemetry_queue::remove_leftovers(&data);
    let app = Arc::new(App {
        tokens: Verifier::new(pairs),
        links: Links::new(data.secret("links")?),
        sign_ins: SignIns::new(data.secret(sign_in::SECRET)?, &config),
        s3: Endpoint::new(Arc::clone(&objects), config.bucket.clone(), &credentials),
        presigner: Presigner::new(config.bucket.clone(), config.region.clone(), credentials),
        store,
        objects,
        fences: crate::fences::Fences::default(),
        sources: Sources::default(),
        renderers,
        held: upload::held::Held::default(),
        readers,
        work: Work::default(),
        telemetry: TelemetryQueue::default(),
        stopping: watch::channel(false).0,
        rooms: Rooms::new(journal, spool, &config),
        inbox: live::inbox::Inbox::default(),
        watchers: http::Watchers::new(config.http.max_listeners),
        health: http::Health::default(),
        wire,
        data,
        config,
    });
    Ok((app, journals))
}

/// What an operator should know before anything happens.
fn announce(app: &App) {
    let config = &app.config;
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
    let signalled = wait_for_signal(app.clone());
    let listener = Listener {
        socket: listener,
        router,
        limits: app.config.http.clone(),
        stopping: app.stopping.subscribe(),
        grace: app.config.shutdown_grace,
    };
    let server = tokio::spawn(listener.serve());
    signalled.await;
    // Requests and uploads under way come to their end, within the grace; what is left then is cut, and kept as cut.
    if !server.await.unwrap_or(false) {
        tracing::warn!("connections were still open at the end of the grace");
    }
}

/// Forgets now and then who was signed in.
async fn forget_sign_ins(app: SharedApp) {
    const EVERY: Duration = Duration::from_secs(600);
    let mut stopping = app.stopping.subscribe();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        sign_in::forget_old(&app).await;
    }
}

async fn wait_for_signal(app: SharedApp) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    let mut stopping = app.stopping.subscribe();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = stopping.changed() => {}
    }
    tracing::info!("stopping: no new connections, requests under way are finished");
    app.stopping.send_replace(true);
}
