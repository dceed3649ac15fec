//! The inbox of LiveKit's webhooks, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;

use super::codec::Reader;
use super::{SqliteStore, tombstones};
use crate::{Error, Inbox, Result, Webhook};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change the inbox", error)
}

fn webhook(row: &SqliteRow) -> Result<Webhook> {
    let row = Reader::new("webhooks", row);
    Ok(Webhook {
        project: row.project()?,
        id: row.text("id")?,
        event: row.text("event")?,
        room_sid: row.text("room_sid")?,
        room_name: row.text("room_name")?,
        created_at: row.maybe_time("created_at")?,
        received_at: row.time("received_at")?,
        body: row.text("body")?,
        attempts: row.number("attempts")?,
    })
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn receive_webhook(&self, webhook: &Webhook) -> Result<bool> {
        let webhook = webhook.clone();
        self.write("keep a webhook", move |connection| {
            Box::pin(async move {
                let mut webhook = webhook;
                if tombstones::room_gone(&mut *connection, &webhook.project, &webhook.room_sid).await? {
                    // Its content is of no use any more; that it was received is remembered for a day.
                    (webhook.room_name, webhook.body) = (String::new(), String::new());
                }
                let kept = sqlx::query(
                    "INSERT INTO webhooks (project, id, event, room_sid, room_name, created_at, received_at, body, attempts, due)
                     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (project, id) DO NOTHING",
                )
                .bind(webhook.project.as_str())
                .bind(&webhook.id)
                .bind(&webhook.event)
                .bind(&webhook.room_sid)
                .bind(&webhook.room_name)
                .bind(webhook.created_at.map(WallTime::as_nanos))
                .bind(webhook.received_at.as_nanos())
                .bind(&webhook.body)
                .bind(webhook.received_at.as_nanos())
                .execute(connection)
                .await
                .map_err(failed)?;
                Ok(kept.rows_affected() > 0)
            })
        })
        .await
    }

    async fn due_webhooks(&self, now: WallTime, limit: u32) -> Result<Vec<Webhook>> {
        let rows = sqlx::query("SELECT * FROM webhooks WHERE due <= ? ORDER BY received_at, id LIMIT ?");
        let rows = rows.bind(now.as_nanos()).bind(limit).fetch_all(&self.readers).await;
        rows.map_err(|error| Error::from_sqlx("read the inbox", error))?.iter().map(webhook).collect()
    }

    async fn open_webhooks(&self) -> Result<u64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM webhooks WHERE due IS NOT NULL");
        let count: i64 = count.fetch_one(&self.readers).await.map_err(failed)?;
        Ok(count.unsigned_abs())
    }

    async fn webhook_done(&self, project: &ProjectId, id: &str) -> Result<()> {
        let (project, id) = (project.clone(), id.to_owned());
        self.write("finish a webhook", move |connection| {
            Box::pin(async move {
                let set = sqlx::query("UPDATE webhooks SET due = NULL, body = '' WHERE project = ? AND id = ?");
                set.bind(project.as_str()).bind(id).execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn webhook_failed(&self, project: &ProjectId, id: &str, due: WallTime) -> Result<()> {
        let (project, id) = (project.clone(), id.to_owned());
        self.write("put a webhook off", move |connection| {
            Box::pin(async move {
                let set =
                    sqlx::query("UPDATE webhooks SET due = ?, attempts = attempts + 1 WHERE project = ? AND id = ? AND due IS NOT NULL");
                let set = set.bind(due.as_nanos()).bind(project.as_str()).bind(id);
                set.execute(connection).await.map_err(failed)?;
                Ok(())
            })
        })
        .await
    }

    async fn forget_webhooks(&self, before: WallTime) -> Result<u64> {
        self.write("forget webhooks", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM webhooks WHERE due IS NULL AND received_at < ?");
                let gone = gone.bind(before.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }
}
