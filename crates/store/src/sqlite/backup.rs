//! Copies of a database that is in use.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{BUSY_TIMEOUT, not_opened};
use crate::{Error, Result};

/// Writes all rows of a database, as they are at one moment, into another file, which has to be empty or missing. Other
/// connections and processes read and write meanwhile; only the write-ahead log grows until the copy is whole. What was deleted is
/// not in the copy. The copy is not synced.
///
/// It is in the schema of the database, whichever version of EchoSphere made that.
///
/// # Errors
///
/// The database is not there, or the copy cannot be written.
pub async fn backup(database: &Path, copy: &Path) -> Result<()> {
    let action = "copy itself";
    let name = copy.to_str().ok_or_else(|| not_opened(copy, "its path is not UTF-8"))?;
    let options = SqliteConnectOptions::new()
        .filename(database)
        .read_only(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(|error| not_opened(database, error))?;
    // One read transaction: https://www.sqlite.org/lang_vacuum.html, section 4.
    let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await;
    copied.map_err(|error| Error::from_sqlx(action, error))?;
    connection.close().await.map_err(|error| Error::from_sqlx(action, error))
}
