//! Tombstones, on SQLite: what was deleted, excluded or refused, and must not come back.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::rows::CAPTURED_ROOM;
use super::{belongs, tasks};
use crate::{Erasure, Error, Gone, Result, SessionIds, TaskKind};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("write or read a tombstone", error)
}

/// Writes the tombstones of a recording: its sessions, or its room, must not come back.
pub(super) async fn entomb(connection: &mut SqliteConnection, recording: RecordingId, now: WallTime) -> Result<()> {
    let whole = format!(
        "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
         SELECT project, id, iif({CAPTURED_ROOM}, NULL, session_id), room_sid, started_at,
                CASE WHEN ifnull(reason, '') = 'nobody_came' THEN 'nothing' WHEN {CAPTURED_ROOM} THEN 'room' ELSE 'session' END,
                'deleted', ?2 FROM recordings WHERE id = ?1",
    );
    let sessions = "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
         SELECT captures.project, recording, job_id, room_sid, captures.started_at, 'session', 'deleted', ?2
         FROM captures JOIN recordings ON recordings.id = captures.recording
         WHERE captures.recording = ?1 AND captures.source = 'upload' AND NOT EXISTS (SELECT 1 FROM tombstones
             WHERE tombstones.recording = ?1 AND tombstones.job_id = captures.job_id)
         GROUP BY ifnull(job_id, captures.id)";
    // It counts as recorded until now: a session that comes later, and by its times was in it, is deleted too.
    let over = "UPDATE recordings SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL";
    for statement in [whole.as_str(), sessions, over] {
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).bind(recording.to_string()).bind(now.as_nanos());
        done.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// Writes the tombstone of a session that came for a room whose recording was deleted; its job's telemetry is erased.
pub(super) async fn entomb_session(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    recording: RecordingId,
    session: &SessionIds,
    now: WallTime,
) -> Result<()> {
    let noted = sqlx::query_scalar::<_, i64>(
        "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
         VALUES (?, ?, ?, ?, ?, 'session', 'deleted', ?) RETURNING id",
    );
    let noted = noted.bind(project.as_str()).bind(recording.to_string()).bind(&session.job_id).bind(&session.room_sid);
    let noted = noted.bind(session.started_at.map(WallTime::as_nanos)).bind(now.as_nanos());
    let id = noted.fetch_one(&mut *connection).await.map_err(failed)?;
    tasks::queue(connection, TaskKind::Erase, Erasure::Refused(id).payload(), now).await?;
    Ok(())
}

/// Why nothing may be kept of telemetry of a session; `None` when it may be kept.
pub(super) async fn gone(
    executor: impl sqlx::SqliteExecutor<'_>,
    project: &ProjectId,
    session: &SessionIds,
) -> Result<Option<Gone>> {
    let query = format!(
        "SELECT reason FROM tombstones WHERE project = ?1 AND scope <> 'nothing' AND (
             job_id = ?2 OR (room_sid = ?3 AND (
                 (scope = 'room' AND reason = 'excluded')
                 OR ((?2 IS NULL OR scope = 'room') AND NOT EXISTS (SELECT 1 FROM recordings AS holder
                     WHERE {} AND holder.project = tombstones.project AND holder.room_sid = tombstones.room_sid))
             ))
         ) ORDER BY reason = 'excluded' DESC LIMIT 1",
        belongs::HOLDS
    );
    let reason = sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).bind(project.as_str());
    let reason = reason.bind(&session.job_id).bind(&session.room_sid).fetch_optional(executor).await;
    Ok(reason.map_err(failed)?.as_deref().map(Gone::from_word))
}

/// Whether nothing more may be kept of a room.
pub(super) async fn room_gone(
    executor: impl sqlx::SqliteExecutor<'_>,
    project: &ProjectId,
    room_sid: &str,
) -> Result<bool> {
    let session = SessionIds { room_sid: Some(room_sid.to_owned()), ..SessionIds::default() };
    Ok(gone(executor, project, &session).await?.is_some())
}

/// Why nothing may be kept of an upload of a session; `None` when it may be kept.
pub(super) async fn upload_gone(
    executor: impl sqlx::SqliteExecutor<'_>,
    project: &ProjectId,
    session: &SessionIds,
) -> Result<Option<Gone>> {
    let reason = sqlx::query_scalar::<_, String>(
        "SELECT reason FROM tombstones WHERE project = ?1 AND scope <> 'nothing' AND (
             job_id = ?2
             OR (?2 IS NULL AND job_id IS NULL AND scope = 'session' AND room_sid = ?3 AND started_at IS ?4)
             OR (room_sid = ?3 AND scope = 'room' AND reason = 'excluded')
         ) ORDER BY reason = 'excluded' DESC LIMIT 1",
    );
    let reason = reason.bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid);
    let reason = reason.bind(session.started_at.map(WallTime::as_nanos)).fetch_optional(executor).await;
    Ok(reason.map_err(failed)?.as_deref().map(Gone::from_word))
}

/// The id of a refused session's tombstone, which is written unless there is one.
pub(super) async fn of_refused(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    session: &SessionIds,
    scope: &str,
    reason: Gone,
    now: WallTime,
) -> Result<i64> {
    let known = sqlx::query_scalar::<_, i64>(
        "SELECT id FROM tombstones WHERE project = ? AND job_id IS ? AND room_sid IS ? AND started_at IS ? AND scope = ?
         AND reason = ? AND recording IS NULL",
    );
    let started_at = session.started_at.map(WallTime::as_nanos);
    let known = known.bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid).bind(started_at);
    let known = known.bind(scope).bind(reason.as_str()).fetch_optional(&mut *connection).await;
    if let Some(known) = known.map_err(failed)? {
        return Ok(known);
    }
    let new = sqlx::query_scalar::<_, i64>(
        "INSERT INTO tombstones (project, job_id, room_sid, started_at, scope, reason, at) VALUES (?, ?, ?, ?, ?, ?, ?)
         RETURNING id",
    );
    let new = new.bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid).bind(started_at);
    new.bind(scope).bind(reason.as_str()).bind(now.as_nanos()).fetch_one(connection).await.map_err(failed)
}
