//! Implements `SessionRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{CapturedRoom, Scope, SessionInRoom, SessionRows};
use crate::sqlite::codec::{self, Reader};
use crate::sqlite::conditions::CAPTURED_ROOM;
use crate::{Error, Join, Result, SessionIds};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look for a session", error)
}

fn session_in_room(row: &SqliteRow) -> Result<SessionInRoom> {
    let row = Reader::new("captures", row);
    Ok(SessionInRoom { room: row.parse("room")?, capture: row.parse("id")? })
}

/// The ids that rows name together with another one.
async fn told_together(
    connection: &mut SqliteConnection,
    query: &'static str,
    project: &ProjectId,
    id: Option<&str>,
) -> Result<Vec<String>> {
    let told = sqlx::query_scalar::<_, Option<String>>(query).bind(project.as_str()).bind(id);
    Ok(told.fetch_all(connection).await.map_err(failed)?.into_iter().flatten().collect())
}

#[async_trait]
impl SessionRows for SqliteConnection {
    async fn copies_of(&mut self, room: RecordingId) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "SELECT DISTINCT copy.recording AS id FROM captures AS copy JOIN captures AS ours ON copy.copy_of = ours.id
             WHERE ours.recording = ?",
        );
        let rows = rows.bind(room.to_string()).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("captures", row).parse("id")).collect()
    }

    async fn originals_of(&mut self, own: RecordingId) -> Result<Vec<SessionInRoom>> {
        let rows = sqlx::query(
            "SELECT room.id, room.recording AS room FROM captures AS copy JOIN captures AS room ON copy.copy_of = room.id
             WHERE copy.recording = ?",
        );
        rows.bind(own.to_string()).fetch_all(self).await.map_err(failed)?.iter().map(session_in_room).collect()
    }

    async fn sessions_in_rooms(
        &mut self,
        project: &ProjectId,
        session: &SessionIds,
        scope: Scope,
    ) -> Result<Vec<SessionInRoom>> {
        let query = format!(
            "SELECT captures.id, captures.recording AS room FROM captures JOIN recordings ON recordings.id = captures.recording
             WHERE recordings.project = ?1 AND recordings.deletion = 'none' AND captures.source = 'upload'
             AND captures.status <> 'superseded' AND (captures.job_id = ?2 OR (?4 AND recordings.room_sid = ?3)) AND {CAPTURED_ROOM}",
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(project.as_str()).bind(&session.job_id);
        let rows = rows.bind(&session.room_sid).bind(scope == Scope::Room);
        rows.fetch_all(self).await.map_err(failed)?.iter().map(session_in_room).collect()
    }

    async fn recordings_of_session(
        &mut self,
        project: &ProjectId,
        session: &SessionIds,
        scope: Scope,
    ) -> Result<Vec<RecordingId>> {
        let query = format!(
            "SELECT DISTINCT recordings.id FROM recordings LEFT JOIN captures ON captures.recording = recordings.id
             WHERE recordings.project = ?1 AND recordings.deletion = 'none' AND NOT {CAPTURED_ROOM}
             AND (captures.job_id = ?2 OR (?4 AND recordings.room_sid = ?3)
                  OR (?2 IS NULL AND NOT ?4 AND captures.job_id IS NULL AND recordings.room_sid = ?3 AND captures.started_at IS ?5))",
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(project.as_str()).bind(&session.job_id);
        let rows = rows.bind(&session.room_sid).bind(scope == Scope::Room);
        let rows = rows.bind(session.started_at.map(WallTime::as_nanos)).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
    }

    async fn own_recording_of(
        &mut self,
        room: RecordingId,
        job_id: Option<&str>,
        started_at: Option<WallTime>,
    ) -> Result<Option<RecordingId>> {
        let row = sqlx::query(
            "SELECT copy.recording AS id FROM captures AS copy JOIN captures AS ours ON copy.copy_of = ours.id
             WHERE ours.recording = ?1 AND ours.job_id IS ?2 AND (?2 IS NOT NULL OR ours.started_at IS ?3) LIMIT 1",
        );
        let row = row.bind(room.to_string()).bind(job_id).bind(started_at.map(WallTime::as_nanos));
        let row = row.fetch_optional(self).await.map_err(failed)?;
        row.map(|row| Reader::new("captures", &row).parse("id")).transpose()
    }

    async fn same_session(&mut self, join: &Join) -> Result<Option<Recording>> {
        let row = sqlx::query(
            "SELECT recordings.* FROM recordings JOIN captures ON captures.recording = recordings.id
             WHERE captures.project = ?1 AND captures.source = 'upload' AND captures.copy_of IS NULL
             AND captures.status <> 'superseded'
             AND (captures.job_id = ?2 OR (?2 IS NULL AND captures.job_id IS NULL AND recordings.room_sid = ?3
                                           AND captures.started_at = ?4))
             ORDER BY captures.attempt LIMIT 1",
        );
        let row = row.bind(join.project.as_str()).bind(&join.job_id).bind(&join.room_sid);
        let row = row.bind(join.session.started_at.map(WallTime::as_nanos)).fetch_optional(self).await;
        row.map_err(failed)?.as_ref().map(codec::recording).transpose()
    }

    async fn captured_rooms(&mut self, project: &ProjectId, room_sid: &str) -> Result<Vec<CapturedRoom>> {
        let query = format!(
            "SELECT recordings.*,
                    (SELECT min(started_at) FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')) AS heard_from,
                    (SELECT max(ended_at) FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')) AS heard_to,
                    EXISTS (SELECT 1 FROM captures WHERE recording = recordings.id AND source IN ('recorder', 'egress')
                            AND audio IS NOT NULL) AS has_sound
             FROM recordings WHERE project = ? AND room_sid = ? AND {CAPTURED_ROOM} ORDER BY created_at DESC LIMIT 100",
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(project.as_str()).bind(room_sid);
        let rows = rows.fetch_all(self).await.map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let recording = codec::recording(row)?;
            let row = Reader::new("recordings", row);
            let (heard_from, heard_to) = (row.maybe_time("heard_from")?, row.maybe_time("heard_to")?);
            Ok(CapturedRoom { recording, heard_from, heard_to, has_sound: row.flag("has_sound")? })
        };
        rows.iter().map(decode).collect()
    }

    async fn sessions_in(&mut self, room: RecordingId) -> Result<Vec<CaptureId>> {
        let rows = sqlx::query(
            "SELECT id FROM captures WHERE recording = ? AND source = 'upload' AND status IN ('complete', 'partial')",
        );
        let rows = rows.bind(room.to_string()).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("captures", row).parse("id")).collect()
    }

    async fn rooms_of_job(&mut self, project: &ProjectId, job_id: Option<&str>) -> Result<Vec<String>> {
        let query = "SELECT room_sid FROM telemetry WHERE project = ?1 AND job_id = ?2
             UNION SELECT room_sid FROM uploads WHERE project = ?1 AND job_id = ?2
             UNION SELECT recordings.room_sid FROM captures JOIN recordings ON recordings.id = captures.recording
                   WHERE captures.project = ?1 AND captures.job_id = ?2";
        told_together(self, query, project, job_id).await
    }

    async fn jobs_of_room(&mut self, project: &ProjectId, room_sid: Option<&str>) -> Result<Vec<String>> {
        let query = "SELECT job_id FROM telemetry WHERE project = ?1 AND room_sid = ?2
             UNION SELECT job_id FROM uploads WHERE project = ?1 AND room_sid = ?2
             UNION SELECT captures.job_id FROM recordings JOIN captures ON captures.recording = recordings.id
                   WHERE recordings.project = ?1 AND recordings.room_sid = ?2";
        told_together(self, query, project, room_sid).await
    }
}
