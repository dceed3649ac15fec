//! Implements `OnceRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::rows::{OnceRows, StoredRequest};
use crate::sqlite::codec::Reader;
use crate::{Error, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look an Idempotency-Key up", error)
}

fn request(row: &SqliteRow) -> Result<StoredRequest> {
    let row = Reader::new("idempotency", row);
    Ok(StoredRequest {
        project: row.project()?,
        key: row.text("id")?,
        asked: row.text("asked")?,
        recording: row.parse("recording")?,
        at: row.time("at")?,
    })
}

#[async_trait]
impl OnceRows for SqliteConnection {
    async fn request(&mut self, project: &ProjectId, key: &str, after: WallTime) -> Result<Option<StoredRequest>> {
        let row = sqlx::query("SELECT *, key AS id FROM idempotency WHERE project = ? AND key = ? AND at > ?");
        let row = row.bind(project.as_str()).bind(key).bind(after.as_nanos()).fetch_optional(self).await;
        row.map_err(failed)?.as_ref().map(request).transpose()
    }

    async fn insert_request(&mut self, request: &StoredRequest) -> Result<()> {
        let inserted =
            sqlx::query("INSERT INTO idempotency (project, key, asked, recording, at) VALUES (?, ?, ?, ?, ?)");
        let inserted = inserted.bind(request.project.as_str()).bind(&request.key).bind(&request.asked);
        let inserted = inserted.bind(request.recording.to_string()).bind(request.at.as_nanos());
        inserted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn forget_requests(&mut self, until: WallTime) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM idempotency WHERE at <= ?").bind(until.as_nanos());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn requests_without(&mut self, prefix: &str) -> Result<Vec<StoredRequest>> {
        let rows = sqlx::query("SELECT *, key AS id FROM idempotency WHERE substr(key, 1, length(?1)) <> ?1");
        rows.bind(prefix).fetch_all(self).await.map_err(failed)?.iter().map(request).collect()
    }

    async fn replace_request(&mut self, old: &StoredRequest, key: &str, asked: &str) -> Result<()> {
        let set = sqlx::query("UPDATE idempotency SET key = ?, asked = ? WHERE project = ? AND key = ?");
        let set = set.bind(key).bind(asked).bind(old.project.as_str()).bind(&old.key);
        set.execute(self).await.map(|_| ()).map_err(failed)
    }
}
