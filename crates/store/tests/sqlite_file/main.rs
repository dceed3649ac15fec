//! What only a SQLite database in a file has: it outlasts its process, its tables are known, and nothing may be left in its files.
//!
//! What every database does is in the story, with which this shares [`world`].

#![allow(clippy::unwrap_used, reason = "a test may")]

mod masters_before;
mod version_before;
mod words;
#[path = "../story/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use echosphere_store::{BELONGS, Store, sqlite};
use sqlx::{Connection, Row, SqliteConnection};
use tempfile::TempDir;

use world::{World, at, ids, mine, spanning};

async fn open(folder: &TempDir) -> Arc<dyn Store> {
    Arc::new(sqlite::open(&folder.path().join("db")).await.unwrap())
}

/// A database in a folder that the test knows.
async fn world_in(folder: &TempDir) -> World {
    let store = open(folder).await;
    World::new(|| std::future::ready((store, None))).await
}

/// A connection of another program's.
async fn connection(folder: &TempDir) -> SqliteConnection {
    let url = format!("sqlite://{}", folder.path().join("db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

#[tokio::test]
async fn every_table_and_column_has_a_line_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(&folder).await;
    let mut connection = connection(&folder).await;
    let tables = sqlx::query_scalar::<_, String>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'",
    );
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables.fetch_all(&mut connection).await.unwrap() {
        let rows = sqlx::query("SELECT name FROM pragma_table_info(?)").bind(&table).fetch_all(&mut connection).await;
        let mut names: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
        names.sort();
        columns.insert(table, names);
    }
    let listed = BELONGS.iter().map(|belongs| {
        let mut names: Vec<String> = belongs.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        (belongs.table.to_owned(), names)
    });
    assert_eq!(
        columns,
        listed.collect(),
        "a table or column is not in crates/store/src/sqlite/belongs.rs: say there what becomes of it when a recording is deleted"
    );
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world_in(&folder).await;
    let joined = world.joined(&ids(None, Some("RM_1")), spanning(0, 8)).await.unwrap();
    // Not closed: the write-ahead log is all that there is.
    let reopened = open(&folder).await;
    assert!(reopened.recording(&mine(), joined.recording.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_link_is_taken_once_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert!(store.take_sign_in_link("n1", at(100)).await.unwrap());
    assert!(!store.take_sign_in_link("n1", at(100)).await.unwrap());
    assert!(store.take_sign_in_link("n2", at(200)).await.unwrap());
    store.close().await;
    drop(store);
    let store = open(&folder).await;
    assert!(!store.take_sign_in_link("n1", at(100)).await.unwrap());
    // Once it has expired nothing need be remembered of it.
    assert_eq!(store.forget_sign_ins(at(100), at(0)).await.unwrap(), 1);
    assert!(!store.take_sign_in_link("n2", at(200)).await.unwrap());
}
