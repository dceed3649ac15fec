//! Implements `Uploads` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, TaskId, UploadId};
use echosphere_domain::time::WallTime;

use super::{SqliteStore, codec};
use crate::rows::UploadRows;
use crate::{Error, Join, Joined, Result, Sealed, SessionIds, Upload, UploadState, Uploads, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read uploads", error)
}

#[async_trait]
impl Uploads for SqliteStore {
    async fn begin_upload(&self, upload: &Upload) -> Result<()> {
        let upload = upload.clone();
        self.write("note an upload", move |rows| Box::pin(async move { rows.insert_upload(&upload).await })).await
    }

    async fn seal_upload(&self, id: UploadId, sealed: Sealed, task: TaskId, now: WallTime) -> Result<()> {
        self.write("acknowledge an upload", move |rows| {
            Box::pin(async move { rules::uploads::seal(rows, id, sealed, task, now).await })
        })
        .await
    }

    async fn abandon_upload(&self, id: UploadId) -> Result<()> {
        self.write("forget an upload", move |rows| Box::pin(async move { rules::uploads::abandon(rows, id).await }))
            .await
    }

    async fn upload(&self, id: UploadId) -> Result<Option<Upload>> {
        self.reader("read an upload").await?.find_upload(id).await
    }

    async fn unfinished_uploads(&self) -> Result<Vec<Upload>> {
        let rows = sqlx::query("SELECT * FROM uploads WHERE state = 'receiving' ORDER BY received_at");
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(codec::upload).collect()
    }

    async fn join_upload(&self, request: &Join) -> Result<Option<Joined>> {
        let request = request.clone();
        self.write("join an upload", move |rows| Box::pin(async move { rules::joining::join(rows, &request).await }))
            .await
    }

    async fn drop_duplicate(&self, id: UploadId, now: WallTime) -> Result<()> {
        self.write("drop a duplicate", move |rows| {
            Box::pin(async move { rules::uploads::drop_duplicate(rows, id, now).await })
        })
        .await
    }

    async fn quarantine_upload(&self, id: UploadId, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.write("quarantine an upload", move |rows| {
            Box::pin(async move { rules::uploads::quarantine(rows, id, &reason).await })
        })
        .await
    }

    async fn note_session(&self, id: UploadId, session: &SessionIds, room_name: Option<&str>) -> Result<()> {
        let (session, room_name) = (session.clone(), room_name.map(str::to_owned));
        self.write("note whose an upload is", move |rows| {
            Box::pin(async move { rows.set_session(id, &session, room_name.as_deref()).await })
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
        rows.map_err(failed)?.iter().map(codec::upload).collect()
    }

    async fn uploads_before(&self, state: UploadState, before: WallTime, limit: u32) -> Result<Vec<Upload>> {
        let rows =
            sqlx::query("SELECT * FROM uploads WHERE state = ? AND received_at < ? ORDER BY received_at LIMIT ?");
        let rows = rows.bind(state.as_str()).bind(before.as_nanos()).bind(limit).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(codec::upload).collect()
    }

    async fn count_uploads(&self, state: UploadState) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM uploads WHERE state = ?").bind(state.as_str());
        let count = count.fetch_one(&self.readers).await.map_err(|e| Error::from_sqlx("count uploads", e))?;
        Ok(count.unsigned_abs())
    }

    async fn hold_upload(&self, id: UploadId) -> Result<()> {
        self.write("hold an upload", move |rows| Box::pin(async move { rules::uploads::hold(rows, id).await })).await
    }

    async fn release_upload(&self, id: UploadId, released: bool, task: TaskId, now: WallTime) -> Result<bool> {
        self.write("release an upload", move |rows| {
            Box::pin(async move { rules::uploads::release(rows, id, released, task, now).await })
        })
        .await
    }

    async fn forget_upload(&self, id: UploadId) -> Result<()> {
        self.write("forget an upload", move |rows| Box::pin(async move { rules::uploads::forget(rows, id).await }))
            .await
    }
}
