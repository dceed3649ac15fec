//! No file of the database has the words of what was deleted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use echosphere_domain::recording::Track;
use echosphere_domain::time::MediaTime;
use echosphere_store::{Applied, Erasure, Event, NewLive, Once};
use tempfile::TempDir;

use crate::world::{at, ids, mine, owned, spanning};
use crate::{connection, world_in};

/// What must be found in no file any more.
const WORDS: &[u8] = b"NAMES-AND-WORDS";

/// The files that have the words.
pub fn found(folder: &TempDir) -> Vec<String> {
    let has = |path: &Path| std::fs::read(path).unwrap().windows(WORDS.len()).any(|window| window == WORDS);
    let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| has(path)).map(|path| path.display().to_string()).collect()
}

#[tokio::test]
async fn no_file_of_the_database_has_the_words_of_what_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world_in(&folder).await;
    let times = spanning(10, 20);
    // Others', so that pages are shared and freed.
    let other = world.joined(&ids(Some("AJ_other"), Some("RM_other")), times).await.unwrap().recording.id;
    let session = world.joined(&ids(Some("AJ_1"), Some("RM_1")), times).await.unwrap().recording.id;
    let room = world.live("RM_2").await;
    for (job, room) in [(Some("AJ_1"), Some("RM_1")), (None, Some("RM_1")), (Some("AJ_1"), None), (None, Some("RM_2"))]
    {
        assert!(world.telemetry(&ids(job, room)).await.0);
    }
    for room in ["RM_1", "RM_2"] {
        world.around(room).await;
    }
    world.joined(&ids(Some("AJ_2"), Some("RM_2")), times).await.unwrap();
    assert!(!found(&folder).is_empty());
    for id in [session, room, other] {
        world.deleted(id).await;
    }
    assert_eq!(found(&folder), Vec::<String>::new());
    // What comes later for the same.
    for (job, room) in
        [(Some("AJ_1"), Some("RM_1")), (Some("AJ_1"), None), (None, Some("RM_1")), (Some("AJ_3"), Some("RM_2"))]
    {
        let (kept, key) = world.telemetry(&ids(job, room)).await;
        assert!(!kept, "{job:?} {room:?}");
        world.store.forget_objects(&[key]).await.unwrap();
    }
    world.around("RM_1").await;
    world.around("RM_2").await;
    for (job, room) in [("AJ_1", "RM_1"), ("AJ_2", "RM_2")] {
        assert!(world.joined(&ids(Some(job), Some(room)), times).await.is_none());
    }
    assert_eq!(found(&folder), Vec::<String>::new());
    // A request that is sent again is known all the same.
    let once = Once { key: "NAMES-AND-WORDS RM_2".to_owned(), asked: "NAMES-AND-WORDS asked".to_owned() };
    assert!(world.store.repeated(&mine(), &once, at(2)).await.unwrap().is_some());
}

/// Rows grow, pages are split, and rows move: copies of them stay between the rows of the pages where they were.
#[tokio::test]
async fn copies_of_rows_that_moved_to_another_page_go_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world_in(&folder).await;
    let store = Arc::clone(&world.store);
    let mut seed = 5_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut rooms = Vec::new();
    for number in 0..300_u32 {
        // Ids in no order, so that rows come between others.
        world.next = u128::from(next(1 << 30)) << 64 | u128::from(number) << 8;
        let label = "NAMES-AND-WORDS".repeat(1 + next(4) as usize);
        let room = format!("RM_{number}");
        let new = NewLive { labels: BTreeMap::from([("phone".to_owned(), label)]), ..world.asked(&room) };
        rooms.push(world.live_as(&new, &room).await);
    }
    for _ in 0..3 {
        for id in &rooms {
            let track = Track {
                id: "TR_1".to_owned(),
                participant: "NAMES-AND-WORDS of a participant".to_owned(),
                kind: "audio".to_owned(),
                source: "microphone".to_owned(),
                started_at: at(1),
                duration: MediaTime::ZERO,
            };
            store.note_tracks(*id, &vec![track; next(4) as usize]).await.unwrap();
        }
    }
    for id in &rooms {
        store.request_deletion(&mine(), *id, at(100)).await.unwrap();
        store.erase_rows(Erasure::Recording(*id)).await.unwrap();
    }
    store.scrub().await.unwrap();
    assert_eq!(found(&folder), Vec::<String>::new());
    // And it is a database still.
    let mut other = connection(&folder).await;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut other).await.unwrap();
    assert_eq!(verdict, "ok");
    sqlx::Connection::close(other).await.unwrap();
    // What is written from now on is written from what the file has, not from what the connection had in memory.
    for id in &rooms {
        store.room_over(owned(*id), at(101)).await.unwrap();
    }
    let mut other = connection(&folder).await;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut other).await.unwrap();
    assert_eq!(found(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn the_body_of_a_webhook_goes_when_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut world = world_in(&folder).await;
    let webhook = Event { room_name: "lobby".to_owned(), ..world.webhook("RM_1") };
    assert_eq!(world.store.apply(&webhook, at(3)).await.unwrap(), Applied::Stored);
    assert!(!found(&folder).is_empty());
    world.store.event_done(&webhook.id, None).await.unwrap();
    world.store.scrub().await.unwrap();
    assert_eq!(found(&folder), Vec::<String>::new());
}
