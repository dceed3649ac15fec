//! Implements `Telemetry` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::Reader;
use crate::{Error, Result, SessionFacts, Telemetry, TelemetryRequest, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read telemetry", error)
}

fn request(row: &SqliteRow) -> Result<TelemetryRequest> {
    let row = Reader::new("telemetry", row);
    Ok(TelemetryRequest {
        id: row.parse("id")?,
        project: row.project()?,
        signal: row.text("signal")?,
        job_id: row.maybe_text("job_id")?,
        room_sid: row.maybe_text("room_sid")?,
        key: row.parse("key")?,
        bytes: row.number("bytes")?,
        received_at: row.time("received_at")?,
        facts: row.json("facts")?,
    })
}

#[async_trait]
impl Telemetry for SqliteStore {
    async fn add_telemetry(&self, request: &TelemetryRequest) -> Result<bool> {
        let request = request.clone();
        self.write("keep telemetry", move |rows| Box::pin(async move { rules::telemetry::add(rows, &request).await }))
            .await
    }

    async fn session_facts(&self, project: &ProjectId, job_id: &str) -> Result<SessionFacts> {
        let mut facts = SessionFacts::default();
        for request in self.telemetry_of(project, job_id).await? {
            facts.room_name = facts.room_name.or(request.facts.room_name);
            facts.agent_name = facts.agent_name.or(request.facts.agent_name);
            facts.sdk_version = facts.sdk_version.or(request.facts.sdk_version);
            if facts.tags.is_empty() {
                facts.tags = request.facts.tags;
            }
        }
        Ok(facts)
    }

    async fn telemetry_of(&self, project: &ProjectId, job_id: &str) -> Result<Vec<TelemetryRequest>> {
        let rows = sqlx::query("SELECT * FROM telemetry WHERE project = ? AND job_id = ? ORDER BY received_at, id");
        let rows = rows.bind(project.as_str()).bind(job_id).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(request).collect()
    }

    async fn telemetry_of_recording(&self, recording: RecordingId) -> Result<Vec<TelemetryRequest>> {
        let rows = sqlx::query(
            "SELECT * FROM telemetry WHERE (project, room_sid) IN (SELECT project, room_sid FROM recordings WHERE id = ?1)
             OR (project, job_id) IN (SELECT project, job_id FROM captures WHERE recording = ?1) ORDER BY received_at, id",
        );
        let rows = rows.bind(recording.to_string()).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(request).collect()
    }

    async fn replace_telemetry(&self, id: UploadId, new: Option<(ObjectKey, u64)>, now: WallTime) -> Result<()> {
        self.write("replace telemetry", move |rows| {
            Box::pin(async move { rules::telemetry::replace(rows, id, new, now).await })
        })
        .await
    }
}
