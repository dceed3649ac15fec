//! Sends users' requests to the owner of a room through the inbox, and waits up to two seconds for the answer.

use std::time::Duration;

use echosphere_domain::recording::Recording;
use echosphere_store::{Answer, Applied, Command, Error, Event, EventId, Origin, What};

use super::Recorder;
use crate::entropy;

/// How long the answer is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often to look for the answer when nothing says that it is there: the owner may be another process.
const LOOK: Duration = Duration::from_millis(500);

/// What became of a request to a room's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The owner has acted.
    Acted,
    /// It is stored, and counts for all sources; the owner has not acted yet.
    Waits,
    /// The room is over.
    Over,
}

/// Asks something of a room that is being recorded. What it asks for is durable when this returns, unless the room is over.
pub async fn ask(
    recorder: &Recorder,
    recording: &Recording,
    command: Command,
    asked_by: &'static str,
) -> Result<Asked, Error> {
    let event = event(recorder, recording, What::Asked(command), asked_by);
    let mut changed = recorder.store.changes().of(recording.id);
    match recorder.store.apply(&event, event.received_at).await? {
        Applied::Stored | Applied::Known => {}
        Applied::Over | Applied::Held => return Ok(Asked::Over),
    }
    let answered = async {
        loop {
            if let Some(answer) = recorder.store.answer(&event.id).await? {
                return Ok(answer);
            }
            let _ = tokio::time::timeout(LOOK, changed.next()).await;
        }
    };
    match tokio::time::timeout(PATIENCE, answered).await {
        Ok(Ok(Answer::Acted)) => Ok(Asked::Acted),
        Ok(Ok(Answer::Over)) => Ok(Asked::Over),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok(Asked::Waits),
    }
}

/// Asks for the deletion of a recording; if its room is being recorded, the owner leaves it. Durable when this returns.
pub async fn ask_deletion(
    recorder: &Recorder,
    recording: &Recording,
    asked_by: &'static str,
) -> Result<Applied, Error> {
    let event = event(recorder, recording, What::DeletionAsked, asked_by);
    let applied = recorder.store.apply(&event, event.received_at).await?;
    recorder.jobs.ring();
    Ok(applied)
}

fn event(recorder: &Recorder, recording: &Recording, what: What, asked_by: &'static str) -> Event {
    let now = recorder.clock.now();
    let id = entropy::uuid(now).to_string();
    let id = EventId { project: recording.project.clone(), origin: Origin::Api, id };
    Event { recording: Some(recording.id), asked_by: Some(asked_by.to_owned()), ..Event::received(id, what, now) }
}
