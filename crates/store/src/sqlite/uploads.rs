//! Session uploads, on SQLite: their rows, and the states that these go through.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, TaskId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use super::codec::integer;
use super::{SqliteStore, codec, joining, objects, rows, tasks};
use crate::{Error, Join, Joined, NewTask, Result, Sealed, SessionIds, TaskKind, Upload, UploadState, Uploads};

const ACTION: &str = "change an upload";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

#[async_trait]
impl Uploads for SqliteStore {
    async fn begin_upload(&self, upload: &Upload) -> Result<()> {
        let upload = upload.clone();
        self.write("note an upload", move |connection| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO uploads (id, project, content_type, received_at, state, bytes, complete, job_id, room_sid, room_name)
                     VALUES (?, ?, ?, ?, 'receiving', 0, 0, ?, ?, ?)",
                )
                .bind(upload.id.to_string())
                .bind(upload.project.as_str())
                .bind(&upload.content_type)
                .bind(upload.received_at.as_nanos())
                .bind(&upload.job_id)
                .bind(&upload.room_sid)
                .bind(&upload.room_name)
                .execute(connection)
                .await
                .map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn seal_upload(&self, id: UploadId, sealed: Sealed, task: TaskId, now: WallTime) -> Result<()> {
        self.write("acknowledge an upload", move |connection| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE uploads SET state = 'received', bytes = ?, complete = ? WHERE id = ? AND state = 'receiving'",
                )
                .bind(integer(sealed.bytes))
                .bind(sealed.complete)
                .bind(id.to_string())
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
                if done.rows_affected() == 0 {
                    return Ok(());
                }
                let task = NewTask { id: task, kind: TaskKind::Ingest, payload: id.to_string(), run_at: now };
                tasks::insert(connection, &task).await
            })
        })
        .await
    }

    async fn abandon_upload(&self, id: UploadId) -> Result<()> {
        self.write("forget an upload", move |connection| {
            Box::pin(async move {
                sqlx::query("DELETE FROM uploads WHERE id = ? AND state = 'receiving'")
                    .bind(id.to_string())
                    .execute(connection)
                    .await
                    .map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>> {
        let row = sqlx::query("SELECT * FROM uploads WHERE id = ?").bind(id.to_string());
        let row = row.fetch_optional(&self.readers).await.map_err(|e| Error::from_sqlx("read an upload", e))?;
        row.as_ref().map(codec::upload).transpose()
    }

    async fn unfinished_uploads(&self) -> Result<Vec<Upload>> {
        let rows = sqlx::query("SELECT * FROM uploads WHERE state = 'receiving' ORDER BY received_at");
        let rows = rows.fetch_all(&self.readers).await.map_err(|e| Error::from_sqlx("read uploads", e))?;
        rows.iter().map(codec::upload).collect()
    }

    async fn join_upload(&self, request: &Join) -> Result<Option<Joined>> {
        let request = request.clone();
        self.write("join an upload", move |connection| {
            Box::pin(async move { joining::join(connection, request).await })
        })
        .await
    }

    async fn drop_duplicate(&self, id: UploadId, now: WallTime) -> Result<()> {
        self.write("drop a duplicate", move |connection| {
            Box::pin(async move {
                if let Some(capture) = rows::capture_of(connection, id).await? {
                    let body = rows::body_of(connection, capture.id).await?;
                    objects::condemn(connection, body.as_str(), now).await?;
                    let removed = sqlx::query("DELETE FROM captures WHERE id = ?").bind(capture.id.to_string());
                    removed.execute(&mut *connection).await.map_err(failed)?;
                }
                rows::set_state(connection, id, UploadState::Duplicate, None).await
            })
        })
        .await
    }

    async fn quarantine_upload(&self, id: UploadId, reason: &str, object: &ObjectKey, now: WallTime) -> Result<()> {
        let (reason, object) = (reason.to_owned(), object.clone());
        self.write("quarantine an upload", move |connection| {
            Box::pin(async move {
                objects::make_live(connection, &object, now).await?;
                rows::set_state(connection, id, UploadState::Quarantined, Some(&reason)).await
            })
        })
        .await
    }

    async fn note_session(&self, id: UploadId, session: &SessionIds, room_name: Option<&str>) -> Result<()> {
        let (session, room_name) = (session.clone(), room_name.map(str::to_owned));
        self.write("note whose an upload is", move |connection| {
            Box::pin(async move {
                let set = sqlx::query(
                    "UPDATE uploads SET job_id = ?, room_sid = ?, room_name = coalesce(?, room_name) WHERE id = ?",
                );
                let set = set.bind(session.job_id).bind(session.room_sid).bind(room_name).bind(id.to_string());
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn uploads_in(
        &self,
        project: &ProjectId,
        state: UploadState,
        before: Option<WallTime>,
        limit: u32,
    ) -> Result<Vec<Upload>> {
        let rows = sqlx::query(
            "SELECT * FROM uploads WHERE state = ? AND project = ? AND received_at < ? ORDER BY received_at DESC LIMIT ?",
        );
        let rows = rows.bind(state.as_str()).bind(project.as_str());
        let rows = rows.bind(before.map_or(i64::MAX, WallTime::as_nanos)).bind(limit).fetch_all(&self.readers).await;
        rows.map_err(|e| Error::from_sqlx("read uploads", e))?.iter().map(codec::upload).collect()
    }

    async fn uploads_before(&self, state: UploadState, before: WallTime, limit: u32) -> Result<Vec<Upload>> {
        let rows =
            sqlx::query("SELECT * FROM uploads WHERE state = ? AND received_at < ? ORDER BY received_at LIMIT ?");
        let rows = rows.bind(state.as_str()).bind(before.as_nanos()).bind(limit).fetch_all(&self.readers).await;
        rows.map_err(|e| Error::from_sqlx("read uploads", e))?.iter().map(codec::upload).collect()
    }

    async fn count_uploads(&self, state: UploadState) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM uploads WHERE state = ?").bind(state.as_str());
        let count = count.fetch_one(&self.readers).await.map_err(|e| Error::from_sqlx("count uploads", e))?;
        Ok(count.unsigned_abs())
    }

    async fn hold_upload(&self, id: UploadId) -> Result<()> {
        self.write("hold an upload", move |connection| {
            Box::pin(async move {
                let set = sqlx::query("UPDATE uploads SET state = 'held' WHERE id = ? AND state = 'received'");
                set.bind(id.to_string()).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn release_upload(&self, id: UploadId, released: bool, task: TaskId, now: WallTime) -> Result<bool> {
        self.write("release an upload", move |connection| {
            Box::pin(async move {
                let set = sqlx::query(
                    "UPDATE uploads SET state = 'received', reason = NULL, is_released = max(is_released, ?) WHERE id = ?
                     AND state IN ('held', 'quarantined')",
                );
                let set = set.bind(released).bind(id.to_string()).execute(&mut *connection).await.map_err(failed)?;
                if set.rows_affected() == 0 {
                    return Ok(false);
                }
                let task = NewTask { id: task, kind: TaskKind::Ingest, payload: id.to_string(), run_at: now };
                tasks::insert(connection, &task).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn forget_upload(&self, id: UploadId) -> Result<()> {
        self.write("forget an upload", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query(
                    "DELETE FROM uploads WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM captures WHERE upload = ?1)",
                );
                gone.bind(id.to_string()).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }
}
