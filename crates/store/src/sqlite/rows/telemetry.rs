//! Implements `TelemetryRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use sqlx::SqliteConnection;

use crate::rows::TelemetryRows;
use crate::sqlite::codec::{Reader, integer, json};
use crate::{Error, Result, TelemetryRequest};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("keep telemetry", error)
}

#[async_trait]
impl TelemetryRows for SqliteConnection {
    async fn insert_telemetry(&mut self, request: &TelemetryRequest) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO telemetry (id, project, signal, job_id, room_sid, key, bytes, received_at, facts)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(request.id.to_string())
        .bind(request.project.as_str())
        .bind(&request.signal)
        .bind(&request.job_id)
        .bind(&request.room_sid)
        .bind(request.key.as_str())
        .bind(integer(request.bytes))
        .bind(request.received_at.as_nanos())
        .bind(json(&request.facts))
        .execute(self)
        .await;
        inserted.map(|_| ()).map_err(failed)
    }

    async fn recordings_of_request(&mut self, request: &TelemetryRequest) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "WITH of_job AS (SELECT DISTINCT recording AS id FROM captures WHERE project = ?1 AND job_id = ?2)
             SELECT id FROM of_job UNION ALL
             SELECT id FROM recordings WHERE NOT EXISTS (SELECT 1 FROM of_job) AND project = ?1 AND room_sid = ?3
             AND deletion = 'none' AND id IN (SELECT recording FROM rooms)",
        );
        let rows = rows.bind(request.project.as_str()).bind(&request.job_id).bind(&request.room_sid);
        let rows = rows.fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
    }

    async fn telemetry_object(&mut self, id: UploadId) -> Result<Option<ObjectKey>> {
        let row = sqlx::query("SELECT id, key FROM telemetry WHERE id = ?").bind(id.to_string());
        let row = row.fetch_optional(self).await.map_err(failed)?;
        row.map(|row| Reader::new("telemetry", &row).parse("key")).transpose()
    }

    async fn set_telemetry_object(&mut self, id: UploadId, key: &ObjectKey, bytes: u64) -> Result<()> {
        let set = sqlx::query("UPDATE telemetry SET key = ?, bytes = ? WHERE id = ?").bind(key.as_str());
        set.bind(integer(bytes)).bind(id.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn delete_telemetry(&mut self, id: UploadId) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM telemetry WHERE id = ?").bind(id.to_string());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn delete_telemetry_in(&mut self, key: &ObjectKey) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM telemetry WHERE key = ?").bind(key.as_str());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }
}
