//! Rows of recordings, captures and uploads, as several other files here read and write them, on SQLite.

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Event, step};
use echosphere_domain::recording::{Capture, CaptureStatus, Recording};
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::codec::{Reader, json, word};
use super::{codec, objects};
use crate::{Error, Result, UploadState};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a recording", error)
}

/// The condition for a recording to have captured a room: a recorder was sent there, or it has a capture of that kind.
pub(super) const CAPTURED_ROOM: &str =
    "(recordings.id IN (SELECT recording FROM live) OR EXISTS (SELECT 1 FROM captures
     WHERE captures.recording = recordings.id AND captures.source IN ('recorder', 'egress')))";

pub(super) async fn set_state(
    connection: &mut SqliteConnection,
    id: UploadId,
    state: UploadState,
    reason: Option<&str>,
) -> Result<()> {
    sqlx::query("UPDATE uploads SET state = ?, reason = ? WHERE id = ?")
        .bind(state.as_str())
        .bind(reason)
        .bind(id.to_string())
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn capture_of(connection: &mut SqliteConnection, upload: UploadId) -> Result<Option<Capture>> {
    let row = sqlx::query("SELECT * FROM captures WHERE upload = ?").bind(upload.to_string());
    let row: Option<SqliteRow> = row.fetch_optional(connection).await.map_err(failed)?;
    row.as_ref().map(codec::capture).transpose()
}

/// The object that holds the body of a capture's upload.
pub(super) async fn body_of(connection: &mut SqliteConnection, capture: CaptureId) -> Result<ObjectKey> {
    let row = sqlx::query("SELECT id, body FROM captures WHERE id = ?").bind(capture.to_string());
    let row = row.fetch_optional(connection).await.map_err(failed)?;
    Reader::new("captures", &row.ok_or_else(|| Error::NotFound(format!("capture {capture}")))?).parse("body")
}

/// Stores which object holds the body of a capture's upload: it stays there for good.
pub(super) async fn set_body(connection: &mut SqliteConnection, capture: CaptureId, body: &ObjectKey) -> Result<()> {
    let set = sqlx::query("UPDATE captures SET body = ? WHERE id = ?").bind(body.as_str()).bind(capture.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(())
}

pub(super) async fn recording_by_id(connection: &mut SqliteConnection, id: RecordingId) -> Result<Recording> {
    let row = sqlx::query("SELECT * FROM recordings WHERE id = ?").bind(id.to_string());
    let row = row.fetch_optional(connection).await.map_err(failed)?;
    codec::recording(&row.ok_or_else(|| Error::NotFound(format!("recording {id}")))?)
}

pub(super) async fn insert_recording(connection: &mut SqliteConnection, recording: &Recording) -> Result<()> {
    sqlx::query(
        "INSERT INTO recordings (id, project, session_id, room_name, room_sid, prefix, status, partial, revision,
                                 deletion, tier, created_at, duration, gaps, tags, labels, participants)
         VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, 0, '[]', '[]', ?, '[]')",
    )
    .bind(recording.id.to_string())
    .bind(recording.project.as_str())
    .bind(&recording.session_id)
    .bind(&recording.room_name)
    .bind(&recording.room_sid)
    .bind(recording.prefix.as_str())
    .bind(recording.state.status.as_str())
    .bind(word(recording.state.deletion))
    .bind(word(recording.state.tier))
    .bind(recording.created_at.as_nanos())
    .bind(json(&recording.labels))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

pub(super) async fn insert_capture(
    connection: &mut SqliteConnection,
    capture: &Capture,
    project: &ProjectId,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO captures (id, recording, project, attempt, source, status, upload, job_id, audio)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(capture.id.to_string())
    .bind(capture.recording.to_string())
    .bind(project.as_str())
    .bind(capture.attempt)
    .bind(word(capture.source))
    .bind(word(capture.status))
    .bind(capture.upload.map(|upload| upload.to_string()))
    .bind(&capture.job_id)
    .bind(capture.audio.as_ref().map(json))
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Inserts a recording that an upload has begun. Its row is never STARTING: at most one recording of a room may be, the one that
/// captures it.
pub(super) async fn insert_processing(connection: &mut SqliteConnection, recording: &mut Recording) -> Result<()> {
    (recording.state, _) = step(recording.state, Event::UploadJoined);
    insert_recording(connection, recording).await
}

/// The attempt of a recording's next capture.
pub(super) async fn next_attempt(connection: &mut SqliteConnection, recording: RecordingId) -> Result<u32> {
    let last: Option<u32> = sqlx::query_scalar("SELECT max(attempt) FROM captures WHERE recording = ?")
        .bind(recording.to_string())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    Ok(last.unwrap_or(0) + 1)
}

/// Marks a capture of a recording as superseded, and condemns its body unless another capture needs it.
pub(super) async fn supersede(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    capture: CaptureId,
    now: WallTime,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE captures SET status = ?, audio = NULL, audio_index = NULL, transcript = NULL
         WHERE id = ? AND recording = ? RETURNING body",
    )
    .bind(word(CaptureStatus::Superseded))
    .bind(capture.to_string())
    .bind(recording.to_string())
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(()) };
    let Some(body): Option<String> = row.try_get("body").map_err(failed)? else { return Ok(()) };
    let needed: i64 =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM captures WHERE body = ? AND status <> 'superseded')")
            .bind(&body)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
    if needed == 0 { objects::condemn(connection, &body, now).await } else { Ok(()) }
}
