//! Which recordings a transaction has changed: triggers of the connection that writes note them in a table of its own, in memory.
//!
//! So no method has to say it, and none can forget to.

use echosphere_domain::id::RecordingId;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::{Error, Result};

/// The tables that a recording's page is read from, their columns with its id, and what is noted of their rows. Segments come and
/// go by the thousand, and the row of their recording changes with them: only what changes in them is noted.
const TABLES: [(&str, &str, &[&str]); 3] = [
    ("recordings", "id", &["INSERT", "UPDATE", "DELETE"]),
    ("captures", "recording", &["INSERT", "UPDATE", "DELETE"]),
    ("segments", "recording", &["UPDATE"]),
];

const ACTION: &str = "note which recordings change";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

/// Makes the table and the triggers, for as long as the connection is open.
pub(super) async fn watch(connection: &mut SqliteConnection) -> Result<()> {
    let mut statements = vec![
        "PRAGMA temp_store = MEMORY".to_owned(),
        "CREATE TEMP TABLE changed (recording TEXT PRIMARY KEY) WITHOUT ROWID".to_owned(),
    ];
    for (table, column, events) in TABLES {
        for event in events {
            let row = if *event == "DELETE" { "old" } else { "new" };
            // Not INSERT OR IGNORE: the conflict clause of the statement that fires a trigger takes the place of the trigger's own.
            statements.push(format!(
                "CREATE TEMP TRIGGER changed_{table}_{event} AFTER {event} ON main.{table} BEGIN
                     INSERT INTO changed SELECT {row}.{column}
                     WHERE NOT EXISTS (SELECT 1 FROM changed WHERE recording = {row}.{column});
                 END"
            ));
        }
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// The recordings that the running transaction has changed so far; forgets them.
pub(super) async fn take(connection: &mut SqliteConnection) -> Result<Vec<RecordingId>> {
    let rows = sqlx::query("DELETE FROM changed RETURNING recording").fetch_all(connection).await.map_err(failed)?;
    Ok(rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok()?.parse().ok()).collect())
}
