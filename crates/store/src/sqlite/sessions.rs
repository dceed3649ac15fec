//! Sessions of rooms, on SQLite: the recordings of one room, and the recordings that sessions have of their own.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Deletion, Event};
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source};
use echosphere_domain::time::{MediaTime, WallTime};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::codec::Reader;
use super::rows::CAPTURED_ROOM;
use super::{SqliteStore, codec, effects, rows, segments, tasks, telemetry, tombstones};
use crate::{Error, Lease, Own, OwnRecording, Part, Result, SameRoom, SessionFacts, SessionIds, Sessions, TaskKind};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a room's sessions", error)
}

async fn queue_compose(connection: &mut SqliteConnection, recording: &Recording, now: WallTime) -> Result<()> {
    let payload = format!("{}/{}", recording.project, recording.id);
    tasks::queue(connection, TaskKind::Compose, payload, now).await
}

/// If a recording captured its room, queues a `TaskKind::Separate` task for each session in it.
pub(super) async fn place(connection: &mut SqliteConnection, recording: RecordingId, now: WallTime) -> Result<()> {
    let query = format!(
        "SELECT captures.id, captures.project FROM captures JOIN recordings ON recordings.id = captures.recording
         WHERE recordings.id = ? AND captures.source = 'upload' AND captures.status IN ('complete', 'partial')
         AND {CAPTURED_ROOM}",
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(recording.to_string()).fetch_all(&mut *connection).await;
    for row in rows.map_err(failed)? {
        let row = Reader::new("captures", &row);
        let payload = format!("{}/{recording}/{}", row.project()?, row.text("id")?);
        tasks::queue(connection, TaskKind::Separate, payload, now).await?;
    }
    Ok(())
}

/// Extends a deletion to whatever else holds the same sessions.
pub(super) async fn reach_copies(connection: &mut SqliteConnection, deleted: RecordingId, now: WallTime) -> Result<()> {
    let copies =
        "SELECT DISTINCT copy.recording AS id FROM captures AS copy JOIN captures AS ours ON copy.copy_of = ours.id
                  WHERE ours.recording = ?";
    let rows = sqlx::query(copies).bind(deleted.to_string()).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &rows {
        let mut copy = rows::recording_by_id(connection, Reader::new("captures", row).parse("id")?).await?;
        effects::step_recording(connection, &mut copy, Event::DeletionRequested, now).await?;
    }
    let held = "SELECT room.id, room.recording AS room, copy.body FROM captures AS copy JOIN captures AS room ON copy.copy_of = room.id
                WHERE copy.recording = ?";
    let rows = sqlx::query(held).bind(deleted.to_string()).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &rows {
        let row = Reader::new("captures", row);
        let room = rows::recording_by_id(connection, row.parse("room")?).await?;
        if room.state.deletion == Deletion::None {
            withdraw(connection, &room, row.parse("id")?, deleted, now).await?;
        }
    }
    Ok(())
}

/// Makes recordings of rooms give up what they hold of a refused session, or of all sessions of its room. Returns whether any held
/// something.
pub(super) async fn withdraw_of(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    session: &SessionIds,
    whole_room: bool,
    now: WallTime,
) -> Result<bool> {
    let query = format!(
        "SELECT captures.id, captures.recording AS room FROM captures JOIN recordings ON recordings.id = captures.recording
         WHERE recordings.project = ?1 AND recordings.deletion = 'none' AND captures.source = 'upload'
         AND captures.status <> 'superseded' AND (captures.job_id = ?2 OR (?4 AND recordings.room_sid = ?3)) AND {CAPTURED_ROOM}",
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid);
    let rows = rows.bind(whole_room).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &rows {
        let row = Reader::new("captures", row);
        let room = rows::recording_by_id(connection, row.parse("room")?).await?;
        rows::supersede(connection, room.id, row.parse("id")?, now).await?;
        queue_compose(connection, &room, now).await?;
    }
    Ok(!rows.is_empty())
}

/// Makes a room's recording give a session up. The session's body then belongs to the deleted recording.
async fn withdraw(
    connection: &mut SqliteConnection,
    room: &Recording,
    capture: CaptureId,
    deleted: RecordingId,
    now: WallTime,
) -> Result<()> {
    let owner = sqlx::query(
        "UPDATE objects SET recording = ?1 WHERE key = (SELECT body FROM captures WHERE id = ?2) AND recording = ?3",
    );
    let owner = owner.bind(deleted.to_string()).bind(capture.to_string()).bind(room.id.to_string());
    owner.execute(&mut *connection).await.map_err(failed)?;
    rows::supersede(connection, room.id, capture, now).await?;
    queue_compose(connection, room, now).await
}

async fn capture_by_id(connection: &mut SqliteConnection, id: CaptureId) -> Result<Option<Capture>> {
    let row = sqlx::query("SELECT * FROM captures WHERE id = ?").bind(id.to_string());
    row.fetch_optional(connection).await.map_err(failed)?.as_ref().map(codec::capture).transpose()
}

async fn own(connection: &mut SqliteConnection, own: Own) -> Result<Option<OwnRecording>> {
    let room = rows::recording_by_id(connection, own.room).await?;
    let session = capture_by_id(connection, own.capture).await?;
    let session = session.filter(|session| session.recording == room.id && session.status != CaptureStatus::Superseded);
    let Some(session) = session.filter(|_| room.state.deletion == Deletion::None) else { return Ok(None) };
    let row = sqlx::query("SELECT * FROM captures WHERE copy_of = ?").bind(session.id.to_string());
    let row = row.fetch_optional(&mut *connection).await.map_err(failed)?;
    let known = row.as_ref().map(codec::capture).transpose()?;
    let (mut recording, capture) = match known {
        Some(capture) => (rows::recording_by_id(connection, capture.recording).await?, capture),
        None => match recording_of(connection, &room, &session, &own).await? {
            Some(recording) => {
                let capture = copy(connection, &recording, &session, &own).await?;
                (recording, capture)
            }
            None => return Ok(None),
        },
    };
    if recording.state.deletion != Deletion::None {
        return Ok(None);
    }
    if capture.status == CaptureStatus::Processing {
        effects::step_recording(connection, &mut recording, Event::UploadJoined, own.now).await?;
    }
    let others = sqlx::query("SELECT id FROM captures WHERE recording = ? AND id <> ? AND status <> 'superseded'");
    let others = others.bind(recording.id.to_string()).bind(capture.id.to_string()).fetch_all(connection).await;
    let others = others.map_err(failed)?;
    let supersedes = others.iter().map(|row| Reader::new("captures", row).parse("id"));
    let supersedes = supersedes.collect::<Result<Vec<CaptureId>>>()?;
    Ok(Some(OwnRecording { recording, capture, supersedes }))
}

/// The own recording of a session: an existing one from an earlier upload, or a new one; `None` when nothing may be kept of it.
async fn recording_of(
    connection: &mut SqliteConnection,
    room: &Recording,
    session: &Capture,
    own: &Own,
) -> Result<Option<Recording>> {
    let earlier = sqlx::query(
        "SELECT copy.recording AS id FROM captures AS copy JOIN captures AS ours ON copy.copy_of = ours.id
         WHERE ours.recording = ?1 AND ours.job_id IS ?2 AND (?2 IS NOT NULL OR ours.started_at IS ?3) LIMIT 1",
    );
    let started_at = session.started_at.map(WallTime::as_nanos);
    let earlier = earlier.bind(room.id.to_string()).bind(&session.job_id).bind(started_at);
    if let Some(row) = earlier.fetch_optional(&mut *connection).await.map_err(failed)? {
        let id = Reader::new("captures", &row).parse("id")?;
        return rows::recording_by_id(connection, id).await.map(Some);
    }
    let ids =
        SessionIds { job_id: session.job_id.clone(), room_sid: room.room_sid.clone(), started_at: session.started_at };
    if tombstones::upload_gone(&mut *connection, &room.project, &ids).await?.is_some() {
        return Ok(None);
    }
    let mut recording = Recording {
        room_name: room.room_name.clone(),
        room_sid: room.room_sid.clone(),
        ..Recording::starting(own.new_recording, room.project.clone(), session.job_id.clone(), room.created_at)
    };
    if let Some(upload) = session.upload {
        let received: Option<i64> = sqlx::query_scalar("SELECT received_at FROM uploads WHERE id = ?")
            .bind(upload.to_string())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        recording.created_at = received.map_or(recording.created_at, WallTime::from_nanos);
    }
    rows::insert_processing(connection, &mut recording).await?;
    Ok(Some(recording))
}

/// Makes the capture of a session in its own recording.
async fn copy(
    connection: &mut SqliteConnection,
    recording: &Recording,
    session: &Capture,
    own: &Own,
) -> Result<Capture> {
    let attempt = rows::next_attempt(connection, recording.id).await?;
    let capture = Capture {
        job_id: session.job_id.clone(),
        ..Capture::processing(own.new_capture, recording.id, attempt, Source::Upload)
    };
    rows::insert_capture(connection, &capture, &recording.project).await?;
    let set =
        sqlx::query("UPDATE captures SET copy_of = ?1, body = (SELECT body FROM captures WHERE id = ?1) WHERE id = ?2");
    let set = set.bind(session.id.to_string()).bind(capture.id.to_string());
    set.execute(connection).await.map_err(failed)?;
    Ok(capture)
}

async fn split(
    connection: &mut SqliteConnection,
    id: RecordingId,
    session_id: Option<String>,
    parts: Vec<Part>,
    now: WallTime,
) -> Result<()> {
    let recording = rows::recording_by_id(connection, id).await?;
    if recording.state.deletion != Deletion::None {
        return Ok(());
    }
    for part in parts {
        let Part { captures, recording: new, session_id, facts, created_at } = part;
        let mut new = Recording {
            room_name: recording.room_name.clone(),
            room_sid: recording.room_sid.clone(),
            ..Recording::starting(new, recording.project.clone(), session_id, created_at)
        };
        rows::insert_processing(connection, &mut new).await?;
        telemetry::fill_facts(connection, new.id, &SessionFacts { room_name: None, ..facts }).await?;
        for (capture, attempt) in captures.into_iter().zip(1..) {
            hand_over(connection, capture, id, new.id, attempt).await?;
            drop_segments(connection, id, capture, now).await?;
        }
        queue_compose(connection, &new, now).await?;
    }
    let set = sqlx::query("UPDATE recordings SET session_id = ? WHERE id = ?").bind(session_id).bind(id.to_string());
    set.execute(&mut *connection).await.map_err(failed)?;
    queue_compose(connection, &recording, now).await
}

/// Moves a capture, with its body, to another recording.
async fn hand_over(
    connection: &mut SqliteConnection,
    capture: CaptureId,
    from: RecordingId,
    to: RecordingId,
    attempt: u32,
) -> Result<()> {
    let set = sqlx::query("UPDATE captures SET recording = ?, attempt = ? WHERE id = ? AND recording = ?");
    let set = set.bind(to.to_string()).bind(attempt).bind(capture.to_string()).bind(from.to_string());
    if set.execute(&mut *connection).await.map_err(failed)?.rows_affected() != 1 {
        return Err(Error::Conflict(from));
    }
    let body = sqlx::query("UPDATE objects SET recording = ? WHERE key = (SELECT body FROM captures WHERE id = ?)");
    let body = body.bind(to.to_string()).bind(capture.to_string());
    body.execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Removes a capture's segments from a recording.
async fn drop_segments(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    capture: CaptureId,
    now: WallTime,
) -> Result<()> {
    let keys: Vec<Option<String>> =
        sqlx::query_scalar("DELETE FROM segments WHERE recording = ? AND capture = ? RETURNING object_key")
            .bind(recording.to_string())
            .bind(capture.to_string())
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
    for key in keys.iter().flatten() {
        segments::condemn_unless_needed(connection, key, now).await?;
    }
    Ok(())
}

fn same_room(row: &SqliteRow) -> Result<SameRoom> {
    let row = Reader::new("recordings", row);
    Ok(SameRoom {
        id: row.parse("id")?,
        session_id: row.maybe_text("session_id")?,
        room_name: row.maybe_text("room_name")?,
        agent_name: row.maybe_text("agent_name")?,
        status: row.parse("status")?,
        started_at: row.maybe_time("started_at")?,
        duration: MediaTime::from_ticks(row.integer("duration")?),
    })
}

#[async_trait]
impl Sessions for SqliteStore {
    async fn same_room(&self, recording: RecordingId, limit: u32) -> Result<Vec<SameRoom>> {
        let rows = sqlx::query(
            "SELECT other.* FROM recordings AS other JOIN recordings AS ours
                    ON other.project = ours.project AND other.room_sid = ours.room_sid
             WHERE ours.id = ? AND other.id <> ours.id AND other.deletion = 'none'
             ORDER BY ifnull(other.started_at, other.created_at), other.id LIMIT ?",
        );
        let rows = rows.bind(recording.to_string()).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(same_room).collect()
    }

    async fn upload_body(&self, capture: CaptureId) -> Result<Option<ObjectKey>> {
        let row = sqlx::query("SELECT id, body FROM captures WHERE id = ?").bind(capture.to_string());
        let row = row.fetch_optional(&self.readers).await.map_err(failed)?;
        row.map_or(Ok(None), |row| Reader::new("captures", &row).maybe_parse("body"))
    }

    async fn own_recording(&self, wanted: &Own) -> Result<Option<OwnRecording>> {
        let wanted = wanted.clone();
        self.write("give a session a recording", move |connection| {
            Box::pin(async move { own(connection, wanted).await })
        })
        .await
    }

    async fn session_placed(&self, capture: CaptureId, lease: &Lease) -> Result<()> {
        let lease = *lease;
        self.write("note where a session is held", move |connection| {
            Box::pin(async move {
                tasks::finish(connection, lease).await?;
                let set = sqlx::query("UPDATE captures SET is_placed = 1 WHERE id = ?").bind(capture.to_string());
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn place_sessions(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>> {
        let query = format!(
            "SELECT captures.id, captures.project, captures.recording AS room FROM captures
             JOIN recordings ON recordings.id = captures.recording
             WHERE captures.is_placed = 0 AND captures.source = 'upload' AND captures.status IN ('complete', 'partial')
             AND recordings.deletion = 'none' AND recordings.analysis IS NOT NULL AND {CAPTURED_ROOM} AND captures.id > ?
             ORDER BY captures.id LIMIT ?",
        );
        self.write("look for sessions", move |connection| {
            Box::pin(async move {
                let after = after.map(|id| id.to_string()).unwrap_or_default();
                let rows = sqlx::query(AssertSqlSafe(query)).bind(after).bind(limit).fetch_all(&mut *connection).await;
                let mut last = None;
                for row in rows.map_err(failed)? {
                    let row = Reader::new("captures", &row);
                    let (project, capture) = (row.project()?, row.parse::<CaptureId>("id")?);
                    let payload = format!("{project}/{}/{capture}", row.text("room")?);
                    tasks::queue(connection, TaskKind::Separate, payload, now).await?;
                    last = Some(capture);
                }
                Ok(last)
            })
        })
        .await
    }

    async fn mixed(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<(ProjectId, RecordingId)>> {
        let query = format!(
            "SELECT recordings.id, recordings.project FROM recordings JOIN captures ON captures.recording = recordings.id
             WHERE captures.source = 'upload' AND captures.copy_of IS NULL AND recordings.deletion = 'none'
             AND recordings.id > ? AND NOT {CAPTURED_ROOM} GROUP BY recordings.id
             HAVING count(DISTINCT coalesce(captures.job_id, captures.started_at, '')) > 1 ORDER BY recordings.id LIMIT ?",
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after.map(|id| id.to_string()).unwrap_or_default());
        let rows = rows.bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let row = Reader::new("recordings", row);
            Ok((row.project()?, row.parse("id")?))
        };
        rows.iter().map(decode).collect()
    }

    async fn split(
        &self,
        recording: RecordingId,
        session_id: Option<String>,
        parts: &[Part],
        now: WallTime,
    ) -> Result<()> {
        let parts = parts.to_vec();
        self.write("make recordings of sessions", move |connection| {
            Box::pin(async move { split(connection, recording, session_id, parts, now).await })
        })
        .await
    }
}
