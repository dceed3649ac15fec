//! Runs queries over everything that an erasure reaches, with the placeholders of its conditions filled in.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::conditions;
use crate::{Erasure, Error, Result};

pub(super) fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("erase what was deleted", error)
}

/// The two parameters of the tombstones of what is erased.
pub(super) fn parameters(what: Erasure) -> (Option<String>, Option<i64>) {
    match what {
        Erasure::Recording(id) => (Some(id.to_string()), None),
        Erasure::Refused(id) => (None, Some(id)),
    }
}

/// The rows that a query finds of an erasure.
pub(super) async fn rows_of(connection: &mut SqliteConnection, what: Erasure, query: &str) -> Result<Vec<SqliteRow>> {
    // Every statement contains both parameters, so that both can be bound.
    let query = format!("SELECT * FROM ({}) WHERE ?1 IS NOT NULL OR ?2 IS NOT NULL", conditions::statement(query));
    let (recording, tombstone) = parameters(what);
    let found = sqlx::query(AssertSqlSafe(query)).bind(recording).bind(tombstone).fetch_all(connection).await;
    found.map_err(failed)
}
