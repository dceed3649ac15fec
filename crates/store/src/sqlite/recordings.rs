//! Recordings, their captures and their transcripts, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Event, Status};
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Transcript;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::codec::{CAPTURE_COLUMNS, Reader, WithoutTurns};
use super::{SqliteStore, codec};
use crate::rules::deletion::Requested;
use crate::{Cursor, Error, Filter, Lease, ListPage, Publication, Recordings, RenderedRevision, Result, rules};

const ACTION: &str = "read recordings";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

impl SqliteStore {
    async fn captures(&self, recording: RecordingId) -> Result<Vec<Capture>> {
        let query = format!("SELECT {CAPTURE_COLUMNS} FROM captures WHERE recording = ? ORDER BY attempt");
        let rows = sqlx::query(AssertSqlSafe(query)).bind(recording.to_string()).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(codec::capture).collect()
    }

    async fn with_captures(&self, row: &SqliteRow) -> Result<(Recording, Vec<Capture>)> {
        let recording = codec::recording(row)?;
        let captures = self.captures(recording.id).await?;
        Ok((recording, captures))
    }
}

fn list_query(project: &ProjectId, filter: &Filter, after: Option<Cursor>, rows: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT * FROM recordings WHERE deletion <> 'done' AND project = ");
    query.push_bind(project.as_str().to_owned());
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(room_name) = &filter.room_name {
        query.push(" AND room_name = ").push_bind(room_name.clone());
    }
    if let Some(session_id) = &filter.session_id {
        let project = project.as_str().to_owned();
        query.push(" AND id IN (SELECT id FROM recordings WHERE project = ").push_bind(project.clone());
        query.push(" AND session_id = ").push_bind(session_id.clone());
        query.push(" UNION SELECT recording FROM captures WHERE project = ").push_bind(project);
        query.push(" AND status <> 'superseded' AND job_id = ").push_bind(session_id.clone()).push(")");
    }
    if let Some(Cursor { began_at, id }) = after {
        query.push(" AND (coalesce(started_at, created_at), id) < (").push_bind(began_at.as_nanos());
        query.push(", ").push_bind(id.to_string()).push(")");
    }
    query.push(" ORDER BY coalesce(started_at, created_at) DESC, id DESC LIMIT ").push_bind(rows);
    query
}

#[async_trait]
impl Recordings for SqliteStore {
    async fn recording(&self, project: &ProjectId, id: RecordingId) -> Result<Option<(Recording, Vec<Capture>)>> {
        let row = sqlx::query("SELECT * FROM recordings WHERE id = ? AND project = ?");
        let row =
            row.bind(id.to_string()).bind(project.as_str()).fetch_optional(&self.readers).await.map_err(failed)?;
        match row {
            Some(row) => self.with_captures(&row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn list(&self, project: &ProjectId, filter: &Filter, after: Option<Cursor>, limit: u32) -> Result<ListPage> {
        let limit = limit.clamp(1, 200);
        let mut query = list_query(project, filter, after, limit + 1);
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed)?;
        let mut items = Vec::with_capacity(rows.len());
        for row in rows.iter().take(limit as usize) {
            items.push(self.with_captures(row).await?);
        }
        let more = rows.len() > limit as usize;
        let next = items
            .last()
            .filter(|_| more)
            .map(|(last, _)| Cursor { began_at: last.started_at.unwrap_or(last.created_at), id: last.id });
        Ok(ListPage { items, next })
    }

    async fn transcripts(&self, recording: RecordingId) -> Result<Vec<(CaptureId, Transcript)>> {
        // The turns of a capture in one value: a row for each would take longer on its way than in the database.
        let rows = sqlx::query(
            "SELECT id, transcript, '[' || (SELECT group_concat(turn, ',' ORDER BY seq) FROM turns WHERE capture = captures.id) || ']'
                 AS turns FROM captures WHERE recording = ? AND transcript IS NOT NULL AND status <> 'superseded' ORDER BY attempt",
        );
        let rows = rows.bind(recording.to_string()).fetch_all(&self.readers).await.map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let row = Reader::new("captures", row);
            let alignment = row.json::<WithoutTurns<'_>>("transcript")?.alignment();
            Ok((row.parse("id")?, Transcript { turns: row.maybe_json("turns")?.unwrap_or_default(), alignment }))
        };
        rows.iter().map(decode).collect()
    }

    async fn aligned_before(&self, version: u32, after: Option<RecordingId>, limit: u32) -> Result<Vec<Recording>> {
        let rows = sqlx::query(
            "SELECT * FROM recordings WHERE id > ? AND analysis IS NOT NULL AND deletion = 'none' AND EXISTS (
                 SELECT 1 FROM captures WHERE captures.recording = recordings.id AND captures.status <> 'superseded'
                 AND coalesce(json_extract(captures.transcript, '$.alignment.version'), 0) < ? AND captures.transcript IS NOT NULL)
             ORDER BY id LIMIT ?",
        );
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = rows.bind(after).bind(version).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(codec::recording).collect()
    }

    async fn audio_index(&self, capture: CaptureId) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT audio_index FROM captures WHERE id = ?").bind(capture.to_string());
        let row = row.fetch_optional(&self.readers).await.map_err(failed)?;
        row.map_or(Ok(None), |row| row.try_get("audio_index").map_err(failed))
    }

    async fn analysis(&self, recording: RecordingId) -> Result<Option<ObjectKey>> {
        let row = sqlx::query("SELECT id, analysis FROM recordings WHERE id = ?").bind(recording.to_string());
        let row = row.fetch_optional(&self.readers).await.map_err(failed)?;
        row.map_or(Ok(None), |row| Reader::new("recordings", &row).maybe_parse("analysis"))
    }

    async fn publish(&self, publication: &Publication, lease: &Lease) -> Result<Recording> {
        let (publication, lease) = (publication.clone(), *lease);
        self.write("publish a revision", move |rows| {
            Box::pin(async move { rules::publish::publish(rows, &publication, &lease).await })
        })
        .await
    }

    async fn finish_render(&self, rendered: &RenderedRevision, lease: &Lease) -> Result<()> {
        let (rendered, lease) = (rendered.clone(), *lease);
        self.write("end a rendering", move |rows| {
            Box::pin(async move { rules::publish::finish_render(rows, &rendered, &lease).await })
        })
        .await
    }

    async fn request_deletion(&self, project: &ProjectId, id: RecordingId, now: WallTime) -> Result<Option<Recording>> {
        let project = project.clone();
        let requested = self.write("ask for a deletion", move |rows| {
            Box::pin(async move { rules::deletion::request(rows, &project, id, now).await })
        });
        Ok(match requested.await? {
            Requested::Begun(recording) | Requested::Held(recording) => Some(recording),
            Requested::Unknown | Requested::Done => None,
        })
    }

    async fn schedule_deletion(
        &self,
        project: &ProjectId,
        id: RecordingId,
        at: Option<WallTime>,
        now: WallTime,
    ) -> Result<Option<Recording>> {
        let project = project.clone();
        let event = at.map_or(Event::DeletionCancelled, Event::DeletionScheduled);
        self.write("schedule a deletion", move |rows| {
            Box::pin(async move { rules::deletion::change(rows, &project, id, event, now).await })
        })
        .await
    }

    async fn set_hold(
        &self,
        project: &ProjectId,
        id: RecordingId,
        is_held: bool,
        now: WallTime,
    ) -> Result<Option<Recording>> {
        let project = project.clone();
        self.write("set a legal hold", move |rows| {
            Box::pin(async move { rules::deletion::change(rows, &project, id, Event::HoldSet(is_held), now).await })
        })
        .await
    }

    async fn count_by_status(&self) -> Result<Vec<(Status, u64)>> {
        let rows =
            sqlx::query("SELECT status AS id, count(*) AS n FROM recordings WHERE deletion <> 'done' GROUP BY status");
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let row = Reader::new("recordings", row);
            Ok((row.parse("id")?, row.number("n")?))
        };
        rows.iter().map(decode).collect()
    }
}
