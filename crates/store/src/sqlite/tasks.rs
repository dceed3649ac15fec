//! Implements `Tasks` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::NodeId;
use echosphere_domain::time::WallTime;

use super::SqliteStore;
use super::codec::Reader;
use crate::rows::TaskRows;
use crate::{Claim, Error, Failure, Lease, NewTask, Result, TaskCounts, TaskKind, Tasks, rules};

fn kind(word: &str) -> Option<TaskKind> {
    TaskKind::ALL.into_iter().find(|kind| kind.as_str() == word)
}

#[async_trait]
impl Tasks for SqliteStore {
    async fn enqueue(&self, task: &NewTask) -> Result<()> {
        let task = task.clone();
        self.write("queue a task", move |rows| Box::pin(async move { rows.insert_task(&task).await })).await
    }

    async fn claim(
        &self,
        kinds: &[TaskKind],
        owner: NodeId,
        now: WallTime,
        lease_until: WallTime,
    ) -> Result<Option<Claim>> {
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
        self.write("claim a task", move |rows| {
            Box::pin(async move { rules::tasks::claim(rows, &kinds, owner, now, lease_until).await })
        })
        .await
    }

    async fn heartbeat(&self, lease: &Lease, until: WallTime) -> Result<()> {
        let lease = *lease;
        self.write("prolong a lease", move |rows| {
            Box::pin(async move { rules::tasks::prolong(rows, &lease, until).await })
        })
        .await
    }

    async fn complete(&self, lease: &Lease) -> Result<()> {
        let lease = *lease;
        self.write("finish a task", move |rows| Box::pin(async move { rules::tasks::finish(rows, &lease).await })).await
    }

    async fn fail(&self, lease: &Lease, failure: &Failure) -> Result<()> {
        let (lease, failure) = (*lease, failure.clone());
        self.write("give a task back", move |rows| {
            Box::pin(async move { rules::tasks::fail(rows, &lease, &failure).await })
        })
        .await
    }

    async fn release_tasks(&self, owner: NodeId) -> Result<()> {
        self.write("release tasks", move |rows| Box::pin(async move { rows.end_leases_of(owner).await })).await
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
