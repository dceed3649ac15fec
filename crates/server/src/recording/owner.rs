//! Does a node's duties as the owner of rooms: carries out requests, prolongs leases, takes over or leaves rooms.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Status;
use echosphere_recorder::room;
use echosphere_store::{Answer, Command, Error, Event, EventId, OwnedRoom, What};
use tokio::task::JoinSet;

use super::{LEASE, Recorder, resume};

/// How often to look when nothing wakes us.
const LOOK: Duration = Duration::from_secs(1);
/// How often the leases are prolonged.
const PROLONG: Duration = Duration::from_secs(10);
/// How long to wait before an answer that could not be written is written again.
const PAUSE: Duration = Duration::from_secs(1);
/// How many requests are read at once.
const MOST: u32 = 1_000;

/// Acts as the owner of this node's rooms until the server stops.
pub async fn run(recorder: Arc<Recorder>) {
    let mut owner = Owner { recorder: Arc::clone(&recorder), under_way: JoinSet::new(), known: HashSet::new() };
    let mut inbox = recorder.store.changes().inbox();
    let mut prolonged = Instant::now();
    while !recorder.stop.is_cancelled() {
        owner.carry_out().await;
        if prolonged.elapsed() >= PROLONG {
            prolonged = Instant::now();
            if let Err(error) = renew(&recorder).await {
                tracing::warn!(%error, "the leases of rooms cannot be prolonged now");
            }
        }
        tokio::select! {
            () = inbox.next() => {}
            () = recorder.stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

struct Owner {
    recorder: Arc<Recorder>,
    /// Requests that rooms have, until their answers are written.
    under_way: JoinSet<EventId>,
    known: HashSet<EventId>,
}

impl Owner {
    /// Gives rooms what was asked of them, and answers when they have acted.
    async fn carry_out(&mut self) {
        while let Some(Ok(done)) = self.under_way.try_join_next() {
            self.known.remove(&done);
        }
        let asked = match self.recorder.store.asked_of(self.recorder.node, MOST).await {
            Ok(asked) => asked,
            Err(error) => return tracing::warn!(%error, "what is asked of rooms cannot be read now"),
        };
        for event in asked {
            if let Some(recording) = event.recording
                && self.known.insert(event.id.clone())
            {
                // In the order in which they came: the room gets it before the next one is looked at.
                let acted = command(&event).and_then(|command| self.recorder.registry.order(recording, command));
                self.under_way.spawn(answer(Arc::clone(&self.recorder), recording, event, acted));
            }
        }
    }
}

/// Prolongs the leases of this node's rooms, leaves those that another node has taken over, and takes over those whose lease has expired.
pub(super) async fn renew(recorder: &Arc<Recorder>) -> Result<(), Error> {
    let Recorder { store, registry, clock, node, .. } = &**recorder;
    // Read before: a room that begins meanwhile is ours, and not in this list.
    let had = registry.all();
    let ours = store.prolong_rooms(*node, clock.now().after(LEASE)).await?;
    for room in had.into_iter().filter(|room| !ours.contains(room)) {
        leave_if_lost(recorder, room).await?;
    }
    let now = clock.now();
    let claimed = store.claim_rooms(*node, now, now.after(LEASE)).await?;
    let taken_over: Vec<_> = claimed.into_iter().filter(|row| row.previous_owner != Some(*node)).collect();
    if !taken_over.is_empty() {
        tracing::warn!(rooms = taken_over.len(), "rooms whose owner is gone are taken over");
        resume::resume_rows(recorder, taken_over).await;
    }
    Ok(())
}

/// Leaves a room that is being recorded and is not ours any more: its new owner goes on.
async fn leave_if_lost(recorder: &Recorder, id: RecordingId) -> Result<(), Error> {
    let Some(project) = recorder.registry.project(id) else { return Ok(()) };
    let Some((recording, _)) = recorder.store.recording(&project, id).await? else { return Ok(()) };
    let goes_on = matches!(recording.state.status, Status::Starting | Status::Active);
    if goes_on && !recording.state.deletion.is_requested() {
        tracing::warn!(recording = %id, "another node records the room now");
        recorder.registry.order(id, room::Command::HandOver);
    }
    Ok(())
}

/// What a room is to do.
fn command(event: &Event) -> Option<room::Command> {
    match &event.what {
        What::Asked(Command::Stop) | What::DeletionAsked => Some(room::Command::Stop),
        What::Asked(Command::Pause) => Some(room::Command::Pause),
        What::Asked(Command::Resume) => Some(room::Command::Resume),
        What::Asked(Command::Exclude(identity)) => Some(room::Command::Exclude(identity.clone())),
        What::Livekit { .. } | What::RoomFound => None,
    }
}

/// Waits until a room has acted, and writes the answer.
async fn answer(
    recorder: Arc<Recorder>,
    recording: RecordingId,
    event: Event,
    acted: Option<tokio::sync::oneshot::Receiver<()>>,
) -> EventId {
    let has_room = acted.is_some();
    let is_end = matches!(event.what, What::Asked(Command::Stop) | What::DeletionAsked);
    let has_acted = match acted {
        Some(acted) => acted.await.is_ok(),
        None => false,
    };
    if !has_acted && has_room && recorder.stop.is_cancelled() {
        // The room is handed over: the next process is asked.
        return event.id;
    }
    let answer = if has_acted || is_end { Answer::Acted } else { Answer::Over };
    while let Err(error) = write(&recorder, recording, &event, answer, has_room).await {
        tracing::warn!(%recording, %error, "what a room was asked cannot be answered now");
        if tokio::time::timeout(PAUSE, recorder.stop.cancelled()).await.is_ok() {
            break;
        }
    }
    event.id
}

async fn write(
    recorder: &Recorder,
    recording: RecordingId,
    event: &Event,
    answer: Answer,
    has_room: bool,
) -> Result<(), Error> {
    if !has_room && event.what == What::Asked(Command::Stop) {
        // No task records it: one ended after its last entry, and before its end was noted.
        let room = OwnedRoom { recording, owner: recorder.node };
        recorder.store.room_ended(room, recorder.clock.now()).await?;
        recorder.jobs.ring();
    }
    recorder.store.event_done(&event.id, Some(answer)).await
}

#[cfg(test)]
mod tests;
