//! The [`Store`](crate::Store) on SQLite: WAL, `synchronous=FULL`, one writer.
//!
//! Every write goes through one connection, one `BEGIN IMMEDIATE` transaction at a time ([`writer`]). Reads have connections of
//! their own.

mod backup;
pub mod belongs;
mod changed;
mod codec;
mod conditions;
mod deletions;
mod erasure;
mod events;
mod gaps;
mod inbox;
mod live;
mod masters;
mod migrations;
mod objects;
mod people;
mod places;
mod project_rules;
mod recordings;
mod rows;
mod segments;
mod sessions;
mod sidecars;
mod sign_ins;
mod tasks;
mod telemetry;
mod uploads;
mod writer;

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool};

pub use self::backup::backup;
use self::writer::{InTransaction, Writer};
use crate::{Changes, Error, Result, Store};

/// The number of connections for reading.
const READERS: u32 = 4;
/// How long a statement waits for a lock that another process (a backup, a shell) holds; in memory, also another connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A SQLite database.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// The database's file, for what SQLite itself does not do ([`gaps`]); `None` for one in memory. Never closed: closing it would
    /// give up the locks that SQLite holds on it, because these belong to the process
    /// (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
    file: Option<Arc<ManuallyDrop<File>>>,
    changes: Changes,
}

/// Opens a database file, creates it if it is missing, and brings it to the current schema.
pub async fn open(path: &Path) -> Result<SqliteStore> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let store = connect(options).await?;
    let file = File::options().read(true).write(true).open(path).map_err(|error| not_opened(path, error))?;
    Ok(SqliteStore { file: Some(Arc::new(ManuallyDrop::new(file))), ..store })
}

/// Opens a new, empty database in memory, for simulations and tests. It ends with the last clone of the store.
///
/// It differs from a file in three ways. Nothing of it is on a disk: a write waits for no fsync, and a scrub has no file to
/// overwrite. It has no write-ahead log: a write waits for reads that have begun, and a read waits while something is written.
/// And it holds 1 GiB at most.
pub async fn open_in_memory() -> Result<SqliteStore> {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    // SQLite's VFS `memdb` gives all connections of the process to a name that begins with a slash the same database, also those
    // that may only read. It is there while one of them is open: here, the one that writes.
    let name = format!("/echosphere-{}", OPENED.fetch_add(1, Ordering::Relaxed));
    let options = SqliteConnectOptions::new().filename(name).vfs("memdb").journal_mode(SqliteJournalMode::Memory);
    connect(options).await
}

/// Connects to a database, creates it if it is missing, and brings it to the current schema.
async fn connect(options: SqliteConnectOptions) -> Result<SqliteStore> {
    let options = options
        .create_if_missing(true)
        .foreign_keys(true)
        // ON, not FAST: FAST leaves deleted content in pages that become free.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let path = options.get_filename();
    let mut writer = options.connect().await.map_err(|error| not_opened(path, error))?;
    // In one transaction: the schema is the one before or this one, and it is synced once.
    let mut upgrade = writer.begin().await.map_err(|error| not_opened(path, error))?;
    migrations::upgrade(&mut upgrade).await.map_err(|error| not_opened(path, error))?;
    upgrade.commit().await.map_err(|error| not_opened(path, error))?;
    changed::watch(&mut writer).await?;
    let readers = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.clone().read_only(true)).await;
    let readers = readers.map_err(|error| not_opened(path, error))?;
    let changes = Changes::default();
    Ok(SqliteStore { writer: Writer::new(writer, changes.clone()), readers, file: None, changes })
}

fn not_opened(path: &Path, error: impl ToString) -> Error {
    Error::Open { path: path.display().to_string(), reason: error.to_string() }
}

impl SqliteStore {
    /// Does work in a transaction, to its end whether or not the caller waits for it, and tells those who watch what it changed.
    async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> InTransaction<'c, T> + Send + 'static,
    {
        self.writer.write(action, work).await
    }

    /// A connection that reads, for statements that have other uses in transactions.
    async fn reader(&self, action: &'static str) -> Result<PoolConnection<Sqlite>> {
        self.readers.acquire().await.map_err(|error| Error::from_sqlx(action, error))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn ping(&self) -> Result<()> {
        self.write("answer", |_| Box::pin(async { Ok(()) })).await
    }

    fn changes(&self) -> &Changes {
        &self.changes
    }

    async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.alone().await;
        // Folds the write-ahead log into the database now, so that one file is left when the last connection closes.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut writer.connection).await;
        let _ = writer.connection.ping().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deletions;
    use echosphere_domain::time::WallTime;

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

    #[tokio::test]
    async fn databases_in_memory_are_apart_and_whoever_reads_cannot_write() {
        let (one, other) = (open_in_memory().await.unwrap(), open_in_memory().await.unwrap());
        sqlx::query("INSERT INTO upkeep (name, done_at) VALUES ('this', 1)").execute(&one.readers).await.unwrap_err();
        one.done_once("this", WallTime::from_nanos(1)).await.unwrap();
        assert!(one.is_done_once("this").await.unwrap());
        assert!(!other.is_done_once("this").await.unwrap());
    }
}
