//! Implements `TombstoneRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{Scope, Tombstone, TombstoneRows};
use crate::sqlite::conditions::{CAPTURED_ROOM, HOLDS};
use crate::{Error, Gone, Result, SessionIds};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("write or read a tombstone", error)
}

const fn word(scope: Scope) -> &'static str {
    match scope {
        Scope::Session => "session",
        Scope::Room => "room",
    }
}

#[async_trait]
impl TombstoneRows for SqliteConnection {
    async fn gone_of(&mut self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>> {
        let query = format!(
            "SELECT reason FROM tombstones WHERE project = ?1 AND scope <> 'nothing' AND (
                 job_id = ?2 OR (room_sid = ?3 AND (
                     (scope = 'room' AND reason = 'excluded')
                     OR ((?2 IS NULL OR scope = 'room') AND NOT EXISTS (SELECT 1 FROM recordings AS holder
                         WHERE {HOLDS} AND holder.project = tombstones.project AND holder.room_sid = tombstones.room_sid))
                 ))
             ) ORDER BY reason = 'excluded' DESC LIMIT 1"
        );
        let reason = sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).bind(project.as_str());
        let reason = reason.bind(&session.job_id).bind(&session.room_sid).fetch_optional(self).await;
        Ok(reason.map_err(failed)?.as_deref().map(Gone::from_word))
    }

    async fn gone_of_upload(&mut self, project: &ProjectId, session: &SessionIds) -> Result<Option<Gone>> {
        let reason = sqlx::query_scalar::<_, String>(
            "SELECT reason FROM tombstones WHERE project = ?1 AND scope <> 'nothing' AND (
                 job_id = ?2
                 OR (?2 IS NULL AND job_id IS NULL AND scope = 'session' AND room_sid = ?3 AND started_at IS ?4)
                 OR (room_sid = ?3 AND scope = 'room' AND reason = 'excluded')
             ) ORDER BY reason = 'excluded' DESC LIMIT 1",
        );
        let reason = reason.bind(project.as_str()).bind(&session.job_id).bind(&session.room_sid);
        let reason = reason.bind(session.started_at.map(WallTime::as_nanos)).fetch_optional(self).await;
        Ok(reason.map_err(failed)?.as_deref().map(Gone::from_word))
    }

    async fn entomb_recording(&mut self, recording: RecordingId, at: WallTime) -> Result<()> {
        let query = format!(
            "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
             SELECT project, id, iif({CAPTURED_ROOM}, NULL, session_id), room_sid, started_at,
                    CASE WHEN ifnull(reason, '') = 'nobody_came' THEN 'nothing' WHEN {CAPTURED_ROOM} THEN 'room' ELSE 'session' END,
                    'deleted', ? FROM recordings WHERE id = ?",
        );
        let entombed = sqlx::query(AssertSqlSafe(query)).bind(at.as_nanos()).bind(recording.to_string());
        entombed.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn entomb_sessions_of(&mut self, recording: RecordingId, at: WallTime) -> Result<()> {
        let entombed = sqlx::query(
            "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
             SELECT captures.project, recording, job_id, room_sid, captures.started_at, 'session', 'deleted', ?2
             FROM captures JOIN recordings ON recordings.id = captures.recording
             WHERE captures.recording = ?1 AND captures.source = 'upload' AND NOT EXISTS (SELECT 1 FROM tombstones
                 WHERE tombstones.recording = ?1 AND tombstones.job_id = captures.job_id)
             GROUP BY ifnull(job_id, captures.id)",
        );
        let entombed = entombed.bind(recording.to_string()).bind(at.as_nanos());
        entombed.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn find_tombstone(&mut self, tombstone: &Tombstone<'_>) -> Result<Option<i64>> {
        let Tombstone { project, recording, session, scope, reason } = tombstone;
        let found = sqlx::query_scalar::<_, i64>(
            "SELECT id FROM tombstones WHERE project = ? AND recording IS ? AND job_id IS ? AND room_sid IS ? AND started_at IS ?
             AND scope = ? AND reason = ?",
        );
        let found = found.bind(project.as_str()).bind(recording.map(|id| id.to_string())).bind(&session.job_id);
        let found = found.bind(&session.room_sid).bind(session.started_at.map(WallTime::as_nanos));
        found.bind(word(*scope)).bind(reason.as_str()).fetch_optional(self).await.map_err(failed)
    }

    async fn insert_tombstone(&mut self, tombstone: &Tombstone<'_>, at: WallTime) -> Result<i64> {
        let Tombstone { project, recording, session, scope, reason } = tombstone;
        let new = sqlx::query_scalar::<_, i64>(
            "INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        );
        let new = new.bind(project.as_str()).bind(recording.map(|id| id.to_string())).bind(&session.job_id);
        let new = new.bind(&session.room_sid).bind(session.started_at.map(WallTime::as_nanos)).bind(word(*scope));
        new.bind(reason.as_str()).bind(at.as_nanos()).fetch_one(self).await.map_err(failed)
    }
}
