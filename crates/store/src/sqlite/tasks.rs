//! The queue of background tasks, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::TaskId;
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::codec::{Reader, integer};
use crate::{Claim, Error, Failure, Lease, NewTask, Result, TaskCounts, TaskKind, Tasks};

const ACTION: &str = "change a task";

fn kind(word: &str) -> Option<TaskKind> {
    TaskKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

/// A smaller number is more urgent.
fn urgency(kind: TaskKind) -> i64 {
    TaskKind::ALL.iter().position(|known| *known == kind).map_or(i64::MAX, |at| at as i64)
}

pub(super) async fn insert(connection: &mut SqliteConnection, task: &NewTask) -> Result<()> {
    sqlx::query(
        "INSERT INTO tasks (id, kind, urgency, payload, run_at, generation, attempts, dead)
         VALUES (?, ?, ?, ?, ?, 0, 0, 0) ON CONFLICT (kind, payload) WHERE dead = 0 DO NOTHING",
    )
    .bind(task.id.to_string())
    .bind(task.kind.as_str())
    .bind(urgency(task.kind))
    .bind(&task.payload)
    .bind(task.run_at.as_nanos())
    .execute(connection)
    .await
    .map_err(|error| Error::from_sqlx(ACTION, error))?;
    Ok(())
}

/// Queues a task that follows from what was written, unless an open one of the same kind and payload exists.
pub(super) async fn queue(
    connection: &mut SqliteConnection,
    kind: TaskKind,
    payload: String,
    now: WallTime,
) -> Result<()> {
    let id = effect_id(kind, &payload, now);
    insert(connection, &NewTask { id, kind, payload, run_at: now }).await
}

/// The id of such a task, made from its kind, payload and time: nothing here may use randomness.
fn effect_id(kind: TaskKind, payload: &str, now: WallTime) -> TaskId {
    let digest = Sha256::digest(format!("{}\n{payload}\n{}", kind.as_str(), now.as_nanos()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    TaskId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Deletes the task of a lease that is still ours; otherwise `LeaseLost`, which rolls the caller's transaction back.
pub(super) async fn finish(connection: &mut SqliteConnection, lease: Lease) -> Result<()> {
    let done = sqlx::query("DELETE FROM tasks WHERE id = ? AND generation = ? AND dead = 0")
        .bind(lease.task.to_string())
        .bind(integer(lease.generation))
        .execute(connection)
        .await
        .map_err(|error| Error::from_sqlx(ACTION, error))?;
    held(done.rows_affected(), lease)
}

fn held(rows: u64, lease: Lease) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::LeaseLost(lease.task)) }
}

async fn claim_one(
    connection: &mut SqliteConnection,
    kinds: &[TaskKind],
    now: WallTime,
    lease_until: WallTime,
) -> Result<Option<Claim>> {
    let failed = |error| Error::from_sqlx("claim a task", error);
    let mut ordered = kinds.to_vec();
    ordered.sort_by_key(|kind| urgency(*kind));
    for wanted in ordered {
        let row = sqlx::query(
            "UPDATE tasks SET generation = generation + 1, attempts = attempts + 1, lease_until = ?1
             WHERE id = (SELECT id FROM tasks
                         WHERE dead = 0 AND urgency = ?2 AND run_at <= ?3 AND (lease_until IS NULL OR lease_until <= ?3)
                         ORDER BY run_at LIMIT 1)
             RETURNING id, kind, payload, generation, attempts",
        )
        .bind(lease_until.as_nanos())
        .bind(urgency(wanted))
        .bind(now.as_nanos())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
        if let Some(row) = row {
            let row = Reader::new("tasks", &row);
            let lease = Lease { task: row.parse("id")?, generation: row.number("generation")? };
            let payload = row.text("payload")?;
            return Ok(Some(Claim { lease, kind: wanted, payload, attempts: row.number("attempts")? }));
        }
    }
    Ok(None)
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn enqueue(&self, task: &NewTask) -> Result<()> {
        let task = task.clone();
        self.write("queue a task", move |connection| Box::pin(async move { insert(connection, &task).await })).await
    }

    async fn claim(&self, kinds: &[TaskKind], now: WallTime, lease_until: WallTime) -> Result<Option<Claim>> {
        // Reads first: while no task of any kind is due, an idle worker must not write.
        let due: Option<i64> = sqlx::query_scalar(
            "SELECT min(run_at) FROM tasks WHERE dead = 0 AND (lease_until IS NULL OR lease_until <= ?)",
        )
        .bind(now.as_nanos())
        .fetch_one(&self.readers)
        .await
        .map_err(|error| Error::from_sqlx("claim a task", error))?;
        if due.is_none_or(|due| due > now.as_nanos()) {
            return Ok(None);
        }
        let kinds = kinds.to_vec();
        self.write("claim a task", move |connection| {
            Box::pin(async move { claim_one(connection, &kinds, now, lease_until).await })
        })
        .await
    }

    async fn heartbeat(&self, lease: &Lease, until: WallTime) -> Result<()> {
        let lease = *lease;
        self.write("prolong a lease", move |connection| {
            Box::pin(async move {
                let done = sqlx::query("UPDATE tasks SET lease_until = ? WHERE id = ? AND generation = ? AND dead = 0")
                    .bind(until.as_nanos())
                    .bind(lease.task.to_string())
                    .bind(integer(lease.generation))
                    .execute(connection)
                    .await
                    .map_err(|error| Error::from_sqlx(ACTION, error))?;
                held(done.rows_affected(), lease)
            })
        })
        .await
    }

    async fn complete(&self, lease: &Lease) -> Result<()> {
        let lease = *lease;
        self.write("finish a task", move |connection| Box::pin(async move { finish(connection, lease).await })).await
    }

    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<()> {
        let (lease, failure) = (*lease, failure.clone());
        self.write("give a task back", move |connection| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE tasks SET lease_until = NULL, run_at = coalesce(?, run_at), dead = ?, last_error = ?
                     WHERE id = ? AND generation = ? AND dead = 0",
                )
                .bind(failure.retry_at.map(WallTime::as_nanos))
                .bind(failure.retry_at.is_none())
                .bind(&failure.reason)
                .bind(lease.task.to_string())
                .bind(integer(lease.generation))
                .execute(connection)
                .await
                .map_err(|error| Error::from_sqlx(ACTION, error))?;
                held(done.rows_affected(), lease)
            })
        })
        .await
    }

    async fn expire_leases(&self) -> Result<()> {
        self.write("expire leases", |connection| {
            Box::pin(async move {
                let done = sqlx::query("UPDATE tasks SET lease_until = NULL WHERE dead = 0").execute(connection).await;
                done.map(|_| ()).map_err(|error| Error::from_sqlx(ACTION, error))
            })
        })
        .await
    }

    async fn task_counts(&self) -> Result<Vec<TaskCounts>> {
        let rows = sqlx::query("SELECT kind AS id, sum(dead = 0) AS open, sum(dead) AS dead FROM tasks GROUP BY kind")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| Error::from_sqlx("count tasks", error))?;
        let mut counts: Vec<_> = TaskKind::ALL.map(|kind| TaskCounts { kind, open: 0, dead: 0 }).into();
        for row in &rows {
            let row = Reader::new("tasks", row);
            let word = row.text("id")?;
            if let Some(known) = kind(&word).and_then(|kind| counts.iter_mut().find(|count| count.kind == kind)) {
                (known.open, known.dead) = (row.number("open")?, row.number("dead")?);
            }
        }
        Ok(counts)
    }
}
