//! Implements `Sidecars` on SQLite: reads all rows of a recording, whatever their columns are, and stores them in a database that lacks them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use serde_json::Value;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use super::codec::Reader;
use super::places::HERE;
use super::{SqliteStore, migrations};
use crate::{Error, Result, Sidecar, SidecarRows, Sidecars, StaleSidecar};

/// The tables, and the condition for their rows to belong to the recording `?1`. One that refers to another comes after it.
const TABLES: [(&str, &str); 13] = [
    ("recordings", "id = ?1"),
    ("captures", "recording = ?1"),
    ("masters", "capture IN (SELECT id FROM captures WHERE recording = ?1)"),
    ("turns", "capture IN (SELECT id FROM captures WHERE recording = ?1)"),
    ("renditions", "recording = ?1"),
    ("segments", "recording = ?1"),
    ("rooms", "recording = ?1"),
    ("tombstones", "recording = ?1"),
    ("uploads", "id IN (SELECT upload FROM captures WHERE recording = ?1)"),
    ("telemetry", "{telemetry}"),
    ("people", "(project, room_sid) IN (SELECT project, room_sid FROM recordings WHERE id = ?1)"),
    // By keys: with anything else all objects would be read.
    (
        "objects",
        "store = 'main' AND key IN
             (SELECT key FROM objects WHERE recording = ?1 UNION SELECT key FROM telemetry WHERE {telemetry})",
    ),
    // Payloads begin with ids.
    ("tasks", "dead = 0 AND payload LIKE '%' || ?1 || '%'"),
];
const TELEMETRY: &str =
    "(project, job_id) IN (SELECT project, job_id FROM captures WHERE recording = ?1 AND job_id IS NOT NULL)
     OR (job_id IS NULL AND (project, room_sid) IN (SELECT project, room_sid FROM recordings WHERE id = ?1))";
/// The sidecars that are to be written: of rows that have changed, of a recording that is not being deleted and of which no upload is being read.
const STALE: &str = "SELECT recording AS id, changed FROM sidecars WHERE written <> changed
     AND NOT EXISTS (SELECT 1 FROM recordings WHERE id = recording AND deletion IN ('pending', 'done'))
     AND NOT EXISTS (SELECT 1 FROM captures WHERE captures.recording = sidecars.recording AND source = 'upload'
         AND status = 'processing')";
/// Those that a deletion needs.
const OF_DELETION: [&str; 4] = ["recordings", "rooms", "tombstones", "objects"];
/// What a room that goes on says is in its chunks, and who is in it may still ask to be left out: its own rows of these tables, and all of the
/// others, are written when it is over.
const OF_THE_END: [&str; 4] = ["turns", "renditions", "segments", "people"];
/// The turns that sessions brought meanwhile.
const BROUGHT: &str = "capture IN (SELECT id FROM captures WHERE recording = ?1 AND source <> 'recorder')";
/// Columns whose values are not written, and what is instead. Who is in a room that goes on may still ask to be left out.
const WITHHELD_MEANWHILE: &[(&str, &str, &str)] =
    &[("recordings", "participants", "'[]'"), ("recordings", "tracks", "'[]'"), ("recordings", "agent_name", "NULL")];
/// The names by which people were left out of a room whose recording is deleted stay in its row while another recording has the room.
const WITHHELD_DELETED: &[(&str, &str, &str)] = &[("rooms", "options", "'{}'"), ("rooms", "excluded", "'[]'")];
/// Columns that have no meaning in another database, and what they become: nobody works on a task or owns a room.
const RESET: [(&str, &str); 4] =
    [("tasks", "lease_until"), ("tasks", "owner"), ("rooms", "owner"), ("rooms", "lease_until")];

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read or write the rows of a sidecar", error)
}

/// The columns of a table that are stored.
async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<String>> {
    let names = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)").bind(table.to_owned());
    names.fetch_all(connection).await.map_err(failed)
}

/// Rows of a table, with other values in some of the columns.
async fn dumped(
    connection: &mut SqliteConnection,
    (table, condition): (&str, &str),
    recording: RecordingId,
    withheld: &[(&str, &str, &str)],
) -> Result<SidecarRows> {
    let columns = columns(connection, table).await?;
    let value = |name: &String| {
        let instead = withheld.iter().find(|(of, column, _)| *of == table && name == column);
        match instead {
            Some((.., value)) => format!("json_quote({value})"),
            // Whether it is in the place that is written to.
            None if (table, name.as_str()) == ("objects", "place") => format!("iif(place = {HERE}, 1, 0)"),
            None => {
                format!(
                    "CASE typeof({name}) WHEN 'blob' THEN json_object('hex', hex({name})) ELSE json_quote({name}) END"
                )
            }
        }
    };
    let values: Vec<String> = columns.iter().map(value).collect();
    let condition = condition.replace("{telemetry}", TELEMETRY);
    let query = format!("SELECT '[' || concat_ws(',', {}) || ']' FROM {table} WHERE {condition}", values.join(", "));
    let rows = sqlx::query_scalar::<_, String>(AssertSqlSafe(query)).bind(recording.to_string());
    let rows = rows.fetch_all(connection).await.map_err(failed)?;
    let parsed = rows.iter().map(|row| serde_json::from_str(row)).collect::<Result<Vec<Vec<Value>>, _>>();
    let rows =
        parsed.map_err(|error| Error::Corrupt { row: format!("{table} of {recording}"), reason: error.to_string() })?;
    Ok(SidecarRows { columns, rows })
}

pub(super) async fn dump(connection: &mut SqliteConnection, recording: RecordingId) -> Result<Option<Sidecar>> {
    let found =
        "SELECT project, deletion IN ('pending', 'done') AS is_deleted, status NOT IN ('COMPLETED', 'FAILED') AS goes_on
         FROM recordings WHERE id = ?";
    let found = sqlx::query(found);
    let found: Option<SqliteRow> =
        found.bind(recording.to_string()).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(found) = found else { return Ok(None) };
    let row = Reader::new("recordings", &found);
    let project: ProjectId = row.project()?;
    let (is_deleted, goes_on) = (row.flag("is_deleted")?, row.flag("goes_on")?);
    let withheld = match (is_deleted, goes_on) {
        (true, _) => WITHHELD_DELETED,
        (false, true) => WITHHELD_MEANWHILE,
        (false, false) => &[],
    };
    let mut tables = BTreeMap::new();
    for (table, condition) in TABLES {
        let condition = match table {
            _ if is_deleted && !OF_DELETION.contains(&table) => continue,
            "turns" if goes_on => BROUGHT,
            _ if goes_on && OF_THE_END.contains(&table) => continue,
            _ => condition,
        };
        let rows = dumped(connection, (table, condition), recording, withheld).await?;
        if !rows.rows.is_empty() {
            tables.insert(table.to_owned(), rows);
        }
    }
    Ok(Some(Sidecar::new(migrations::last(), recording, project, tables)))
}

fn bound<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    value: &Value,
) -> Result<Query<'q, Sqlite, SqliteArguments>, String> {
    Ok(match value {
        Value::Null => query.bind(None::<i64>),
        Value::Number(number) => query.bind(number.as_i64().ok_or_else(|| format!("{number} is no number of ours"))?),
        Value::String(text) => query.bind(text.clone()),
        Value::Object(bytes) => {
            let bytes = bytes.get("hex").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
            query.bind(bytes.ok_or("an object that is no bytes")?)
        }
        Value::Bool(_) | Value::Array(_) => return Err(format!("{value} is no value of a row")),
    })
}

/// The statement that stores a row, whose values are `?1` and so on. Rows that several recordings have are stored once.
fn insertion(table: &str, columns: &[String]) -> String {
    // Tombstones are numbered anew: another database may have used the same numbers.
    let is_tombstones = table == "tombstones";
    let (mut names, mut values, mut same) = (Vec::new(), Vec::new(), Vec::new());
    for (number, column) in (1..).zip(columns) {
        if is_tombstones && column == "id" {
            continue;
        }
        names.push(column.as_str());
        same.push(format!("{column} IS ?{number}"));
        values.push(match (table, column.as_str()) {
            reset if RESET.contains(&reset) => "NULL".to_owned(),
            // 0 is a place that is not known.
            ("objects", "place") => format!("iif(?{number} = 0, 0, {HERE})"),
            _ => format!("?{number}"),
        });
    }
    let unless = if is_tombstones {
        format!("NOT EXISTS (SELECT 1 FROM tombstones WHERE {})", same.join(" AND "))
    } else {
        "true".to_owned()
    };
    let (names, values) = (names.join(", "), values.join(", "));
    format!("INSERT INTO {table} ({names}) SELECT {values} WHERE {unless} ON CONFLICT DO NOTHING")
}

pub(super) async fn store(connection: &mut SqliteConnection, sidecar: &Sidecar) -> Result<()> {
    let corrupt =
        |table: &str, reason: String| Error::Corrupt { row: format!("{table} of {}", sidecar.recording), reason };
    if let Some(unknown) = sidecar.tables.keys().find(|name| TABLES.iter().all(|(table, _)| table != name)) {
        return Err(corrupt(unknown, "there is no such table of a recording".to_owned()));
    }
    for (table, _) in TABLES {
        let Some(rows) = sidecar.tables.get(table) else { continue };
        let known = columns(connection, table).await?;
        if let Some(unknown) = rows.columns.iter().find(|column| !known.contains(column)) {
            return Err(corrupt(table, format!("there is no column {unknown:?}")));
        }
        let insert = insertion(table, &rows.columns);
        let place = rows.columns.iter().position(|column| (table, column.as_str()) == ("objects", "place"));
        if place.is_some_and(|place| rows.rows.iter().any(|row| row[place] == 0)) {
            let nowhere =
                "INSERT INTO places (id, marker, settings, used_since) VALUES (0, '', '{}', 0) ON CONFLICT DO NOTHING";
            sqlx::query(nowhere).execute(&mut *connection).await.map_err(failed)?;
        }
        for row in &rows.rows {
            let mut query = sqlx::query(AssertSqlSafe(insert.clone()));
            for value in row {
                query = bound(query, value).map_err(|reason| corrupt(table, reason))?;
            }
            query.execute(&mut *connection).await.map_err(|error| corrupt(table, error.to_string()))?;
        }
    }
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM recordings WHERE id = ? AND project = ?")
        .bind(sidecar.recording.to_string())
        .bind(sidecar.project.as_str())
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if found != 1 {
        return Err(corrupt("recordings", "it has no row of its recording".to_owned()));
    }
    Ok(())
}

#[async_trait]
impl Sidecars for SqliteStore {
    async fn stale_sidecars(&self, after: Option<RecordingId>, limit: u32) -> Result<Vec<StaleSidecar>> {
        let rows = format!("{STALE} AND recording > ? ORDER BY recording LIMIT ?");
        let rows = sqlx::query(AssertSqlSafe(rows));
        let rows = rows.bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(limit);
        let stale = |row: &SqliteRow| {
            let row = Reader::new("sidecars", row);
            Ok(StaleSidecar { recording: row.parse("id")?, changed: row.number("changed")? })
        };
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(stale).collect()
    }

    async fn count_stale_sidecars(&self) -> Result<u64> {
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("SELECT count(*) FROM ({STALE})")));
        count.fetch_one(&self.readers).await.map(i64::unsigned_abs).map_err(failed)
    }

    async fn sidecar(&self, recording: RecordingId) -> Result<Option<Sidecar>> {
        let mut reader = self.reader("read the rows of a recording").await?;
        // All of one state.
        let mut transaction = sqlx::Connection::begin(&mut *reader).await.map_err(failed)?;
        let sidecar = dump(&mut transaction, recording).await;
        transaction.rollback().await.map_err(failed)?;
        sidecar
    }

    async fn sidecar_written(&self, recording: RecordingId, changed: u64) -> Result<()> {
        self.write("note a sidecar", move |connection| {
            Box::pin(async move {
                let changed = i64::try_from(changed).unwrap_or(i64::MAX);
                let noted = sqlx::query("UPDATE sidecars SET written = ? WHERE recording = ?");
                let noted = noted.bind(changed).bind(recording.to_string());
                noted.execute(connection).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }

    async fn undeleted(&self, project: &ProjectId, after: Option<RecordingId>, limit: u32) -> Result<Vec<RecordingId>> {
        let rows = sqlx::query(
            "SELECT id FROM recordings WHERE project = ? AND deletion = 'none' AND id > ? ORDER BY id LIMIT ?",
        );
        let rows = rows.bind(project.as_str()).bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(limit);
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(|row| Reader::new("recordings", row).parse("id")).collect()
    }

    async fn is_empty(&self) -> Result<bool> {
        let found = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM recordings)");
        found.fetch_one(&self.readers).await.map_err(failed)
    }

    async fn restore(&self, sidecar: &Sidecar) -> Result<()> {
        let sidecar = match sidecar.schema {
            schema if schema == migrations::last() => sidecar.clone(),
            schema if (1..migrations::last()).contains(&schema) => {
                let (sidecar, runtime) = (sidecar.clone(), tokio::runtime::Handle::current());
                let upgraded = tokio::task::spawn_blocking(move || runtime.block_on(upgraded(&sidecar))).await;
                upgraded
                    .map_err(|error| Error::Interrupted { action: "upgrade a sidecar", reason: error.to_string() })??
            }
            schema => {
                let reason =
                    format!("it is of the schema {schema}, and this version knows those up to {}", migrations::last());
                return Err(Error::Corrupt { row: format!("the sidecar of {}", sidecar.recording), reason });
            }
        };
        self.write("restore a recording", move |connection| {
            Box::pin(async move {
                store(connection, &sidecar).await?;
                let noted = sqlx::query("UPDATE sidecars SET written = changed WHERE recording = ?");
                let noted = noted.bind(sidecar.recording.to_string());
                noted.execute(connection).await.map(|_| ()).map_err(failed)
            })
        })
        .await
    }
}

/// A sidecar of an earlier version as this one would have written it: its rows are stored in a database of that version, which is upgraded.
async fn upgraded(sidecar: &Sidecar) -> Result<Sidecar> {
    let corrupt = |reason: String| Error::Corrupt { row: format!("the sidecar of {}", sidecar.recording), reason };
    let mut connection = <SqliteConnection as sqlx::Connection>::connect("sqlite::memory:").await.map_err(failed)?;
    migrations::upgrade_to(&mut connection, sidecar.schema).await.map_err(|error| corrupt(error.to_string()))?;
    store(&mut connection, sidecar).await?;
    migrations::upgrade(&mut connection).await.map_err(|error| corrupt(error.to_string()))?;
    dump(&mut connection, sidecar.recording).await?.ok_or_else(|| corrupt("nothing is left of it".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_table_but_that_of_tasks_is_read_whole_for_a_recording() {
        let mut connection = <SqliteConnection as sqlx::Connection>::connect("sqlite::memory:").await.unwrap();
        migrations::upgrade(&mut connection).await.unwrap();
        for (table, condition) in TABLES.into_iter().filter(|(table, _)| *table != "tasks") {
            let condition = condition.replace("{telemetry}", TELEMETRY);
            let plan = format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {condition}");
            let steps = sqlx::query(AssertSqlSafe(plan)).bind("x").fetch_all(&mut connection).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| sqlx::Row::get(step, "detail")).collect();
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{table}: {steps:?}");
        }
    }
}
