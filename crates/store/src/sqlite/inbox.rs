//! Implements `Inbox` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::NodeId;
use echosphere_domain::time::WallTime;

use super::SqliteStore;
use super::events::{self, origin_word};
use crate::rows::InboxRows;
use crate::{Answer, Applied, Error, Event, EventId, Inbox, Result, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read the inbox", error)
}

#[async_trait]
impl Inbox for SqliteStore {
    async fn apply(&self, event: &Event, now: WallTime) -> Result<Applied> {
        let event = event.clone();
        self.write("keep an event", move |rows| Box::pin(async move { rules::apply::apply(rows, &event, now).await }))
            .await
    }

    async fn due_events(&self, now: WallTime, limit: u32) -> Result<Vec<Event>> {
        let rows =
            sqlx::query("SELECT * FROM inbox WHERE source <> 'api' AND due <= ? ORDER BY received_at, id LIMIT ?");
        let rows = rows.bind(now.as_nanos()).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(events::event).collect()
    }

    async fn asked_of(&self, owner: NodeId, limit: u32) -> Result<Vec<Event>> {
        let rows = sqlx::query(
            "SELECT inbox.* FROM inbox JOIN rooms ON rooms.recording = inbox.recording
             WHERE inbox.source = 'api' AND inbox.due IS NOT NULL AND rooms.owner = ?
             ORDER BY inbox.received_at, inbox.id LIMIT ?",
        );
        let rows = rows.bind(owner.to_string()).bind(limit).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(events::event).collect()
    }

    async fn open_events(&self) -> Result<u64> {
        let count = sqlx::query_scalar("SELECT count(*) FROM inbox WHERE source <> 'api' AND due IS NOT NULL");
        let count: i64 = count.fetch_one(&self.readers).await.map_err(failed)?;
        Ok(count.unsigned_abs())
    }

    async fn event_done(&self, id: &EventId, answer: Option<Answer>) -> Result<()> {
        let id = id.clone();
        self.write("finish an event", move |rows| Box::pin(async move { rows.finish_event(&id, answer).await })).await
    }

    async fn event_failed(&self, id: &EventId, due: WallTime) -> Result<()> {
        let id = id.clone();
        self.write("put an event off", move |rows| Box::pin(async move { rows.put_event_off(&id, due).await })).await
    }

    async fn answer(&self, id: &EventId) -> Result<Option<Answer>> {
        let word = sqlx::query_scalar::<_, Option<String>>(
            "SELECT outcome FROM inbox WHERE project = ? AND source = ? AND id = ?",
        );
        let word = word.bind(id.project.as_str()).bind(origin_word(id.origin)).bind(&id.id);
        let word = word.fetch_optional(&self.readers).await.map_err(failed)?.flatten();
        Ok(word.as_deref().and_then(events::answer))
    }

    async fn forget_events(&self, before: WallTime) -> Result<u64> {
        self.write("forget events", move |connection| {
            Box::pin(async move {
                let gone = sqlx::query("DELETE FROM inbox WHERE due IS NULL AND received_at < ?");
                let gone = gone.bind(before.as_nanos()).execute(connection).await.map_err(failed)?;
                Ok(gone.rows_affected())
            })
        })
        .await
    }

    async fn time_passed(&self, now: WallTime) -> Result<u64> {
        self.write("begin deletions that are due", move |rows| {
            Box::pin(async move { rules::deletion::time_passed(rows, now).await })
        })
        .await
    }
}
