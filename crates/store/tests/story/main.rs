//! One story of every database: sessions and rooms come in, are published, rendered, listed and deleted.
//!
//! It is told to `dyn Store`. Each part of it is a test on each database: `on_each!` makes a module of each database's name.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::sync::Arc;

use echosphere_store::{Store, sqlite};

/// Makes a test of each of these stories on each database.
macro_rules! on_each {
    (@ $database:ident $($story:ident)+) => {
        mod $database {
            $(
                #[tokio::test]
                async fn $story() {
                    super::$story(crate::world::World::new(crate::$database).await).await;
                }
            )+
        }
    };
    ($($story:ident),+ $(,)?) => {
        on_each!(@ sqlite_file $($story)+);
        on_each!(@ sqlite_memory $($story)+);
    };
}

mod asked;
mod changes;
mod deletion;
mod inbox;
mod live;
mod logs;
mod masters;
mod methods;
mod objects;
mod own_recordings;
mod owners;
mod people;
mod places;
mod recordings;
mod redactions;
mod refused;
mod rules;
mod scheduled;
mod segments;
mod sessions;
mod sidecars;
mod sign_ins;
mod taken_apart;
mod tasks;
mod telemetry;
mod transcripts;
mod upkeep;
mod uploads;
mod work;
mod world;

async fn sqlite_file() -> world::Opened {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(sqlite::open(&folder.path().join("db")).await.unwrap());
    (store, Some(folder))
}

async fn sqlite_memory() -> world::Opened {
    let store: Arc<dyn Store> = Arc::new(sqlite::open_in_memory().await.unwrap());
    (store, None)
}
