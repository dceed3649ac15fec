//! Implements `TurnRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::CaptureId;
use echosphere_domain::transcript::Turn;
use sqlx::SqliteConnection;

use crate::rows::TurnRows;
use crate::sqlite::codec::{integer, json};
use crate::{Error, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change the turns of a transcript", error)
}

/// How many turns a statement inserts.
const AT_ONCE: usize = 1_000;

#[async_trait]
impl TurnRows for SqliteConnection {
    async fn delete_turns(&mut self, capture: CaptureId) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM turns WHERE capture = ?").bind(capture.to_string());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn insert_turns(&mut self, capture: CaptureId, turns: &[Turn]) -> Result<()> {
        for (some, first) in turns.chunks(AT_ONCE).zip((0..).step_by(AT_ONCE)) {
            let insert =
                sqlx::query("INSERT INTO turns (capture, seq, turn) SELECT ?1, ?2 + key, value FROM json_each(?3)");
            let insert = insert.bind(capture.to_string()).bind(integer(first)).bind(json(some));
            insert.execute(&mut *self).await.map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use echosphere_domain::id::RecordingId;
    use echosphere_domain::time::WallTime;
    use echosphere_domain::transcript::{Kind, Role};
    use uuid::Uuid;

    use super::*;
    use crate::{rules, sqlite};

    /// What the story cannot see: the transcript of a superseded capture is not shown, whether or not its turns are there.
    #[tokio::test]
    async fn the_turns_of_a_superseded_capture_are_gone() {
        let store = sqlite::open_in_memory().await.unwrap();
        let count = || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM turns").fetch_one(&store.readers);
        let id = Uuid::nil();
        let written = store.write("supersede a capture", move |rows| {
            Box::pin(async move {
                for statement in [
                    "INSERT INTO recordings (id, project, prefix, status, partial, revision, deletion, tier, created_at, duration,
                         gaps, tags, labels, participants)
                     VALUES (?1, 'default', 'recordings/x', 'COMPLETED', 0, 1, 'none', 'hot', 1, 0, '[]', '[]', '{}', '[]')",
                    "INSERT INTO captures (id, recording, project, attempt, source, status)
                     VALUES (?1, ?1, 'default', 1, 'upload', 'complete')",
                ] {
                    sqlx::query(statement).bind(id.to_string()).execute(&mut *rows).await.map_err(failed)?;
                }
                let turns = ["1", "2"].map(|id| Turn::new(id, Kind::Message, Role::User, "words"));
                rows.insert_turns(CaptureId::new(id), &turns).await
            })
        });
        written.await.unwrap();
        assert_eq!(count().await.unwrap(), 2);
        let superseded = store.write("supersede a capture", move |rows| {
            let (recording, capture) = (RecordingId::new(id), CaptureId::new(id));
            Box::pin(async move { rules::captures::supersede(rows, recording, capture, WallTime::from_nanos(1)).await })
        });
        superseded.await.unwrap();
        assert_eq!(count().await.unwrap(), 0);
    }
}
