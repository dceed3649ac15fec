//! Requests that are sent again under their Idempotency-Key.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;
use sqlx::{SqliteConnection, SqliteExecutor};

use super::codec::Reader;
use crate::{Error, Once, Repeated, Result};

/// How long a key is known (24 h), in nanoseconds.
const LIFE: i64 = 24 * 3600 * 1_000_000_000;

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("look an Idempotency-Key up", error)
}

/// What was asked for under this key before, if anything.
pub(super) async fn known(
    executor: impl SqliteExecutor<'_>,
    project: &ProjectId,
    once: &Once,
    now: WallTime,
) -> Result<Option<Repeated>> {
    let row =
        sqlx::query("SELECT key AS id, asked, recording FROM idempotency WHERE project = ? AND key = ? AND at > ?");
    let row = row.bind(project.as_str()).bind(&once.key).bind(now.as_nanos() - LIFE);
    let row: Option<SqliteRow> = row.fetch_optional(executor).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let row = Reader::new("idempotency", &row);
    let same = row.text("asked")? == once.asked;
    Ok(Some(if same { Repeated::Same(row.parse("recording")?) } else { Repeated::Other }))
}

/// Notes what came of a request, and forgets what is old.
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
    let noted = noted.bind(project.as_str()).bind(&once.key).bind(&once.asked);
    noted.bind(recording.to_string()).bind(now.as_nanos()).execute(connection).await.map_err(failed)?;
    Ok(())
}
