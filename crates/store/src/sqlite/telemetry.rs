//! Telemetry (OTLP requests), on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::codec::{Reader, integer, json};
use super::{SqliteStore, objects, tombstones};
use crate::{Error, Result, SessionFacts, SessionIds, Telemetry, TelemetryRequest};

const ACTION: &str = "keep telemetry";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
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

/// Fills in what a recording does not know yet; what it knows stays.
pub(super) async fn fill_facts(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    facts: &SessionFacts,
) -> Result<()> {
    sqlx::query(
        "UPDATE recordings SET room_name = coalesce(room_name, ?), agent_name = coalesce(agent_name, ?),
                tags = iif(tags = '[]', ?, tags), simulated = max(simulated, ?) WHERE id = ? AND deletion = 'none'",
    )
    .bind(&facts.room_name)
    .bind(&facts.agent_name)
    .bind(json(&facts.tags))
    .bind(facts.simulated)
    .bind(recording.to_string())
    .execute(connection)
    .await
    .map_err(failed)?;
    Ok(())
}

/// Stores a request; false when nothing may be kept of its session (any more).
async fn add(connection: &mut SqliteConnection, request: TelemetryRequest) -> Result<bool> {
    let session = SessionIds { job_id: request.job_id.clone(), room_sid: request.room_sid.clone(), started_at: None };
    if tombstones::gone(&mut *connection, &request.project, &session).await?.is_some() {
        return Ok(false);
    }
    sqlx::query(
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
    .execute(&mut *connection)
    .await
    .map_err(failed)?;
    objects::make_live(connection, &request.key, request.received_at).await?;
    for recording in recordings(&mut *connection, &request).await? {
        fill_facts(connection, recording, &request.facts).await?;
    }
    Ok(true)
}

/// The recordings that have the session of a request: its room's and its own. Before it has either, the one that captures its room.
async fn recordings(connection: &mut SqliteConnection, request: &TelemetryRequest) -> Result<Vec<RecordingId>> {
    let rows = sqlx::query(
        "WITH of_job AS (SELECT DISTINCT recording AS id FROM captures WHERE project = ?1 AND job_id = ?2)
         SELECT id FROM of_job UNION ALL
         SELECT id FROM recordings WHERE NOT EXISTS (SELECT 1 FROM of_job) AND project = ?1 AND room_sid = ?3
         AND deletion = 'none' AND id IN (SELECT recording FROM live)",
    );
    let rows = rows.bind(request.project.as_str()).bind(&request.job_id).bind(&request.room_sid);
    let rows = rows.fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
}

async fn replace(
    connection: &mut SqliteConnection,
    id: UploadId,
    new: Option<(ObjectKey, u64)>,
    now: WallTime,
) -> Result<()> {
    let old = sqlx::query_scalar::<_, String>("SELECT key FROM telemetry WHERE id = ?").bind(id.to_string());
    let Some(old) = old.fetch_optional(&mut *connection).await.map_err(failed)? else { return Ok(()) };
    objects::condemn(connection, &old, now).await?;
    let changed = match &new {
        Some((key, bytes)) => {
            objects::make_live(connection, key, now).await?;
            let set = sqlx::query("UPDATE telemetry SET key = ?, bytes = ? WHERE id = ?");
            set.bind(key.as_str()).bind(integer(*bytes)).bind(id.to_string())
        }
        None => sqlx::query("DELETE FROM telemetry WHERE id = ?").bind(id.to_string()),
    };
    changed.execute(connection).await.map_err(failed)?;
    Ok(())
}

#[async_trait]
impl Telemetry for SqliteStore {
    async fn add_telemetry(&self, request: &TelemetryRequest) -> Result<bool> {
        let request = request.clone();
        self.write(ACTION, move |connection| Box::pin(async move { add(connection, request).await })).await
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
        rows.map_err(|e| Error::from_sqlx("read telemetry", e))?.iter().map(request).collect()
    }

    async fn telemetry_of_recording(&self, recording: RecordingId) -> Result<Vec<TelemetryRequest>> {
        let rows = sqlx::query(
            "SELECT * FROM telemetry WHERE (project, room_sid) IN (SELECT project, room_sid FROM recordings WHERE id = ?1)
             OR (project, job_id) IN (SELECT project, job_id FROM captures WHERE recording = ?1) ORDER BY received_at, id",
        );
        let rows = rows.bind(recording.to_string()).fetch_all(&self.readers).await;
        rows.map_err(|e| Error::from_sqlx("read telemetry", e))?.iter().map(request).collect()
    }

    async fn replace_telemetry(&self, id: UploadId, new: Option<(ObjectKey, u64)>, now: WallTime) -> Result<()> {
        self.write("replace telemetry", move |connection| {
            Box::pin(async move { replace(connection, id, new, now).await })
        })
        .await
    }
}
