//! Applies an event of the inbox: stores it unless it is known or pointless, and writes what follows from it.

use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;

use super::deletion::{self, Requested};
use super::{people, rooms};
use crate::rows::Rows;
use crate::{Applied, Command, Event, Result, What};

/// Stores an event, and writes what follows from it.
pub(crate) async fn apply(rows: &mut dyn Rows, event: &Event, now: WallTime) -> Result<Applied> {
    let known = rows.is_event_done(&event.id).await?;
    match (&event.what, known) {
        (What::RoomFound, Some(true)) => {
            // It is found again after it was worked on, and has to be looked at again.
            let event = without_what_is_gone(rows, event).await?;
            rows.renew_event(&event, event.received_at).await?;
            Ok(Applied::Stored)
        }
        (_, Some(_)) => Ok(Applied::Known),
        (What::Livekit { .. } | What::RoomFound, None) => {
            let event = without_what_is_gone(rows, event).await?;
            rows.insert_event(&event, Some(event.received_at)).await?;
            Ok(Applied::Stored)
        }
        (What::Asked(command), None) => ask(rows, event, command).await,
        (What::DeletionAsked, None) => delete(rows, event, now).await,
    }
}

/// The event, without name and body when nothing may be kept of its room: its content is of no use any more, and that it was received
/// is remembered for a day.
async fn without_what_is_gone(rows: &mut dyn Rows, event: &Event) -> Result<Event> {
    let mut event = event.clone();
    if people::is_room_gone(rows, &event.id.project, &event.room_sid).await? {
        event.room_name.clear();
        if let What::Livekit { body, .. } = &mut event.what {
            body.clear();
        }
    }
    Ok(event)
}

/// The recording that an event names, if it is the project's and goes on.
async fn going_on(rows: &mut dyn Rows, event: &Event) -> Result<Option<Recording>> {
    let Some(id) = event.recording else { return Ok(None) };
    let found = rows.recording_in(&event.id.project, id).await?;
    Ok(found.filter(|found| rooms::goes_on(&found.state)))
}

/// What is not to be kept counts from now on, whoever brings it; the room's owner is told what is asked.
async fn ask(rows: &mut dyn Rows, event: &Event, command: &Command) -> Result<Applied> {
    let Some(recording) = going_on(rows, event).await? else { return Ok(Applied::Over) };
    match command {
        Command::Stop => {}
        Command::Pause => rooms::pause(rows, recording.id, true, event.received_at).await?,
        Command::Resume => rooms::pause(rows, recording.id, false, event.received_at).await?,
        Command::Exclude(identity) => rooms::exclude(rows, recording.id, identity).await?,
    }
    rows.insert_event(event, Some(event.received_at)).await?;
    Ok(Applied::Stored)
}

/// A deletion that is asked for begins at once. Where a recorder may be in the room, its owner is told to leave.
async fn delete(rows: &mut dyn Rows, event: &Event, now: WallTime) -> Result<Applied> {
    let Some(id) = event.recording else { return Ok(Applied::Over) };
    match deletion::request(rows, &event.id.project, id, now).await? {
        Requested::Unknown => Ok(Applied::Over),
        Requested::Done => Ok(Applied::Known),
        Requested::Held(_) => Ok(Applied::Held),
        Requested::Begun(recording) => {
            let has_owner = rooms::may_have_recorder(&recording.state) && rows.owner_of(id).await?.is_some();
            rows.insert_event(event, has_owner.then_some(event.received_at)).await?;
            Ok(Applied::Stored)
        }
    }
}
