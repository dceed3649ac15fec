//! What a transaction has changed: triggers of the connection that writes note it in a table of its own, in memory.
//!
//! So no method has to say it, and none can forget to.

use echosphere_domain::id::RecordingId;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use crate::{Error, Result};

/// The tables whose changes wake a recording's watchers, their columns with its id, and what is noted of their rows. Segments come and
/// go by the thousand, and the row of their recording changes with them: only what changes in them is noted. Of events, whoever
/// watches a recording waits for the answers.
const TABLES: [(&str, &str, &[&str]); 4] = [
    ("recordings", "id", &["INSERT", "UPDATE", "DELETE"]),
    ("captures", "recording", &["INSERT", "UPDATE", "DELETE"]),
    ("segments", "recording", &["UPDATE"]),
    ("inbox", "recording", &["UPDATE"]),
];
/// The changes of the inbox that wake its readers.
const INBOX: [(&str, &str); 2] = [("arrived", "INSERT"), ("due", "UPDATE OF due")];
/// What is noted then. It is no recording's id.
const ARRIVED: &str = "inbox";

/// What a transaction has changed.
#[derive(Debug, Default)]
pub(super) struct Changed {
    /// The recordings of which rows have changed.
    pub(super) recordings: Vec<RecordingId>,
    /// Whether an event was stored in the inbox, or is due at another time.
    pub(super) inbox: bool,
}

const ACTION: &str = "note what changes";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

/// Notes something, once in a transaction. Not INSERT OR IGNORE: the conflict clause of the statement that fires a trigger takes the
/// place of the trigger's own.
fn trigger(name: &str, event: &str, table: &str, noted: &str) -> String {
    format!(
        "CREATE TEMP TRIGGER changed_{name} AFTER {event} ON main.{table} BEGIN
             INSERT INTO changed SELECT {noted}
             WHERE {noted} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM changed WHERE what = {noted});
         END"
    )
}

/// Makes the table and the triggers, for as long as the connection is open.
pub(super) async fn watch(connection: &mut SqliteConnection) -> Result<()> {
    let mut statements = vec![
        "PRAGMA temp_store = MEMORY".to_owned(),
        "CREATE TEMP TABLE changed (what TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID".to_owned(),
    ];
    for (table, column, events) in TABLES {
        for event in events {
            let row = if *event == "DELETE" { "old" } else { "new" };
            statements.push(trigger(&format!("{table}_{event}"), event, table, &format!("{row}.{column}")));
        }
    }
    for (name, event) in INBOX {
        statements.push(trigger(
            &format!("inbox_{name}"),
            event,
            "inbox",
            &format!("iif(new.due IS NULL, NULL, '{ARRIVED}')"),
        ));
    }
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}

/// What the running transaction has changed so far; forgets it.
pub(super) async fn take(connection: &mut SqliteConnection) -> Result<Changed> {
    let rows = sqlx::query("DELETE FROM changed RETURNING what").fetch_all(connection).await.map_err(failed)?;
    let mut changed = Changed::default();
    for row in &rows {
        let what: String = row.try_get(0).map_err(failed)?;
        changed.inbox |= what == ARRIVED;
        changed.recordings.extend(what.parse::<RecordingId>().ok());
    }
    Ok(changed)
}
