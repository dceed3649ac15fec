//! Implements `InboxRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::RecordingId;
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use crate::rows::InboxRows;
use crate::sqlite::events::{answer_word, body, event, kind, origin_word};
use crate::{Answer, Error, Event, EventId, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change the inbox", error)
}

#[async_trait]
impl InboxRows for SqliteConnection {
    async fn is_event_done(&mut self, id: &EventId) -> Result<Option<bool>> {
        let done =
            sqlx::query_scalar::<_, bool>("SELECT due IS NULL FROM inbox WHERE project = ? AND source = ? AND id = ?");
        let done = done.bind(id.project.as_str()).bind(origin_word(id.origin)).bind(&id.id);
        done.fetch_optional(self).await.map_err(failed)
    }

    async fn insert_event(&mut self, event: &Event, due: Option<WallTime>) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO inbox (project, source, id, kind, recording, room_sid, room_name, body, asked_by, created_at,
                                received_at, attempts, due)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
        )
        .bind(event.id.project.as_str())
        .bind(origin_word(event.id.origin))
        .bind(&event.id.id)
        .bind(kind(&event.what))
        .bind(event.recording.map(|id| id.to_string()))
        .bind(&event.room_sid)
        .bind(&event.room_name)
        .bind(body(&event.what))
        .bind(&event.asked_by)
        .bind(event.created_at.map(WallTime::as_nanos))
        .bind(event.received_at.as_nanos())
        .bind(due.map(WallTime::as_nanos))
        .execute(self)
        .await;
        inserted.map(|_| ()).map_err(failed)
    }

    async fn renew_event(&mut self, event: &Event, due: WallTime) -> Result<()> {
        let set = sqlx::query(
            "UPDATE inbox SET room_name = ?, received_at = ?, attempts = 0, due = ?, outcome = NULL
             WHERE project = ? AND source = ? AND id = ?",
        );
        let set = set.bind(&event.room_name).bind(event.received_at.as_nanos()).bind(due.as_nanos());
        let set = set.bind(event.id.project.as_str()).bind(origin_word(event.id.origin)).bind(&event.id.id);
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn finish_event(&mut self, id: &EventId, answer: Option<Answer>) -> Result<()> {
        let set = sqlx::query(
            "UPDATE inbox SET due = NULL, body = '', outcome = ? WHERE project = ? AND source = ? AND id = ?
             AND due IS NOT NULL",
        );
        let set = set.bind(answer.map(answer_word)).bind(id.project.as_str()).bind(origin_word(id.origin)).bind(&id.id);
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn put_event_off(&mut self, id: &EventId, due: WallTime) -> Result<()> {
        let set = sqlx::query(
            "UPDATE inbox SET due = ?, attempts = attempts + 1 WHERE project = ? AND source = ? AND id = ?
             AND due IS NOT NULL",
        );
        let set = set.bind(due.as_nanos()).bind(id.project.as_str()).bind(origin_word(id.origin)).bind(&id.id);
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn asked_of_recording(&mut self, recording: RecordingId) -> Result<Vec<Event>> {
        let rows = sqlx::query(
            "SELECT * FROM inbox WHERE recording = ? AND source = 'api' AND due IS NOT NULL ORDER BY received_at, id",
        );
        rows.bind(recording.to_string()).fetch_all(self).await.map_err(failed)?.iter().map(event).collect()
    }
}
