//! Makes the parts of a server, lowest first, and gives each what it needs.

use std::sync::Arc;

use echosphere_domain::id::NodeId;
use echosphere_livekit::token::Verifier;
use echosphere_media::render::Renderer;
use echosphere_recorder::log::journal::{Journal, Recovered};
use echosphere_recorder::log::spool::Spool;
use echosphere_recorder::wire::Wire;
use echosphere_storage::endpoint::Endpoint;
use echosphere_store::Store;

use super::{Error, stores};
use crate::assembly::Assembly;
use crate::auto_record::AutoRecord;
use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::entropy;
use crate::http;
use crate::http::state::{App, SharedApp};
use crate::jobs::{self, Jobs};
use crate::links::Links;
use crate::objects::Objects;
use crate::participants::Participants;
use crate::project_rules::ProjectRules;
use crate::readers::Readers;
use crate::recording::{self, Recorder, Registry, load};
use crate::redaction::Redaction;
use crate::rendering::{Pool, Rendering};
use crate::sign_in::{self, SignIns};
use crate::signals::{Bell, Stop};
use crate::uploads::Uploads;
use crate::uploads::arrivals::Arrivals;
use crate::uploads::exclusion::Exclusion;
use crate::uploads::sound_ahead::SoundsAhead;
use crate::uploads::telemetry_queue::{self, TelemetryQueue};

/// Threads that read uploads and telemetry: the memory that one may take counts once for each.
const READERS: usize = 2;

fn verifier(config: &Config) -> Verifier {
    let pairs = config.projects.iter().flat_map(|project| {
        project.livekit.iter().map(|pair| (project.id.clone(), pair.key.clone(), pair.secret.clone()))
    });
    Verifier::new(pairs)
}

pub(super) async fn assemble(config: Config) -> Result<(SharedApp, Recovered), Error> {
    let data = DataDir::open(&config.data_dir)?;
    let (store, objects) = stores::open(&config, &data).await?;
    let rules = ProjectRules::load(store.as_ref(), &config).await?;
    assemble_over(config, data, store, objects, rules, Clock::system())
}

/// Puts the parts of a server together over its database and object storage; also returns what earlier processes left in journals.
pub fn assemble_over(
    config: Config,
    data: DataDir,
    store: Arc<dyn Store>,
    stored: stores::Objects,
    rules: ProjectRules,
    clock: Clock,
) -> Result<(SharedApp, Recovered), Error> {
    let system = |action| move |source| Error::System { action, source };
    let stores::Objects { bytes, earlier, presigner, embedded } = stored;
    let (config, data) = (Arc::new(config), Arc::new(data));
    // Read before this process's own journal is begun next to them.
    let journals = recording::journals(&data.journal()).map_err(jobs::Error::from)?;
    let journal = Journal::start(&data.journal(), entropy::uuid(clock.now())).map_err(system("begin the journal"))?;
    let spool = Spool::open(&data.chunks()).map_err(system("open the spool of chunks"))?;
    let wire = Wire::new(config.livekit_ca.as_deref())?;
    let pool = Pool::start(config.render_workers, Renderer::new).map_err(system("start a thread"))?;
    let readers = Readers::start(READERS).map_err(system("start a thread"))?;
    telemetry_queue::remove_leftovers(&data);
    let objects = Objects::new(Arc::clone(&store), Arc::clone(&bytes), earlier, clock.clone());
    let base = Base {
        node: data.node_id(NodeId::new(entropy::uuid(clock.now())))?,
        participants: Participants::new(Arc::clone(&store), Arc::clone(&config), rules.clone(), clock.clone()),
        rendering: Rendering::new(Arc::clone(&store), objects.clone(), pool, clock.clone()),
        rules,
        config: Arc::clone(&config),
        data: Arc::clone(&data),
        store: Arc::clone(&store),
        objects: objects.clone(),
        jobs: Arc::default(),
        stop: Stop::new(),
        clock,
    };
    let uploads = Arc::new(base.uploads(readers, wire.clone()));
    let recorder = Arc::new(base.recorder(wire, Registry::new(journal, spool, config.render_workers)));
    let jobs = Arc::new(base.jobs(Arc::clone(&uploads), Arc::<Registry>::clone(&recorder.registry)));
    let auto_record = Arc::new(AutoRecord::new(Arc::clone(&recorder), uploads.exclusion.clone()));
    let app = Arc::new(App {
        tokens: verifier(&config),
        links: Links::new(data.secret("links")?),
        sign_ins: SignIns::new(data.secret(sign_in::SECRET)?, &config),
        s3: embedded.map(|keys| Endpoint::new(bytes, config.storage.bucket.clone(), &keys)),
        presigner,
        watchers: http::Watchers::new(config.http.max_listeners),
        health: http::Health::default(),
        store,
        objects,
        rendering: base.rendering,
        uploads,
        jobs,
        recorder,
        auto_record,
        stop: base.stop,
        data,
        config,
    });
    Ok((app, journals))
}

/// What several parts are given.
struct Base {
    node: NodeId,
    rules: ProjectRules,
    config: Arc<Config>,
    data: Arc<DataDir>,
    store: Arc<dyn Store>,
    objects: Objects,
    rendering: Rendering,
    participants: Participants,
    jobs: Arc<Bell>,
    stop: Stop,
    clock: Clock,
}

impl Base {
    fn uploads(&self, readers: Readers, wire: Wire) -> Uploads {
        let held = Arc::new(Bell::default());
        Uploads {
            config: Arc::clone(&self.config),
            data: Arc::clone(&self.data),
            store: Arc::clone(&self.store),
            objects: self.objects.clone(),
            redaction: Redaction {
                store: Arc::clone(&self.store),
                objects: self.objects.clone(),
                readers: Arc::new(readers),
                clock: self.clock.clone(),
            },
            exclusion: Exclusion {
                rules: self.rules.clone(),
                config: Arc::clone(&self.config),
                store: Arc::clone(&self.store),
                wire,
                held: Arc::clone(&held),
                jobs: Arc::clone(&self.jobs),
                clock: self.clock.clone(),
            },
            ahead: SoundsAhead::default(),
            arrivals: Arrivals::default(),
            telemetry: TelemetryQueue::default(),
            leaving: tokio::sync::Mutex::default(),
            held,
            jobs: Arc::clone(&self.jobs),
            stop: self.stop.clone(),
            clock: self.clock.clone(),
        }
    }

    fn recorder(&self, wire: Wire, registry: Registry) -> Recorder {
        Recorder {
            node: self.node,
            config: Arc::clone(&self.config),
            data: Arc::clone(&self.data),
            store: Arc::clone(&self.store),
            objects: self.objects.clone(),
            rendering: self.rendering.clone(),
            participants: self.participants.clone(),
            wire,
            jobs: Arc::clone(&self.jobs),
            stop: self.stop.clone(),
            clock: self.clock.clone(),
            registry: Arc::new(registry),
            load: load::Gauge::new(&self.config.recorder),
        }
    }

    fn jobs(&self, uploads: Arc<Uploads>, rooms: Arc<dyn jobs::Rooms>) -> Jobs {
        Jobs {
            node: self.node,
            config: Arc::clone(&self.config),
            data: Arc::clone(&self.data),
            store: Arc::clone(&self.store),
            objects: self.objects.clone(),
            rendering: self.rendering.clone(),
            assembly: Assembly { rendering: self.rendering.clone(), stop: self.stop.clone() },
            uploads,
            participants: self.participants.clone(),
            rooms,
            sidecars: tokio::sync::Mutex::default(),
            bell: Arc::clone(&self.jobs),
            stop: self.stop.clone(),
            clock: self.clock.clone(),
        }
    }
}
