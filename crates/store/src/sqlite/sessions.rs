//! Implements `Sessions` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::time::{MediaTime, WallTime};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::Reader;
use super::conditions::CAPTURED_ROOM;
use crate::{Error, Lease, Own, OwnRecording, Result, SameRoom, Sessions, SplitSession, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read a room's sessions", error)
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

    async fn own_recording(&self, wanted: &Own) -> Result<Option<OwnRecording>> {
        let wanted = wanted.clone();
        self.write("give a session a recording", move |rows| {
            Box::pin(async move { rules::sessions::own(rows, &wanted).await })
        })
        .await
    }

    async fn session_placed(&self, capture: CaptureId, lease: &Lease) -> Result<()> {
        let lease = *lease;
        self.write("note where a session is held", move |rows| {
            Box::pin(async move { rules::sessions::placed(rows, capture, &lease).await })
        })
        .await
    }

    async fn place_sessions(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>> {
        self.write("look for sessions", move |rows| {
            Box::pin(async move { rules::sessions::place_unplaced(rows, after, limit, now).await })
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
        parts: &[SplitSession],
        now: WallTime,
    ) -> Result<()> {
        let parts = parts.to_vec();
        self.write("make recordings of sessions", move |rows| {
            Box::pin(async move { rules::sessions::split(rows, recording, session_id.as_deref(), parts, now).await })
        })
        .await
    }
}
