//! Implements `DeletionRows` on SQLite: finds what is due for deletion, and erases the rows of what is deleted.

use async_trait::async_trait;
use echosphere_domain::id::RecordingId;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::DeletionRows;
use crate::sqlite::belongs::BELONGS;
use crate::sqlite::codec::Reader;
use crate::sqlite::conditions;
use crate::sqlite::erasure::{failed, parameters, rows_of};
use crate::{Erasure, Result};

fn ids(rows: Vec<SqliteRow>) -> Result<Vec<RecordingId>> {
    rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
}

#[async_trait]
impl DeletionRows for SqliteConnection {
    async fn deletions_due(&mut self, now: WallTime) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query("SELECT id FROM recordings WHERE delete_at <= ? AND is_held = 0 ORDER BY delete_at, id");
        ids(rows.bind(now.as_nanos()).fetch_all(self).await.map_err(failed)?)
    }

    async fn shares_with_held(&mut self, recording: RecordingId) -> Result<bool> {
        let shares = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (
                 SELECT 1 FROM captures AS ours JOIN captures AS copy ON copy.copy_of = ours.id
                     JOIN recordings ON recordings.id = copy.recording WHERE ours.recording = ?1 AND recordings.is_held
                 UNION ALL SELECT 1 FROM captures AS copy JOIN captures AS theirs ON copy.copy_of = theirs.id
                     JOIN recordings ON recordings.id = theirs.recording WHERE copy.recording = ?1 AND recordings.is_held)",
        );
        shares.bind(recording.to_string()).fetch_one(self).await.map_err(failed)
    }

    async fn deletions_without_task(&mut self) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "SELECT id FROM recordings WHERE deletion = 'pending'
             AND NOT EXISTS (SELECT 1 FROM tasks WHERE kind = 'erase' AND payload = recordings.id AND dead = 0)",
        );
        ids(rows.fetch_all(self).await.map_err(failed)?)
    }

    async fn has_kept(&mut self, what: Erasure) -> Result<bool> {
        let kept = "SELECT 1 FROM telemetry WHERE {telemetry} UNION SELECT 1 FROM uploads WHERE {uploads}";
        Ok(!rows_of(self, what, kept).await?.is_empty())
    }

    async fn erase(&mut self, what: Erasure) -> Result<()> {
        let (recording, tombstone) = parameters(what);
        for statement in BELONGS.iter().flat_map(|belongs| belongs.erased_by) {
            let text = conditions::statement(statement);
            let has_tombstone = text.contains("?2");
            let query = sqlx::query(AssertSqlSafe(text)).bind(&recording);
            let query = if has_tombstone { query.bind(tombstone) } else { query };
            query.execute(&mut *self).await.map_err(failed)?;
        }
        Ok(())
    }
}
