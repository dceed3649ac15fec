//! Runs the two tasks of a room that is recorded: one listens, one persists what was heard.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_livekit::token;
use echosphere_recorder::log::{Body, Ended, Link, link};
use echosphere_recorder::room::{self, Command, Listener, Order};
use echosphere_recorder::rooms::RoomService;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};

use super::listener::RoomListener;
use super::reach::Reach;
use super::registry::Running;
use super::session::{RoomSession, StartingPoint};
use super::{Recorder, persister};
use crate::config::KeyPair;
use crate::entropy;
use crate::recording_options::exclusions;

/// How often to look for a room that does not exist yet.
const LOOK_FOR_ROOM: Duration = Duration::from_millis(250);
/// How long a token for joining is valid. A connection that is down for longer joins with a new one.
const TOKEN_SECONDS: i64 = 6 * 3600;

/// Runs a room in the background: one task listens, one persists.
pub(super) fn run(
    recorder: &Arc<Recorder>,
    recording: Recording,
    capture: &Capture,
    start: StartingPoint,
    options: RecordingOptions,
    reach: Reach,
) {
    let (orders, mut inbox) = mpsc::unbounded_channel();
    let id = recording.id;
    let room_name = recording.room_name.clone().unwrap_or_default();
    let streams = start.log.assembler().streams();
    let expected_room = recording.room_sid.clone();
    let identity = format!("echosphere-{}", entropy::suffix());
    let secret = reach.key.secret.clone();
    let service_key = reach.key.clone();
    let clock = recorder.clock.clone();
    let mut settings = room::Settings {
        url: reach.url,
        token: Arc::new(move || {
            token::mint_recorder(&reach.key.key, &secret, &room_name, &identity, clock.now(), TOKEN_SECONDS)
        }),
        local: reach.local,
        exclusions: exclusions(&options, &recorder.config),
        paused: options.paused,
        first_stream: streams,
        expected_room,
        wait_for_people: recorder.config.recorder.wait_for_people,
        give_up_after: recorder.config.recorder.give_up_after,
        tcp_only: recorder.config.recorder.tcp_only,
    };
    let session = Arc::new(RoomSession::new(recorder, recording, capture, start, orders.clone()));
    let recorder = Arc::clone(recorder);
    let kept = Arc::clone(&session);
    let task = async move {
        let (over, end) = oneshot::channel();
        let persister = tokio::spawn(persister::persist(Arc::clone(&session), end));
        let mut listener = RoomListener { session: Arc::clone(&session), ended_by: None };
        let end = match wait_for_room(&session, &mut settings, &service_key, &mut inbox).await {
            Some(end) => end,
            None => listen(settings, inbox, &mut listener).await,
        };
        tracing::info!(recording = %id, end = ?end, "a room is over");
        log_end(&mut listener, &end);
        let _ = over.send(end != room::End::HandedOver);
        if let Err(error) = persister.await {
            tracing::error!(recording = %id, %error, "a persister died; the next start goes on from the journal");
        }
        session.recorder.registry.remove(id);
    };
    recorder.registry.begin(id, || Running { session: kept, orders, task: tokio::spawn(task) });
}

/// Logs why a room is over, or that the next process goes on with it.
fn log_end(listener: &mut RoomListener, end: &room::End) {
    let now = Instant::now();
    let body = if *end == room::End::HandedOver {
        // A silent room has no packet that shows until when it was listened to.
        Body::Link(Link { up: false, since: listener.wall(now), reason: link::HANDED_OVER.to_owned() })
    } else {
        Body::Ended(Ended { reason: listener.word(end) })
    };
    listener.entry(now, body);
}

/// Listens until the room is over. A panic ends it as a lost connection would: what was heard is kept.
async fn listen(
    settings: room::Settings,
    inbox: mpsc::UnboundedReceiver<Order>,
    listener: &mut RoomListener,
) -> room::End {
    let listening = AssertUnwindSafe(room::run(settings, inbox, listener)).catch_unwind();
    listening.await.unwrap_or_else(|_| room::End::Lost("a defect of EchoSphere; its log has the panic".to_owned()))
}

/// Waits until the room exists, and LiveKit can be reached at all. Joining would create the room, and leave an empty one if nobody
/// comes. `None` when it exists, or LiveKit cannot be asked for it: joining will show why.
async fn wait_for_room(
    session: &RoomSession,
    settings: &mut room::Settings,
    key: &KeyPair,
    inbox: &mut mpsc::UnboundedReceiver<Order>,
) -> Option<room::End> {
    let name = session.recording.room_name.as_deref().unwrap_or_default();
    let service = RoomService::new(&session.recorder.wire, &settings.url, &key.key, &key.secret);
    let began = Instant::now();
    let mut is_warned = false;
    loop {
        let (patience, end) = match service.exists(name, session.recorder.clock.now()).await {
            // An earlier process was in it.
            Ok(false) if settings.expected_room.is_some() => return Some(room::End::Missed),
            Ok(false) => (settings.wait_for_people, Some(room::End::Nobody)),
            Err(error) if error.may_pass() => {
                if !std::mem::replace(&mut is_warned, true) {
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
        let Ok(order) = tokio::time::timeout(LOOK_FOR_ROOM, inbox.recv()).await else { continue };
        let Order { command, acted } = order.unwrap_or(Order::from(Command::HandOver));
        let mut end = None;
        match command {
            Command::Stop => end = Some(nobody),
            Command::HandOver => end = Some(room::End::HandedOver),
            Command::Pause => settings.paused = true,
            Command::Resume => settings.paused = false,
            Command::Exclude(identity) => {
                settings.exclusions.identities.insert(identity);
            }
        }
        Order::done(acted);
        if end.is_some() {
            return end;
        }
    }
}

/// Persists what an earlier process heard of a room that cannot be resumed, and ends it, in the background.
pub(super) fn persist_rest(recorder: &Arc<Recorder>, recording: Recording, capture: &Capture, start: StartingPoint) {
    let (over, end) = oneshot::channel();
    let (orders, _) = mpsc::unbounded_channel();
    let id = recording.id;
    let session = RoomSession::new(recorder, recording, capture, start, orders.clone());
    // Nothing of it is rendered before it is finalized.
    let session = Arc::new(RoomSession { rendered: None, measured: Mutex::default(), ..session });
    let _ = over.send(true);
    let kept = Arc::clone(&session);
    let task = async move {
        persister::persist(Arc::clone(&session), end).await;
        session.recorder.registry.remove(id);
    };
    recorder.registry.begin(id, || Running { session: kept, orders, task: tokio::spawn(task) });
}
