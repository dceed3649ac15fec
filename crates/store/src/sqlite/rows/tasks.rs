//! Implements `TaskRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::NodeId;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use crate::rows::TaskRows;
use crate::sqlite::codec::{Reader, integer};
use crate::{Claim, Error, Failure, Lease, NewTask, Result, TaskKind};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a task", error)
}

/// A smaller number is more urgent.
fn urgency(kind: TaskKind) -> i64 {
    TaskKind::ALL.iter().position(|known| *known == kind).map_or(i64::MAX, |at| at as i64)
}

#[async_trait]
impl TaskRows for SqliteConnection {
    async fn insert_task(&mut self, task: &NewTask) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO tasks (id, kind, urgency, payload, run_at, generation, attempts, dead)
             VALUES (?, ?, ?, ?, ?, 0, 0, 0) ON CONFLICT (kind, payload) WHERE dead = 0 DO NOTHING",
        );
        let inserted = inserted.bind(task.id.to_string()).bind(task.kind.as_str()).bind(urgency(task.kind));
        let inserted = inserted.bind(&task.payload).bind(task.run_at.as_nanos());
        inserted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn claim_task(
        &mut self,
        kind: TaskKind,
        owner: NodeId,
        now: WallTime,
        lease_until: WallTime,
    ) -> Result<Option<Claim>> {
        let row = sqlx::query(
            "UPDATE tasks SET generation = generation + 1, attempts = attempts + 1, lease_until = ?1, owner = ?4
             WHERE id = (SELECT id FROM tasks
                         WHERE dead = 0 AND urgency = ?2 AND run_at <= ?3 AND (lease_until IS NULL OR lease_until <= ?3)
                         ORDER BY run_at LIMIT 1)
             RETURNING id, payload, generation, attempts",
        );
        let row = row.bind(lease_until.as_nanos()).bind(urgency(kind)).bind(now.as_nanos()).bind(owner.to_string());
        let row = row.fetch_optional(self).await.map_err(|error| Error::from_sqlx("claim a task", error))?;
        let Some(row) = row else { return Ok(None) };
        let row = Reader::new("tasks", &row);
        let lease = Lease { task: row.parse("id")?, generation: row.number("generation")? };
        Ok(Some(Claim { lease, kind, payload: row.text("payload")?, attempts: row.number("attempts")? }))
    }

    async fn has_task(&mut self, kind: TaskKind, now: WallTime) -> Result<bool> {
        let found = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM tasks WHERE dead = 0 AND urgency = ? AND run_at <= ?)",
        );
        found.bind(urgency(kind)).bind(now.as_nanos()).fetch_one(self).await.map_err(failed)
    }

    async fn prolong_task(&mut self, lease: &Lease, until: WallTime) -> Result<bool> {
        let set = sqlx::query("UPDATE tasks SET lease_until = ? WHERE id = ? AND generation = ? AND dead = 0");
        let set = set.bind(until.as_nanos()).bind(lease.task.to_string()).bind(integer(lease.generation));
        Ok(set.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn delete_task(&mut self, lease: &Lease) -> Result<bool> {
        let deleted = sqlx::query("DELETE FROM tasks WHERE id = ? AND generation = ? AND dead = 0");
        let deleted = deleted.bind(lease.task.to_string()).bind(integer(lease.generation));
        Ok(deleted.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn fail_task(&mut self, lease: &Lease, failure: &Failure) -> Result<bool> {
        let set = sqlx::query(
            "UPDATE tasks SET lease_until = NULL, run_at = coalesce(?, run_at), dead = ?, last_error = ?
             WHERE id = ? AND generation = ? AND dead = 0",
        );
        let set = set.bind(failure.retry_at.map(WallTime::as_nanos)).bind(failure.retry_at.is_none());
        let set = set.bind(&failure.reason).bind(lease.task.to_string()).bind(integer(lease.generation));
        Ok(set.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn end_leases_of(&mut self, owner: NodeId) -> Result<()> {
        let set = sqlx::query("UPDATE tasks SET lease_until = NULL WHERE dead = 0 AND owner = ?");
        set.bind(owner.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }
}
