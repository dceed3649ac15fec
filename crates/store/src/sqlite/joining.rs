//! Finds or makes the recording that a session upload belongs to, and its capture there.

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::{Deletion, Event};
use echosphere_domain::recording::{Capture, Recording, Source};
use echosphere_domain::session::{Room, belongs_to};
use echosphere_domain::time::{MediaTime, WallTime};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::codec::Reader;
use super::rows::CAPTURED_ROOM;
use super::{codec, effects, objects, rows, tombstones};
use crate::{Error, Join, Joined, Purpose, Result, SessionIds};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("join an upload", error)
}

/// `None` when nothing may be kept of the session.
pub(super) async fn join(connection: &mut SqliteConnection, request: Join) -> Result<Option<Joined>> {
    let session = SessionIds {
        job_id: request.job_id.clone(),
        room_sid: request.room_sid.clone(),
        started_at: request.session.started_at,
    };
    if tombstones::upload_gone(&mut *connection, &request.project, &session).await?.is_some() {
        return Ok(None);
    }
    if let Some(capture) = rows::capture_of(connection, request.upload).await? {
        let recording = rows::recording_by_id(connection, capture.recording).await?;
        let body = rows::body_of(connection, capture.id).await?;
        let is_kept = recording.state.deletion == Deletion::None;
        return Ok(is_kept.then_some(Joined { recording, capture, body }));
    }
    let known = known_recording(connection, &request).await?;
    if let Some(deleted) = known.as_ref().filter(|known| known.state.deletion != Deletion::None) {
        // The room's recording was deleted, and the session with it.
        tombstones::entomb_session(connection, &request.project, deleted.id, &session, request.now).await?;
        return Ok(None);
    }
    let is_known = known.is_some();
    let mut recording = known.unwrap_or_else(|| new_recording(&request));
    if !is_known {
        rows::insert_processing(connection, &mut recording).await?;
    }
    let capture = new_capture(connection, &request, recording.id).await?;
    effects::step_recording(connection, &mut recording, Event::UploadJoined, request.now).await?;
    let body = recording.prefix.upload_body(capture.attempt);
    let id = Some(recording.id);
    objects::announce(connection, &request.project, id, Purpose::Upload, &body, request.now).await?;
    rows::set_body(connection, capture.id, &body).await?;
    Ok(Some(Joined { recording, capture, body }))
}

/// Looks by job, or else by the room's own id; never by name, because names are reused.
async fn known_recording(connection: &mut SqliteConnection, request: &Join) -> Result<Option<Recording>> {
    if let Some(same) = same_session(connection, request).await? {
        return Ok(Some(same));
    }
    let rooms = rooms(connection, request).await?;
    match belongs_to(&request.session, &rooms) {
        Some(id) => rows::recording_by_id(connection, id).await.map(Some),
        None => Ok(None),
    }
}

/// The recording that has an upload of the same session.
async fn same_session(connection: &mut SqliteConnection, request: &Join) -> Result<Option<Recording>> {
    let row = sqlx::query(
        "SELECT recordings.* FROM recordings JOIN captures ON captures.recording = recordings.id
         WHERE captures.project = ?1 AND captures.source = 'upload' AND captures.copy_of IS NULL
         AND captures.status <> 'superseded'
         AND (captures.job_id = ?2 OR (?2 IS NULL AND captures.job_id IS NULL AND recordings.room_sid = ?3
                                       AND captures.started_at = ?4))
         ORDER BY captures.attempt LIMIT 1",
    );
    let row = row.bind(request.project.as_str()).bind(&request.job_id).bind(&request.room_sid);
    let row = row.bind(request.session.started_at.map(WallTime::as_nanos)).fetch_optional(connection).await;
    row.map_err(failed)?.as_ref().map(codec::recording).transpose()
}

/// The recordings that captured the room.
async fn rooms(connection: &mut SqliteConnection, request: &Join) -> Result<Vec<Room>> {
    let Some(room_sid) = &request.room_sid else { return Ok(Vec::new()) };
    let query = format!(
        "SELECT recordings.*,
                (SELECT min(started_at) FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')) AS heard_from,
                (SELECT max(ended_at) FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')) AS heard_to,
                EXISTS (SELECT 1 FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')
                        AND audio IS NOT NULL) AS has_sound
         FROM recordings WHERE project = ? AND room_sid = ? AND {CAPTURED_ROOM} ORDER BY created_at DESC LIMIT 100",
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(request.project.as_str()).bind(room_sid);
    let rows = rows.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(room).collect()
}

fn room(row: &SqliteRow) -> Result<Room> {
    let recording = codec::recording(row)?;
    let row = Reader::new("recordings", row);
    let is_deleted = recording.state.deletion != Deletion::None;
    let from = row.maybe_time("heard_from")?.or(recording.started_at).unwrap_or(recording.created_at);
    let goes_on = !recording.state.status.is_terminal() && !is_deleted;
    let to = row.maybe_time("heard_to")?.max(recording.ended_at).unwrap_or(from);
    // What a session supplied where the recorder kept nothing counts too.
    let has_sound = goes_on || row.flag("has_sound")? || recording.duration > MediaTime::ZERO;
    Ok(Room { id: recording.id, from, to: (!goes_on).then_some(to), has_sound, is_deleted })
}

fn new_recording(request: &Join) -> Recording {
    Recording {
        room_name: request.room_name.clone(),
        room_sid: request.room_sid.clone(),
        ..Recording::starting(request.new_recording, request.project.clone(), request.job_id.clone(), request.now)
    }
}

async fn new_capture(connection: &mut SqliteConnection, request: &Join, recording: RecordingId) -> Result<Capture> {
    let attempt = rows::next_attempt(connection, recording).await?;
    let capture = Capture {
        upload: Some(request.upload),
        job_id: request.job_id.clone(),
        ..Capture::processing(request.new_capture, recording, attempt, Source::Upload)
    };
    rows::insert_capture(connection, &capture, &request.project).await?;
    Ok(capture)
}
