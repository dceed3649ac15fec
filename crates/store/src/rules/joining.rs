//! Finds or makes the recording that a session upload belongs to, and its capture there.

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Event;
use echosphere_domain::location::Location;
use echosphere_domain::master::{Master, Part};
use echosphere_domain::recording::{Capture, Recording, Source};
use echosphere_domain::session::{Room, belongs_to};
use echosphere_domain::time::{MediaTime, WallTime};

use super::{captures, lifecycle, masters, objects, tasks};
use crate::rows::{CapturedRoom, Rows, Scope, Tombstone};
use crate::{Erasure, Gone, Join, Joined, Purpose, Result, SessionIds, TaskKind};

/// `None` when nothing may be kept of the session.
pub(crate) async fn join(rows: &mut dyn Rows, request: &Join) -> Result<Option<Joined>> {
    let session = SessionIds {
        job_id: request.job_id.clone(),
        room_sid: request.room_sid.clone(),
        started_at: request.session.started_at,
    };
    if rows.gone_of_upload(&request.project, &session).await?.is_some() {
        return Ok(None);
    }
    if let Some(capture) = rows.capture_of_upload(request.upload).await? {
        let recording = rows.recording(capture.recording).await?;
        let body = masters::body_of(rows, capture.id).await?;
        let is_kept = !recording.state.deletion.is_requested();
        return Ok(is_kept.then_some(Joined { recording, capture, body }));
    }
    let known = known_recording(rows, request).await?;
    if let Some(deleted) = known.as_ref().filter(|known| known.state.deletion.is_requested()) {
        // The room's recording was deleted, and the session with it.
        entomb(rows, deleted, &session, request.now).await?;
        return Ok(None);
    }
    let mut recording = match known {
        Some(known) => known,
        None => insert_recording(rows, request).await?,
    };
    let capture = insert_capture(rows, request, recording.id).await?;
    lifecycle::step(rows, &mut recording, Event::UploadJoined, request.now).await?;
    let body = recording.prefix.upload_body(capture.attempt);
    let keys = std::slice::from_ref(&body);
    objects::announce(rows, &request.project, Some(recording.id), Purpose::Upload, keys, request.now).await?;
    rows.insert_master(capture.id, Part::Whole, &Master::File(Location::whole(body.clone()))).await?;
    Ok(Some(Joined { recording, capture, body }))
}

/// Writes the tombstone of a session that came for a room whose recording was deleted; its job's telemetry is erased.
async fn entomb(rows: &mut dyn Rows, deleted: &Recording, session: &SessionIds, now: WallTime) -> Result<()> {
    let tombstone = Tombstone {
        project: &deleted.project,
        recording: Some(deleted.id),
        session,
        scope: Scope::Session,
        reason: Gone::Deleted,
    };
    let id = rows.insert_tombstone(&tombstone, now).await?;
    tasks::queue(rows, TaskKind::Erase, Erasure::Refused(id).payload(), now).await
}

/// Looks by job, or else by the room's own id; never by name, because names are reused.
async fn known_recording(rows: &mut dyn Rows, request: &Join) -> Result<Option<Recording>> {
    if let Some(same) = rows.same_session(request).await? {
        return Ok(Some(same));
    }
    let Some(room_sid) = &request.room_sid else { return Ok(None) };
    let captured = rows.captured_rooms(&request.project, room_sid).await?;
    let rooms: Vec<Room> = captured.iter().map(room).collect();
    let chosen = belongs_to(&request.session, &rooms);
    Ok(captured.into_iter().map(|room| room.recording).find(|recording| Some(recording.id) == chosen))
}

fn room(captured: &CapturedRoom) -> Room {
    let recording = &captured.recording;
    let is_deleted = recording.state.deletion.is_requested();
    let from = captured.heard_from.or(recording.started_at).unwrap_or(recording.created_at);
    let goes_on = !recording.state.status.is_terminal() && !is_deleted;
    let to = captured.heard_to.max(recording.ended_at).unwrap_or(from);
    // What a session supplied where the recorder kept nothing counts too.
    let has_sound = goes_on || captured.has_sound || recording.duration > MediaTime::ZERO;
    Room { id: recording.id, from, to: (!goes_on).then_some(to), has_sound, is_deleted }
}

async fn insert_recording(rows: &mut dyn Rows, request: &Join) -> Result<Recording> {
    let mut recording = Recording {
        room_name: request.room_name.clone(),
        room_sid: request.room_sid.clone(),
        ..Recording::starting(request.new_recording, request.project.clone(), request.job_id.clone(), request.now)
    };
    lifecycle::insert_processing(rows, &mut recording).await?;
    Ok(recording)
}

async fn insert_capture(rows: &mut dyn Rows, request: &Join, recording: RecordingId) -> Result<Capture> {
    let attempt = captures::next_attempt(rows, recording).await?;
    let capture = Capture {
        upload: Some(request.upload),
        job_id: request.job_id.clone(),
        ..Capture::processing(request.new_capture, recording, attempt, Source::Upload)
    };
    rows.insert_capture(&capture, &request.project).await?;
    Ok(capture)
}
