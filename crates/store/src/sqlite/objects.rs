//! The rows of objects (announced, live, condemned), on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::codec::Reader;
use crate::{Error, Objects, Purpose, Result, SweepCandidate};

const ACTION: &str = "change an object's row";

fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Upload => "upload",
        Purpose::Log => "log",
        Purpose::Segment => "segment",
        Purpose::Analysis => "analysis",
        Purpose::Telemetry => "telemetry",
        Purpose::Quarantine => "quarantine",
    }
}

pub(super) async fn announce(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    recording: Option<RecordingId>,
    purpose: Purpose,
    key: &ObjectKey,
    now: WallTime,
) -> Result<()> {
    if let Some(recording) = recording {
        refuse_deleted(connection, recording).await?;
    }
    sqlx::query(
        "INSERT INTO objects (key, project, recording, purpose, state, since) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET state = excluded.state, since = excluded.since WHERE state <> 'live'",
    )
    .bind(key.as_str())
    .bind(project.as_str())
    .bind(recording.map(|id| id.to_string()))
    .bind(word(purpose))
    .bind(if purpose == Purpose::Log { "live" } else { "announced" })
    .bind(now.as_nanos())
    .execute(connection)
    .await
    .map_err(|error| Error::from_sqlx(ACTION, error))?;
    Ok(())
}

/// The fence of a deletion: once the transaction that requested it has committed, nothing is announced for the recording.
async fn refuse_deleted(connection: &mut SqliteConnection, recording: RecordingId) -> Result<()> {
    let deleted: Option<i64> = sqlx::query_scalar("SELECT deletion <> 'none' FROM recordings WHERE id = ?")
        .bind(recording.to_string())
        .fetch_optional(connection)
        .await
        .map_err(|error| Error::from_sqlx(ACTION, error))?;
    if deleted == Some(1) { Err(Error::Deleted(recording)) } else { Ok(()) }
}

/// From now on something needs the object. An object without a row was never announced: a defect of the caller.
pub(super) async fn make_live(connection: &mut SqliteConnection, key: &ObjectKey, now: WallTime) -> Result<()> {
    let done = set_state(connection, key.as_str(), "live", now).await?;
    if done == 1 { Ok(()) } else { Err(Error::NotFound(format!("the announcement of object {key}"))) }
}

/// Nothing needs the object any more.
pub(super) async fn condemn(connection: &mut SqliteConnection, key: &str, now: WallTime) -> Result<()> {
    set_state(connection, key, "condemned", now).await.map(|_| ())
}

async fn set_state(connection: &mut SqliteConnection, key: &str, state: &str, now: WallTime) -> Result<u64> {
    let done = sqlx::query("UPDATE objects SET state = ?, since = ? WHERE key = ?")
        .bind(state)
        .bind(now.as_nanos())
        .bind(key)
        .execute(connection)
        .await
        .map_err(|error| Error::from_sqlx(ACTION, error))?;
    Ok(done.rows_affected())
}

#[async_trait]
impl Objects for SqliteStore {
    async fn announce(
        &self,
        project: &ProjectId,
        recording: Option<RecordingId>,
        purpose: Purpose,
        keys: &[ObjectKey],
        now: WallTime,
    ) -> Result<()> {
        let (project, keys) = (project.clone(), keys.to_vec());
        self.write("announce objects", move |connection| {
            Box::pin(async move {
                for key in &keys {
                    announce(connection, &project, recording, purpose, key, now).await?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn sweepable(&self, condemned: WallTime, announced: WallTime, limit: u32) -> Result<Vec<SweepCandidate>> {
        let rows = sqlx::query(
            "SELECT key AS id FROM objects
             WHERE (state = 'condemned' AND since < ?) OR (state = 'announced' AND since < ?) ORDER BY since LIMIT ?",
        )
        .bind(condemned.as_nanos())
        .bind(announced.as_nanos())
        .bind(limit)
        .fetch_all(&self.readers)
        .await
        .map_err(|error| Error::from_sqlx("look for unneeded objects", error))?;
        rows.iter().map(|row| Ok(SweepCandidate { key: Reader::new("objects", row).parse("id")? })).collect()
    }

    async fn swept(&self, keys: &[ObjectKey]) -> Result<Vec<ObjectKey>> {
        let keys = keys.to_vec();
        self.write("forget objects", move |connection| {
            Box::pin(async move {
                let mut forgotten = Vec::with_capacity(keys.len());
                for key in keys {
                    let done = sqlx::query("DELETE FROM objects WHERE key = ? AND state <> 'live'")
                        .bind(key.as_str())
                        .execute(&mut *connection)
                        .await
                        .map_err(|error| Error::from_sqlx(ACTION, error))?;
                    if done.rows_affected() == 1 {
                        forgotten.push(key);
                    }
                }
                Ok(forgotten)
            })
        })
        .await
    }
}
