//! One task for each recording that is being watched: reads its state when something of it was written, and hands each new one to
//! all clients.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::transcript::Transcript;
use echosphere_store::Changed;
use tokio::sync::watch;

use super::places::{Place, Places};
use super::snapshot::{Snapshot, all_turns, json};
use crate::entropy;
use crate::http::recordings::transcript;
use crate::http::state::{App, SharedApp};

/// How often to look at what only memory has: whether somebody still listens, and what was said in a room that goes on.
const LOOK: Duration = Duration::from_millis(250);
/// The least time between two readings of the rows: one of them shows all writes of a burst.
const SPACING: Duration = Duration::from_millis(50);
/// How long to wait before rows that could not be read are read again.
const AGAIN: Duration = Duration::from_secs(1);

/// The newest state; none before the first look.
pub type Newest = Option<Arc<Snapshot>>;

/// The tasks that look at recordings, and the places for their clients.
pub struct Watchers {
    looking: Mutex<HashMap<RecordingId, watch::Sender<Newest>>>,
    places: Arc<Places>,
}

impl Watchers {
    /// With this many places for clients.
    pub fn new(most: usize) -> Self {
        Self { looking: Mutex::default(), places: Places::new(most) }
    }

    fn looking(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, watch::Sender<Newest>>> {
        self.looking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a client of this recording, if there is one.
    pub(super) fn admit(&self, recording: &Recording) -> Option<Place> {
        let place = self.places.take(&recording.project, recording.id);
        if place.is_none() {
            metrics::counter!("echosphere_http_limits_total", "limit" => "max_listeners").increment(1);
            tracing::warn!(recording = %recording.id, project = %recording.project, "too many listen to recordings");
        }
        place
    }

    /// The states of a recording, from now on.
    pub fn subscribe(app: &SharedApp, recording: &Recording) -> watch::Receiver<Newest> {
        let mut looking = app.watchers.looking();
        if let Some(known) = looking.get(&recording.id) {
            return known.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        looking.insert(recording.id, sender);
        tokio::spawn(look_on(Arc::clone(app), recording.clone()));
        receiver
    }

    /// Whether there is a client.
    fn is_listened_to(&self, recording: RecordingId) -> bool {
        self.looking().get(&recording).is_some_and(|sender| sender.receiver_count() > 0)
    }

    /// Hands out a state. False when there is no client, or nothing more is to come: then the task is removed and has to end.
    fn publish(&self, recording: RecordingId, newest: Newest) -> bool {
        let mut looking = self.looking();
        let is_over = newest.as_ref().is_some_and(|newest| newest.is_over);
        let Some(sender) = looking.get(&recording) else { return false };
        if newest.is_some() {
            sender.send_replace(newest);
        }
        let goes_on = !is_over && sender.receiver_count() > 0;
        if !goes_on {
            looking.remove(&recording);
        }
        goes_on
    }
}

/// What is compared to see whether there is a new state.
type Signs = (Recording, Vec<Capture>, Option<Transcript>);

async fn look_on(app: SharedApp, recording: Recording) {
    let (name, id) = (entropy::suffix(), recording.id);
    let mut known: Option<Signs> = None;
    let mut changed = app.store.changes().of(id);
    for number in 0_u64.. {
        let newest = look(&app, &recording, &mut known, &format!("{name}-{number}")).await;
        let failed = newest.as_ref().err().map(|error| {
            tracing::warn!(recording = %id, %error, "a recording that is watched cannot be read now");
        });
        if !app.watchers.publish(id, newest.unwrap_or_default()) {
            return;
        }
        let pause = if failed.is_some() { AGAIN } else { SPACING };
        let said = known.as_ref().and_then(|(_, _, said)| said.as_ref());
        let next = async {
            tokio::time::sleep(pause).await;
            if failed.is_none() {
                something_new(&app, id, said, &mut changed).await;
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => break,
            () = next => {}
        }
    }
    app.watchers.looking().remove(&id);
}

/// Waits until something of a recording was written, something else was said in its room, or nobody listens any more.
async fn something_new(app: &App, id: RecordingId, said: Option<&Transcript>, changed: &mut Changed) {
    loop {
        match tokio::time::timeout(LOOK, changed.next()).await {
            Err(_) if app.watchers.is_listened_to(id) && app.recorder.registry.transcript(id).as_ref() == said => {}
            Ok(()) | Err(_) => return,
        }
    }
}

/// A new state, if there is one.
async fn look(
    app: &App,
    recording: &Recording,
    known: &mut Option<Signs>,
    id: &str,
) -> Result<Newest, echosphere_store::Error> {
    let found = app.store.recording(&recording.project, recording.id).await?;
    let Some((recording, captures)) = found else { return Ok(None) };
    let said = app.recorder.registry.transcript(recording.id);
    let signs = (recording, captures, said);
    if known.as_ref() == Some(&signs) {
        return Ok(None);
    }
    let read = transcript::read(app, signs.0.id, &signs.1).await?;
    let same_room = super::super::same_room(app, &signs.0).await?;
    let (recording, captures, _) = known.insert(signs).clone();
    let recording_id = recording.id;
    let turns = read.turns.into_iter().map(transcript::turn).map(|turn| (turn.id.clone(), json(&turn)));
    let (turns, alignment): (Vec<_>, _) = (turns.collect(), json(&transcript::alignment(&read.alignment)));
    Ok(Some(Arc::new(Snapshot {
        id: id.to_owned(),
        is_over: recording.state.status.is_terminal() || recording.state.deletion.is_requested(),
        recording,
        captures,
        same_room,
        segments: read.segments,
        all_turns: all_turns(recording_id, &alignment, &turns),
        alignment,
        turns,
    })))
}
