//! Implements `UploadRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::UploadId;
use sqlx::SqliteConnection;

use crate::rows::UploadRows;
use crate::sqlite::codec::{self, integer};
use crate::{Error, Result, Sealed, SessionIds, Upload, UploadState};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change an upload", error)
}

#[async_trait]
impl UploadRows for SqliteConnection {
    async fn find_upload(&mut self, id: UploadId) -> Result<Option<Upload>> {
        let row = sqlx::query("SELECT * FROM uploads WHERE id = ?").bind(id.to_string());
        row.fetch_optional(self).await.map_err(failed)?.as_ref().map(codec::upload).transpose()
    }

    async fn insert_upload(&mut self, upload: &Upload) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO uploads (id, project, content_type, received_at, state, bytes, complete, job_id, room_sid, room_name)
             VALUES (?, ?, ?, ?, 'receiving', 0, 0, ?, ?, ?)",
        );
        let inserted = inserted.bind(upload.id.to_string()).bind(upload.project.as_str()).bind(&upload.content_type);
        let inserted = inserted.bind(upload.received_at.as_nanos()).bind(&upload.job_id).bind(&upload.room_sid);
        inserted.bind(&upload.room_name).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_sealed(&mut self, id: UploadId, sealed: Sealed) -> Result<()> {
        let set = sqlx::query("UPDATE uploads SET bytes = ?, complete = ? WHERE id = ?").bind(integer(sealed.bytes));
        set.bind(sealed.complete).bind(id.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_upload_state(&mut self, id: UploadId, state: UploadState, reason: Option<&str>) -> Result<()> {
        let set = sqlx::query("UPDATE uploads SET state = ?, reason = ? WHERE id = ?").bind(state.as_str());
        set.bind(reason).bind(id.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_released(&mut self, id: UploadId) -> Result<()> {
        let set = sqlx::query("UPDATE uploads SET is_released = 1 WHERE id = ?").bind(id.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_session(&mut self, id: UploadId, session: &SessionIds, room_name: Option<&str>) -> Result<()> {
        let set =
            sqlx::query("UPDATE uploads SET job_id = ?, room_sid = ?, room_name = coalesce(?, room_name) WHERE id = ?");
        let set = set.bind(&session.job_id).bind(&session.room_sid).bind(room_name).bind(id.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn delete_upload(&mut self, id: UploadId) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM uploads WHERE id = ?").bind(id.to_string());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }
}
