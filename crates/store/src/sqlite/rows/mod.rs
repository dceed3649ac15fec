//! The statements that `rules` needs, in SQLite's SQL: a connection is the transaction that has begun on it.

mod captures;
mod deletions;
mod inbox;
mod masters;
mod objects;
mod once;
mod people;
mod recordings;
mod rooms;
mod segments;
mod sessions;
mod tasks;
mod telemetry;
mod tombstones;
mod turns;
mod uploads;

use sqlx::SqliteConnection;

use crate::rows::Rows;

impl Rows for SqliteConnection {}
