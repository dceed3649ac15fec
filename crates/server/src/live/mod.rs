//! Rooms that this process records: starting, telling, handing over, and taking up what an earlier process left.

mod admission;
pub mod auto;
mod ear;
pub mod inbox;
mod keeper;
pub mod load;
mod measured;
mod outbox;
mod retries;
mod rooms;
mod segments;
mod take_up;
mod told;
mod transcript;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::name;
use echosphere_domain::recording::{Capture, Recording, Track};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_livekit::token;
use echosphere_recorder::capture::{self, Timepiece};
use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::{Body, Ended, Link, link};
use echosphere_recorder::room::people::Exclusions;
use echosphere_recorder::room::{self, Command, Listener};
use echosphere_recorder::rooms::RoomService;
use echosphere_recorder::sound::{Assembler, Heard};
use echosphere_store::{Begun, LeftOut, NewLive, Once, Repeated};
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

pub use admission::Refusal;
pub use rooms::Rooms;
pub use take_up::{journals, take_up};
pub use told::Told;

use self::ear::Ear;
use self::measured::Measured;
use self::outbox::Outbox;
use self::rooms::Running;
use self::transcript::Found;

use crate::app::{App, SharedApp};
use crate::config::{Config, KeyPair};
use crate::{clock, entropy, names};

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
    /// A room is joined by its name.
    #[error(
        "the room's name has to have 1 to {} characters, of which none is U+0000: another room cannot be told from it",
        name::LONGEST
    )]
    Name,
    /// The server's host is not known.
    #[error("the LiveKit server {url} cannot be found: {reason}")]
    NoWay {
        /// The configured URL.
        url: String,
        /// Why not.
        reason: String,
    },
    /// There is no room for another one.
    #[error(transparent)]
    Full(#[from] Refusal),
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
            Self::Already(_) | Self::Repeated(_) | Self::NoServer | Self::NoKey(_) | Self::Name => false,
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

/// What a room's parts share.
struct Session {
    app: SharedApp,
    recording: Recording,
    capture_id: CaptureId,
    attempt: u32,
    capture: Mutex<capture::Capture>,
    commands: mpsc::Sender<Command>,
    outbox: Outbox,
    /// Segments that an earlier process rendered; `None` when none are rendered live.
    rendered: Option<u32>,
    /// Those who are left out, by identity, until the rows know.
    left_out: Mutex<Vec<(String, LeftOut)>>,
    /// What was measured of the sound so far.
    measured: Mutex<Measured>,
    /// Where lines were found in it.
    found: Mutex<Found>,
}

impl Session {
    fn capture(&self) -> std::sync::MutexGuard<'_, capture::Capture> {
        // What a panic leaves half done is at most one entry, which the log's numbers show.
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measured(&self) -> std::sync::MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_out(&self) -> std::sync::MutexGuard<'_, Vec<(String, LeftOut)>> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
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
    if !name::is_whole(&wish.room_name) {
        return Err(Error::Name);
    }
    if let Some(once) = &wish.once
        && let Some(repeated) = app.store.repeated(project, once, clock::now()).await?
    {
        return Err(Error::Repeated(repeated));
    }
    let reach = reach(app, project).await?;
    app.rooms.load.admit(app.rooms.count(), app.rooms.waiting())?;
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
        paused: told.paused,
        once,
        now,
    };
    match app.store.begin_live(&new).await? {
        Begun::Already(other) => Err(Error::Already(other)),
        Begun::Repeated(repeated) => Err(Error::Repeated(repeated)),
        Begun::New(begun) => {
            let (recording, capture) = *begun;
            tracing::info!(recording = %recording.id, room = names::shown(&new.room_name), "a room is going to be recorded");
            let clock = Timepiece::new(Instant::now(), clock::now().as_nanos());
            let live = segments::needs(&app.config);
            let log = capture::Capture::new(capture.id.as_uuid(), clock, &app.rooms.journal, told.layout(), live);
            let left = Left { log, outbox: Outbox::new(0..0), rendered: 0 };
            run(app, recording.clone(), &capture, left, told, reach);
            Ok((recording, capture))
        }
    }
}

/// How a project's rooms are reached.
#[derive(Clone)]
struct Reach {
    url: String,
    local: IpAddr,
    key: KeyPair,
}

async fn reach(app: &App, project: &ProjectId) -> Result<Reach, Error> {
    let url = app.config.livekit_url.clone().ok_or(Error::NoServer)?;
    let pair = app.config.project(project).and_then(|project| project.livekit.first());
    let key = pair.cloned().ok_or_else(|| Error::NoKey(project.clone()))?;
    let local = room::transport::local_address(&url).await;
    let local = local.map_err(|error| Error::NoWay { url: url.clone(), reason: error.to_string() })?;
    Ok(Reach { url, local, key })
}

/// Where an earlier process left a room.
struct Left {
    log: capture::Capture,
    outbox: Outbox,
    /// Segments that it rendered.
    rendered: u32,
}

/// Runs a room in the background: one task listens, one keeps.
fn run(app: &SharedApp, recording: Recording, capture: &Capture, left: Left, told: Told, reach: Reach) {
    let Left { log, outbox, rendered } = left;
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
        outbox,
        rendered: app.config.recorder.live.then_some(rendered),
        left_out: Mutex::default(),
        measured: Mutex::new(segments::measured_before(&app.config, rendered)),
        found: Mutex::default(),
    });
    let app = Arc::clone(app);
    let kept = Arc::clone(&session);
    let task = async move {
        let (over, end) = oneshot::channel();
        let keeper = tokio::spawn(keeper::keep(Arc::clone(&session), end));
        let mut ear = Ear { session: Arc::clone(&session), ended_by: None };
        let end = match wait_for_room(&session, &mut settings, &service_key, &mut inbox).await {
            Some(end) => end,
            None => listen(settings, inbox, &mut ear).await,
        };
        tracing::info!(recording = %id, end = ?end, "a room is over");
        let now = Instant::now();
        if end == room::End::HandedOver {
            // A silent room has no packet that tells until when it was listened to.
            let since = ear.wall(now);
            ear.entry(now, Body::Link(Link { up: false, since, reason: link::HANDED_OVER.to_owned() }));
        } else {
            ear.entry(now, Body::Ended(Ended { reason: ear.word(&end) }));
        }
        let _ = over.send(end != room::End::HandedOver);
        if let Err(error) = keeper.await {
            tracing::error!(recording = %id, %error, "a keeper died; the next start goes on from the journal");
        }
        session.app.rooms.remove(id);
    };
    app.rooms.begin(id, || Running { session: kept, commands, task: tokio::spawn(task) });
}

/// Listens until the room is over. A defect of ours ends it as a connection that is lost would: what was heard is kept.
async fn listen(settings: room::Settings, inbox: mpsc::Receiver<Command>, ear: &mut Ear) -> room::End {
    let listening = AssertUnwindSafe(room::run(settings, inbox, ear)).catch_unwind();
    listening.await.unwrap_or_else(|_| room::End::Lost("a defect of EchoSphere; its log has the panic".to_owned()))
}

/// Waits until the room exists, and LiveKit can be reached at all. Joining would make the room, and leave an empty one behind when
/// nobody comes. `None` when it is there, or cannot be asked for: joining will tell why.
async fn wait_for_room(
    session: &Session,
    settings: &mut room::Settings,
    key: &KeyPair,
    inbox: &mut mpsc::Receiver<Command>,
) -> Option<room::End> {
    let name = session.recording.room_name.as_deref().unwrap_or_default();
    let service = RoomService::new(&session.app.wire, &settings.url, &key.key, &key.secret);
    let began = Instant::now();
    let mut told = false;
    loop {
        let (patience, end) = match service.exists(name, clock::now()).await {
            // An earlier process was in it.
            Ok(false) if settings.expected_room.is_some() => return Some(room::End::Missed),
            Ok(false) => (settings.wait_for_people, Some(room::End::Nobody)),
            Err(error) if error.may_pass() => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(recording = %session.recording.id, %error, "a room is waited for");
                }
                (settings.give_up_after, None)
            }
            Ok(true) | Err(_) => return None,
        };
        if began.elapsed() > patience {
            return end;
        }
        let nobody = if settings.expected_room.is_some() { room::End::Stopped } else { room::End::Nobody };
        match tokio::time::timeout(LOOK_FOR_ROOM, inbox.recv()).await {
            Ok(Some(Command::Stop)) => return Some(nobody),
            Ok(Some(Command::HandOver) | None) => return Some(room::End::HandedOver),
            Ok(Some(Command::Pause)) => settings.paused = true,
            Ok(Some(Command::Resume)) => settings.paused = false,
            Ok(Some(Command::Exclude(identity))) => {
                settings.exclusions.identities.insert(identity);
            }
            Err(_) => {}
        }
    }
}

/// Keeps what an earlier process heard of a room that cannot be gone on with, and ends it, in the background.
fn keep_rest(app: &SharedApp, recording: Recording, capture: &Capture, left: Left) {
    let Left { log, outbox, .. } = left;
    let (over, end) = oneshot::channel();
    let (commands, _) = mpsc::channel(1);
    let id = recording.id;
    let session = Arc::new(Session {
        app: Arc::clone(app),
        attempt: capture.attempt,
        capture_id: capture.id,
        recording,
        capture: Mutex::new(log),
        commands: commands.clone(),
        outbox,
        rendered: None,
        left_out: Mutex::default(),
        measured: Mutex::default(),
        found: Mutex::default(),
    });
    let _ = over.send(true);
    let kept = Arc::clone(&session);
    let task = async move {
        keeper::keep(Arc::clone(&session), end).await;
        session.app.rooms.remove(id);
    };
    app.rooms.begin(id, || Running { session: kept, commands, task: tokio::spawn(task) });
}

/// Who is left out of a recording.
pub(crate) fn exclusions(config: &Config, told: &Told) -> Exclusions {
    let mut exclusions = Exclusions {
        identities: told.exclude.iter().cloned().collect(),
        kinds: config.recorder.exclude_kinds.iter().chain(&told.exclude_kinds).cloned().collect(),
        attributes: told.exclude_attributes.clone(),
    };
    // Nobody who asks not to be recorded is overruled.
    exclusions.attributes.insert("echosphere.record".to_owned(), "false".to_owned());
    exclusions
}
