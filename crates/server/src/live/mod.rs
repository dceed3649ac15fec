//! Rooms that this process records: starting, telling, handing over, and taking up what an earlier process left.

pub mod auto;
pub mod inbox;
mod keeper;
mod take_up;
mod told;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::{Capture, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;
use echosphere_livekit::token;
use echosphere_recorder::capture::{self, Timepiece};
use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::Body;
use echosphere_recorder::log::journal::Journal;
use echosphere_recorder::room::people::{self, Exclusions};
use echosphere_recorder::room::{self, Command, Listener};
use echosphere_recorder::rooms::RoomService;
use echosphere_recorder::sound::{Assembler, Heard, Index};
use echosphere_store::{Begun, LeftOut, NewLive, Once, Repeated};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub use take_up::{journals, take_up};
pub use told::Told;

use crate::app::{App, SharedApp};
use crate::{clock, entropy};

/// How long live rendering waits behind the end of a segment: what was lost on the way has come again by then.
pub const LAG: Duration = Duration::from_millis(1_000);
/// How often to look for a room that does not exist yet.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(250);
/// How long a token for joining is good. A connection that is broken longer joins with a new one.
const TOKEN_SECONDS: i64 = 6 * 3600;

/// Why a room is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rows.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// It is being recorded.
    #[error("the room is being recorded already, as {0}")]
    Already(RecordingId),
    /// The request was carried out before, or its key was used for another one.
    #[error("the request was sent before")]
    Repeated(Repeated),
    /// No server is configured.
    #[error("no LiveKit server is configured: set LIVEKIT_URL")]
    NoServer,
    /// No key is configured.
    #[error("the project {0} has no LiveKit key pair: set LIVEKIT_API_KEY and LIVEKIT_API_SECRET")]
    NoKey(ProjectId),
    /// The server's host is not known.
    #[error("the LiveKit server {url} cannot be found: {reason}")]
    NoWay {
        /// The configured URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// As many rooms as allowed are being recorded.
    #[error("{0} rooms are being recorded, which is as many as recorder.max_rooms allows")]
    Full(usize),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Error {
    /// Whether the same may succeed later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::NoWay { .. } | Self::Full(_) | Self::Stopping => true,
            Self::Already(_) | Self::Repeated(_) | Self::NoServer | Self::NoKey(_) => false,
        }
    }
}

/// What is to be recorded.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// The room's name.
    pub room_name: String,
    /// The user's own id for the conversation.
    pub session_id: Option<String>,
    /// The user's own key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// How it is recorded.
    pub told: Told,
    /// The request that asks for it, if it may be sent again.
    pub once: Option<Once>,
}

/// A room that this process records.
struct Running {
    session: Arc<Session>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

/// The rooms that this process records.
pub struct Rooms {
    /// The journal of all of them.
    pub journal: Arc<Journal>,
    running: Mutex<HashMap<RecordingId, Running>>,
    webhooks: auto::LastWebhook,
}

/// What a room's parts share.
struct Session {
    app: SharedApp,
    recording: Recording,
    capture_id: CaptureId,
    attempt: u32,
    capture: Mutex<capture::Capture>,
    commands: mpsc::Sender<Command>,
    /// Segments that an earlier process rendered.
    rendered: u32,
    /// Those who are left out, until the rows know.
    left_out: Mutex<Vec<LeftOut>>,
}

impl Session {
    fn capture(&self) -> std::sync::MutexGuard<'_, capture::Capture> {
        // What a panic leaves half done is at most one entry, which the log's numbers show.
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_out(&self) -> std::sync::MutexGuard<'_, Vec<LeftOut>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rooms {
    /// None yet.
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, running: Mutex::default(), webhooks: auto::LastWebhook::default() }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A webhook came.
    pub fn webhook_came(&self) {
        self.webhooks.came();
    }

    /// Whether webhooks come, lately.
    pub fn webhooks_come(&self) -> bool {
        self.webhooks.come()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running().len()
    }

    /// Tells a room something; false when this process does not record it.
    pub fn tell(&self, recording: RecordingId, command: Command) -> bool {
        self.running().get(&recording).is_some_and(|room| room.commands.try_send(command).is_ok())
    }

    /// What was said in a room so far; `None` when this process does not record it.
    pub fn transcript(&self, recording: RecordingId) -> Option<Transcript> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        Some(session.capture().words().transcript()).filter(|transcript| !transcript.turns.is_empty())
    }

    /// The tracks of a room so far; `None` when this process does not record it.
    pub fn tracks(&self, recording: RecordingId) -> Option<Vec<Track>> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        let tracks = tracks(session.capture().assembler());
        Some(tracks)
    }

    /// Where the streams of a room lie so far; `None` when this process does not record it, or nothing was heard.
    pub fn index(&self, recording: RecordingId) -> Option<Index> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        let index = session.capture().assembler().index();
        index
    }

    /// Leaves all rooms, so that another process goes on with them; waits until everything is kept.
    pub async fn hand_over(&self) {
        let rooms: Vec<Running> = self.running().drain().map(|(_, room)| room).collect();
        for room in &rooms {
            let _ = room.commands.try_send(Command::HandOver);
        }
        for room in rooms {
            if tokio::time::timeout(Duration::from_secs(10), room.task).await.is_err() {
                tracing::warn!("a room was not handed over in time; its journal has what its chunks lack");
            }
        }
    }

    fn insert(&self, recording: RecordingId, room: Running) {
        self.running().insert(recording, room);
    }

    fn remove(&self, recording: RecordingId) {
        self.running().remove(&recording);
    }
}

/// The tracks of a capture log.
pub fn tracks(assembler: &Assembler) -> Vec<Track> {
    let Some(zero) = assembler.zero() else { return Vec::new() };
    let track = |heard: Heard| Track {
        id: heard.track_sid,
        participant: heard.identity,
        kind: heard.kind,
        source: heard.source.to_ascii_lowercase(),
        started_at: WallTime::from_nanos(zero).plus_nanos(nanos(heard.samples.start)),
        duration: MediaTime::from_samples_48k(heard.samples.end - heard.samples.start),
    };
    assembler.heard().into_iter().map(track).collect()
}

/// Begins to record a room.
pub async fn start(app: &SharedApp, project: &ProjectId, wish: Wish) -> Result<(Recording, Capture), Error> {
    if app.is_stopping() {
        return Err(Error::Stopping);
    }
    if let Some(once) = &wish.once
        && let Some(repeated) = app.store.repeated(project, once, clock::now()).await?
    {
        return Err(Error::Repeated(repeated));
    }
    let reach = reach(app, project).await?;
    let running = app.rooms.count();
    if running >= app.config.recorder.max_rooms {
        return Err(Error::Full(running));
    }
    let now = clock::now();
    let Wish { room_name, session_id, labels, told, once } = wish;
    let new = NewLive {
        recording: RecordingId::new(entropy::uuid(now)),
        capture: CaptureId::new(entropy::uuid(now)),
        project: project.clone(),
        room_name,
        session_id,
        labels,
        settings: told.to_json(),
        once,
        now,
    };
    match app.store.begin_live(&new).await? {
        Begun::Already(other) => Err(Error::Already(other)),
        Begun::Repeated(repeated) => Err(Error::Repeated(repeated)),
        Begun::New(begun) => {
            let (recording, capture) = *begun;
            tracing::info!(recording = %recording.id, room = new.room_name, "a room is going to be recorded");
            let clock = Timepiece::new(Instant::now(), clock::now().as_nanos());
            let journal = Arc::clone(&app.rooms.journal);
            let log = capture::Capture::new(capture.id.as_uuid(), clock, journal, told.layout(), LAG.as_nanos() as i64);
            run(app, recording.clone(), &capture, log, told, reach, 0);
            Ok((recording, capture))
        }
    }
}

/// How a project's rooms are reached.
#[derive(Clone)]
struct Reach {
    url: String,
    local: IpAddr,
    key: crate::config::KeyPair,
}

async fn reach(app: &App, project: &ProjectId) -> Result<Reach, Error> {
    let url = app.config.livekit_url.clone().ok_or(Error::NoServer)?;
    let pair = app.config.project(project).and_then(|project| project.livekit.first());
    let key = pair.cloned().ok_or_else(|| Error::NoKey(project.clone()))?;
    let local = room::transport::local_address(&url).await;
    let local = local.map_err(|error| Error::NoWay { url: url.clone(), reason: error.to_string() })?;
    Ok(Reach { url, local, key })
}

/// Runs a room in the background: one task listens, one keeps.
fn run(
    app: &SharedApp,
    recording: Recording,
    capture: &Capture,
    log: capture::Capture,
    told: Told,
    reach: Reach,
    rendered: u32,
) {
    let (commands, mut inbox) = mpsc::channel(16);
    let id = recording.id;
    let room_name = recording.room_name.clone().unwrap_or_default();
    let streams = log.assembler().streams();
    let expected_room = recording.room_sid.clone();
    let identity = format!("echosphere-{}", entropy::suffix());
    let secret = reach.key.secret.clone();
    let service_key = reach.key.clone();
    let mut settings = room::Settings {
        url: reach.url,
        token: Arc::new(move || {
            token::mint_recorder(&reach.key.key, &secret, &room_name, &identity, clock::now(), TOKEN_SECONDS)
        }),
        local: reach.local,
        exclusions: exclusions(&app.config, &told),
        paused: told.paused,
        first_stream: streams,
        expected_room,
        wait_for_people: app.config.recorder.wait_for_people,
        give_up_after: app.config.recorder.give_up_after,
        tcp_only: app.config.recorder.tcp_only,
    };
    let session = Arc::new(Session {
        app: Arc::clone(app),
        attempt: capture.attempt,
        capture_id: capture.id,
        recording,
        capture: Mutex::new(log),
        commands: commands.clone(),
        rendered,
        left_out: Mutex::default(),
    });
    let app = Arc::clone(app);
    let kept = Arc::clone(&session);
    let task = tokio::spawn(async move {
        let (over, end) = oneshot::channel();
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&session), end));
        let mut ear = Ear { session: Arc::clone(&session), stopping: false };
        let end = match wait_for_room(&session, &mut settings, &service_key, &mut inbox).await {
            Some(end) => end,
            None => Box::pin(room::run(settings, inbox, &mut ear)).await,
        };
        tracing::info!(recording = %id, end = ?end, "a room is over");
        if end != room::End::HandedOver {
            ear.entry(Instant::now(), Body::Ended(echosphere_recorder::log::Ended { reason: ear.word(&end) }));
        }
        let _ = over.send(end != room::End::HandedOver);
        if let Err(error) = keeper.await {
            tracing::error!(recording = %id, %error, "a keeper died; the next start goes on from the journal");
        }
        session.app.rooms.remove(id);
    });
    app.rooms.insert(id, Running { session: kept, commands, task });
}

/// Waits until the room exists. Joining would make it, and leave an empty room behind when nobody comes. `None` when it is
/// there, or cannot be asked for: joining will tell why.
async fn wait_for_room(
    session: &Session,
    settings: &mut room::Settings,
    key: &crate::config::KeyPair,
    inbox: &mut mpsc::Receiver<Command>,
) -> Option<room::End> {
    let name = session.recording.room_name.as_deref().unwrap_or_default();
    let service = RoomService::new(&session.app.wire, &settings.url, &key.key, &key.secret);
    let until = Instant::now() + settings.wait_for_people;
    while settings.expected_room.is_none() && matches!(service.exists(name, clock::now()).await, Ok(false)) {
        if Instant::now() > until {
            return Some(room::End::Nobody);
        }
        match tokio::time::timeout(LOOK_FOR_ROOM, inbox.recv()).await {
            Ok(Some(Command::Stop)) => return Some(room::End::Nobody),
            Ok(Some(Command::HandOver) | None) => return Some(room::End::HandedOver),
            Ok(Some(Command::Pause)) => settings.paused = true,
            Ok(Some(Command::Resume)) => settings.paused = false,
            Ok(Some(Command::Exclude(identity))) => {
                settings.exclusions.identities.insert(identity);
            }
            Err(_) => {}
        }
    }
    None
}

/// Keeps what an earlier process heard of a room that cannot be gone on with, and ends it.
async fn keep_rest(app: &SharedApp, recording: Recording, capture: &Capture, log: capture::Capture) {
    let (over, end) = oneshot::channel();
    let session = Session {
        app: Arc::clone(app),
        attempt: capture.attempt,
        capture_id: capture.id,
        recording,
        capture: Mutex::new(log),
        commands: mpsc::channel(1).0,
        rendered: u32::MAX,
        left_out: Mutex::default(),
    };
    let _ = over.send(true);
    keeper::keep(Arc::new(session), end).await;
}

fn exclusions(config: &crate::config::Config, told: &Told) -> Exclusions {
    let mut exclusions = Exclusions {
        identities: told.exclude.iter().cloned().collect(),
        kinds: config.recorder.exclude_kinds.iter().chain(&told.exclude_kinds).cloned().collect(),
        attributes: told.exclude_attributes.clone(),
    };
    // Nobody who asks not to be recorded is overruled.
    exclusions.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
    exclusions
}

/// What listens in a room.
struct Ear {
    session: Arc<Session>,
    stopping: bool,
}

impl Ear {
    /// Why it ended, for the log.
    fn word(&self, end: &room::End) -> String {
        let full = self.session.app.rooms.journal.failure().is_some() && *end == room::End::Stopped;
        if full { "disk_full".to_owned() } else { end.word().to_owned() }
    }
}

impl Listener for Ear {
    fn wall(&self, at: Instant) -> i64 {
        self.session.capture().clock().at(at)
    }

    fn entry(&mut self, at: Instant, body: Body) {
        self.session.capture().take(at, body);
    }

    fn left_out(&mut self, at: Instant, who: people::LeftOut) {
        let from = who.was_recorded.then(|| WallTime::from_nanos(self.wall(at)));
        self.session.left_out().push(LeftOut { agent: who.agent, from });
    }

    fn tick(&mut self, _: Instant) -> Option<Command> {
        if self.stopping {
            return None;
        }
        let lasted = clock::now().since(self.session.recording.created_at);
        let too_long = i128::from(lasted) > self.session.app.config.recorder.max_duration.as_nanos() as i128;
        let disk_full = self.session.app.rooms.journal.failure_lasts(Duration::from_secs(10));
        if too_long || disk_full {
            self.stopping = true;
            tracing::warn!(recording = %self.session.recording.id, too_long, disk_full, "a recording is ended by us");
            return Some(Command::Stop);
        }
        None
    }
}
