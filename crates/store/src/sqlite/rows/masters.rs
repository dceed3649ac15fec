//! Implements `MasterRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::master::{Master, Part};
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use crate::rows::{MasterRows, Undone};
use crate::sqlite::codec::{self, Reader, json};
use crate::{Error, Result};

/// Captures that were read, each with its whole master.
const READ_WHOLE: &str = "FROM masters JOIN captures ON captures.id = masters.capture
    WHERE masters.part = 'whole' AND masters.undivided IS NULL AND captures.status IN ('complete', 'partial', 'failed')
    AND captures.copy_of IS NULL
    AND NOT ifnull(masters.master ->> '$.is_gone', 0)";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change what is kept of a capture", error)
}

fn master(row: &SqliteRow) -> Result<(Part, Master)> {
    let row = Reader::new("masters", row);
    Ok((row.word("part")?, row.json("master")?))
}

#[async_trait]
impl MasterRows for SqliteConnection {
    async fn masters_of(&mut self, capture: CaptureId) -> Result<Vec<(Part, Master)>> {
        let rows = sqlx::query("SELECT capture AS id, part, master FROM masters WHERE capture = ? ORDER BY part");
        rows.bind(capture.to_string()).fetch_all(self).await.map_err(failed)?.iter().map(master).collect()
    }

    async fn insert_master(&mut self, capture: CaptureId, part: Part, master: &Master) -> Result<()> {
        let inserted =
            sqlx::query("INSERT INTO masters (capture, part, master) VALUES (?, ?, ?) ON CONFLICT DO NOTHING");
        let inserted = inserted.bind(capture.to_string()).bind(part.as_str()).bind(json(master));
        inserted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn delete_masters(&mut self, capture: CaptureId) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM masters WHERE capture = ?").bind(capture.to_string());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn captures_of_whole(&mut self, key: &ObjectKey) -> Result<Vec<CaptureId>> {
        let rows = sqlx::query("SELECT capture AS id FROM masters WHERE key = ? AND part = 'whole' ORDER BY capture");
        let rows = rows.bind(key.as_str()).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("masters", row).parse("id")).collect()
    }

    async fn has_master(&mut self, key: &ObjectKey) -> Result<bool> {
        let needed = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM masters JOIN captures ON captures.id = masters.capture
                            WHERE masters.key = ? AND captures.status <> 'superseded')",
        );
        needed.bind(key.as_str()).fetch_one(self).await.map_err(failed)
    }

    async fn is_undivided(&mut self, capture: CaptureId) -> Result<bool> {
        let query = format!("SELECT EXISTS (SELECT 1 {READ_WHOLE} AND masters.capture = ?)");
        let found = sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(query)).bind(capture.to_string());
        found.fetch_one(self).await.map_err(failed)
    }

    async fn undivided(&mut self, after: Option<CaptureId>, limit: u32) -> Result<Vec<Undone>> {
        let query = format!(
            "SELECT captures.id, captures.project, captures.recording AS mine {READ_WHOLE} AND masters.capture > ?
             AND EXISTS (SELECT 1 FROM recordings WHERE recordings.id = captures.recording AND recordings.deletion = 'none')
             ORDER BY masters.capture LIMIT ?"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(after.map(|id| id.to_string()).unwrap_or_default());
        let rows = rows.bind(limit).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(codec::undone).collect()
    }

    async fn set_undivided(&mut self, capture: CaptureId, why: &str) -> Result<()> {
        let set = sqlx::query("UPDATE masters SET undivided = ? WHERE capture = ? AND part = 'whole'").bind(why);
        set.bind(capture.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn logs_to_give_up(&mut self, ended_before: WallTime) -> Result<Vec<(CaptureId, RecordingId)>> {
        let rows = sqlx::query(
            "SELECT captures.id, captures.recording AS mine FROM captures
             JOIN recordings ON recordings.id = captures.recording
             WHERE captures.source = 'recorder'
             AND EXISTS (SELECT 1 FROM masters WHERE capture = captures.id AND master ->> '$.kind' = 'log'
                         AND NOT master ->> '$.is_gone')
             AND recordings.status = 'COMPLETED'
             AND recordings.deletion = 'none' AND recordings.ended_at < ? AND recordings.analysis IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM segments WHERE segments.recording = recordings.id AND segments.state = 'renderable')",
        );
        let rows = rows.bind(ended_before.as_nanos()).fetch_all(self).await.map_err(failed)?;
        let decode = |row: &SqliteRow| {
            let row = Reader::new("captures", row);
            Ok((row.parse("id")?, row.parse("mine")?))
        };
        rows.iter().map(decode).collect()
    }

    async fn set_log_gone(&mut self, capture: CaptureId) -> Result<()> {
        let words = sqlx::query("DELETE FROM masters WHERE capture = ? AND part = 'words'").bind(capture.to_string());
        words.execute(&mut *self).await.map_err(failed)?;
        let set =
            sqlx::query("UPDATE masters SET master = json_set(master, '$.is_gone', json('true')) WHERE capture = ?");
        set.bind(capture.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }
}
