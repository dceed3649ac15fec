//! Recognises requests that are sent again with the same Idempotency-Key, on SQLite.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::codec::Reader;
use crate::{Error, Once, Repeated, Result};

/// How long a key is remembered (24 h), in nanoseconds.
const LIFE: i64 = 24 * 3600 * 1_000_000_000;

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look an Idempotency-Key up", error)
}

/// The prefix of a hash.
const MARK: &str = "sha256:";

/// The SHA-256 of a key or request; these may contain names, so only the hash is stored.
fn unreadable(text: &str) -> String {
    format!("{MARK}{}", hex::encode(Sha256::digest(text)))
}

/// Hashes the keys and requests that earlier versions stored as text.
pub(super) async fn make_unreadable(connection: &mut SqliteConnection) -> Result<()> {
    let rows = sqlx::query("SELECT project, key AS id, asked FROM idempotency WHERE key NOT LIKE 'sha256:%'");
    for row in rows.fetch_all(&mut *connection).await.map_err(failed)? {
        let row = Reader::new("idempotency", &row);
        let (key, asked) = (row.text("id")?, row.text("asked")?);
        let set = sqlx::query("UPDATE idempotency SET key = ?, asked = ? WHERE project = ? AND key = ?");
        let set = set.bind(unreadable(&key)).bind(unreadable(&asked)).bind(row.text("project")?).bind(&key);
        set.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// What an earlier request with this key asked for, if there was one.
pub(super) async fn known(
    executor: impl SqliteExecutor<'_>,
    project: &ProjectId,
    once: &Once,
    now: WallTime,
) -> Result<Option<Repeated>> {
    let row =
        sqlx::query("SELECT key AS id, asked, recording FROM idempotency WHERE project = ? AND key = ? AND at > ?");
    let row = row.bind(project.as_str()).bind(unreadable(&once.key)).bind(now.as_nanos() - LIFE);
    let row: Option<SqliteRow> = row.fetch_optional(executor).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let row = Reader::new("idempotency", &row);
    let same = row.text("asked")? == unreadable(&once.asked);
    Ok(Some(if same { Repeated::Same(row.parse("recording")?) } else { Repeated::Other }))
}

/// Stores what resulted from a request, and deletes expired rows.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    project: &ProjectId,
    once: &Once,
    recording: RecordingId,
    now: WallTime,
) -> Result<()> {
    let old = sqlx::query("DELETE FROM idempotency WHERE at <= ?").bind(now.as_nanos() - LIFE);
    old.execute(&mut *connection).await.map_err(failed)?;
    let noted = sqlx::query("INSERT INTO idempotency (project, key, asked, recording, at) VALUES (?, ?, ?, ?, ?)");
    let noted = noted.bind(project.as_str()).bind(unreadable(&once.key)).bind(unreadable(&once.asked));
    noted.bind(recording.to_string()).bind(now.as_nanos()).execute(connection).await.map_err(failed)?;
    Ok(())
}
