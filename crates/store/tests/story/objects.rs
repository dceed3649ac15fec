//! The rows of objects: announced before they are written, live while something needs them, swept when nothing does.

use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_store::{Erasure, Error, Purpose};

use crate::work::key;
use crate::world::{World, at, mine};

on_each! {
    what_was_announced_and_not_written_is_swept_by_its_age,
    a_chunk_of_a_log_is_live_at_once,
    what_is_condemned_waits_for_the_sweeper,
    a_folder_is_announced_as_a_whole,
}

async fn announced(world: &World, purpose: Purpose, key: &ObjectKey, now: WallTime) {
    world.store.announce(&mine(), None, purpose, from_ref(key), now).await.unwrap();
}

async fn sweepable(world: &World, condemned: WallTime, announced: WallTime, limit: u32) -> Vec<ObjectKey> {
    let found = world.store.sweepable(condemned, announced, limit).await.unwrap();
    found.into_iter().map(|object| object.key).collect()
}

async fn what_was_announced_and_not_written_is_swept_by_its_age(world: World) {
    let (old, new) = (key("b/old"), key("a/new"));
    announced(&world, Purpose::Segment, &old, at(10)).await;
    announced(&world, Purpose::Segment, &new, at(20)).await;
    assert!(sweepable(&world, at(99), at(10), 10).await.is_empty(), "not announced before that");
    assert_eq!(sweepable(&world, at(0), at(21), 10).await, [old.clone(), new.clone()], "oldest first");
    assert_eq!(sweepable(&world, at(0), at(21), 1).await, from_ref(&old));
    announced(&world, Purpose::Segment, &old, at(30)).await;
    assert_eq!(sweepable(&world, at(0), at(30), 10).await, from_ref(&new), "its age starts again");
    assert_eq!(world.store.swept(&[new.clone(), key("a/unknown")]).await.unwrap(), [new]);
    assert_eq!(sweepable(&world, at(0), at(31), 10).await, [old]);
}

async fn a_chunk_of_a_log_is_live_at_once(world: World) {
    let chunk = key("a/log/0");
    announced(&world, Purpose::Log, &chunk, at(1)).await;
    assert!(sweepable(&world, at(99), at(99), 10).await.is_empty());
    assert!(world.store.swept(from_ref(&chunk)).await.unwrap().is_empty());
}

async fn what_is_condemned_waits_for_the_sweeper(mut world: World) {
    let store = Arc::clone(&world.store);
    let object = key("a/object");
    for time in [10, 12] {
        announced(&world, Purpose::Log, &object, at(time)).await;
    }
    assert!(sweepable(&world, at(99), at(99), 10).await.is_empty(), "what is live stays live");
    let joined = world.upload(Some("AJ_1"), 20, 28).await;
    store.drop_duplicate(joined.capture.upload.unwrap(), at(40)).await.unwrap();
    assert!(sweepable(&world, at(40), at(99), 10).await.is_empty(), "condemned just then");
    for _ in 0..2 {
        assert_eq!(sweepable(&world, at(41), at(0), 10).await, from_ref(&joined.body), "listed until it is swept");
    }
    announced(&world, Purpose::Upload, &joined.body, at(50)).await;
    assert!(sweepable(&world, at(99), at(50), 10).await.is_empty(), "announced anew");
    assert_eq!(store.swept(&[joined.body.clone(), object]).await.unwrap(), [joined.body]);
}

async fn a_folder_is_announced_as_a_whole(mut world: World) {
    let store = Arc::clone(&world.store);
    let recording = world.uploaded(Some("AJ_1"), 0, 8).await.recording;
    let (folder, inside) = (key("a/attempt"), key("a/attempt/0.ts"));
    store.announce_folder(&mine(), recording.id, Purpose::Segment, &folder, at(10)).await.unwrap();
    store.announce(&mine(), Some(recording.id), Purpose::Segment, from_ref(&inside), at(10)).await.unwrap();
    let found = store.sweepable(at(0), at(11), 10).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|found| (found.key, found.is_folder)).collect();
    found.sort();
    assert_eq!(found, [(folder.clone(), true), (inside.clone(), false)]);
    assert_eq!(store.known_objects(&[key("a/attempt/1.ts"), inside.clone()]).await.unwrap(), [inside]);
    store.request_deletion(&mine(), recording.id, at(20)).await.unwrap();
    let late = store.announce_folder(&mine(), recording.id, Purpose::Segment, &folder, at(21)).await;
    assert!(matches!(late, Err(Error::Deleted(_))));
    let belongings = store.belongings(Erasure::Recording(recording.id)).await.unwrap();
    assert!(belongings.folders.contains(&folder) && !belongings.objects.contains(&folder));
}
