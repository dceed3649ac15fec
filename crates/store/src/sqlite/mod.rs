//! The [`Store`](crate::Store) on SQLite: WAL, `synchronous=FULL`, one writer.
//!
//! Every write goes through one connection, one `BEGIN IMMEDIATE` transaction at a time, in a tokio task of its own: a caller
//! that is dropped neither leaves half a transaction nor poisons the connection. Reads have connections of their own.

pub mod belongs;
mod codec;
mod deletions;
mod effects;
mod gaps;
mod idempotency;
mod inbox;
mod joining;
mod live;
mod migrations;
mod objects;
mod people;
mod publish;
mod recordings;
mod rows;
mod segments;
mod sessions;
mod sign_ins;
mod tasks;
mod telemetry;
mod tombstones;
mod uploads;

use std::fs::File;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::{Error, Result, Store};

/// The number of connections for reading.
const READERS: u32 = 4;
/// How long a statement waits for a lock that another process (a backup, a shell) holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A future that borrows the connection of a running transaction.
type InTransaction<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// A SQLite database.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Arc<Mutex<Writer>>,
    readers: SqlitePool,
    /// The database's file, for what SQLite itself does not do ([`gaps`]). Never closed: closing it would give up the locks that
    /// SQLite holds on it, because these belong to the process (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    file: Arc<ManuallyDrop<File>>,
}

/// The connection that writes.
struct Writer {
    connection: SqliteConnection,
    /// Whether a transaction has begun and not ended: left so by one that panicked.
    is_in_transaction: bool,
}

/// Opens a database file, creates it if it is missing, and brings it to the current schema.
pub async fn open(path: &Path) -> Result<SqliteStore> {
    let failed = |reason: String| Error::Open { path: path.display().to_string(), reason };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // ON, not FAST: FAST leaves deleted content in pages that become free.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut writer = options.connect().await.map_err(|error| failed(error.to_string()))?;
    let migrated = migrations::all().run(&mut writer).await;
    migrated.map_err(|error| failed(error.to_string()))?;
    let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await;
    let readers = readers.map_err(|error| failed(error.to_string()))?;
    let file = File::options().read(true).write(true).open(path).map_err(|error| failed(error.to_string()))?;
    let writer = Writer { connection: writer, is_in_transaction: false };
    Ok(SqliteStore { writer: Arc::new(Mutex::new(writer)), readers, file: Arc::new(ManuallyDrop::new(file)) })
}

impl SqliteStore {
    /// Runs a transaction to its end, whether or not the caller waits for it.
    async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> InTransaction<'c, T> + Send + 'static,
    {
        let writer = Arc::clone(&self.writer);
        let task = tokio::spawn(async move {
            let mut writer = writer.lock().await;
            transact(&mut writer, action, work).await
        });
        task.await.unwrap_or_else(|error| Err(Error::Interrupted { action, reason: error.to_string() }))
    }
}

async fn transact<T, F>(writer: &mut Writer, action: &'static str, work: F) -> Result<T>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> InTransaction<'c, T>,
{
    let Writer { connection, is_in_transaction } = writer;
    if *is_in_transaction {
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.map_err(|e| Error::from_sqlx(action, e))?;
    *is_in_transaction = true;
    let outcome = work(&mut *connection).await;
    let outcome = match outcome {
        Ok(value) => {
            let committed = sqlx::query("COMMIT").execute(&mut *connection).await;
            committed.map(|_| value).map_err(|e| Error::from_sqlx(action, e))
        }
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        // After some errors SQLite has rolled back by itself, and says so by failing here.
        let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
    }
    *is_in_transaction = false;
    outcome
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        self.write("answer", |_| Box::pin(async { Ok(()) })).await
    }

    async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        // Folds the write-ahead log into the database now, so that one file is left when the last connection closes.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut writer.connection).await;
        let _ = writer.connection.ping().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_panics_writes_nothing_and_costs_no_other_call() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("rows.db")).await.unwrap();
        let write = |panics: bool| {
            store.write("note what is done", move |connection| {
                Box::pin(async move {
                    let done = sqlx::query("INSERT INTO upkeep (name, done_at) VALUES ('this', 1)");
                    done.execute(connection).await.map_err(|error| Error::from_sqlx("note what is done", error))?;
                    assert!(!panics, "as wanted");
                    Ok(())
                })
            })
        };
        let panicked = write(true).await;
        assert!(matches!(panicked, Err(Error::Interrupted { .. })), "{panicked:?}");
        // Had it been written, this would be a second row of that name.
        write(false).await.unwrap();
    }
}
