//! The segment index of a recording's current revision.

use std::sync::Arc;

use echosphere_domain::id::RecordingId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::recording::Gap;
use echosphere_domain::segment::{AUDIO_RENDITION, Location};
use echosphere_domain::time::MediaTime;
use echosphere_store::{Purpose, StoredSegment};

use crate::work::{is_told, key};
use crate::world::{World, at, mine};

on_each! {
    a_segment_is_found_by_its_place,
    a_segment_stays_where_it_was_stored_first,
    a_lost_segment_is_a_gap_of_its_extent,
}

async fn a_segment_is_found_by_its_place(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let index = store.segments(id, AUDIO_RENDITION).await.unwrap();
    assert_eq!(index.iter().map(|segment| segment.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(store.segment(id, AUDIO_RENDITION, 1).await.unwrap().as_ref(), Some(&index[1]));
    assert_eq!(store.segment(id, AUDIO_RENDITION, 2).await.unwrap(), None);
    assert_eq!(store.segment(id, "video", 1).await.unwrap(), None);
    let another = RecordingId::new(world.uuid());
    assert_eq!(store.segment(another, AUDIO_RENDITION, 1).await.unwrap(), None);
}

async fn a_segment_stays_where_it_was_stored_first(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let [first, second, stale, late] = [1, 2, 3, 4].map(|number| key(&format!("recordings/x/{number}.ts")));
    let all = [first.clone(), second.clone(), stale.clone(), late.clone()];
    store.announce(&mine(), Some(id), Purpose::Segment, &all, at(1)).await.unwrap();
    let note = async |revision: u32, key: &ObjectKey| {
        let stored = [StoredSegment { index: 0, key: key.clone(), offset: 0, length: 9 }];
        store.segments_stored(id, AUDIO_RENDITION, revision, &stored, at(2)).await.unwrap()
    };
    let mut changed = store.changes().of(id);
    assert!(note(1, &first).await && is_told(&mut changed).await);
    assert!(note(1, &second).await);
    let segment = store.segment(id, AUDIO_RENDITION, 0).await.unwrap().unwrap();
    assert_eq!(segment.location, Location::Stored { key: first.clone(), offset: 0, length: 9 });
    assert!(!note(0, &stale).await && !note(0, &first).await, "of a revision that is not current");
    assert_eq!(world.condemned().await, [second, stale], "but not what a current segment is in");
    store.request_deletion(&mine(), id, at(3)).await.unwrap();
    assert!(!note(1, &late).await);
    assert!(world.condemned().await.contains(&late));
}

async fn a_lost_segment_is_a_gap_of_its_extent(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    store.segment_lost(id, AUDIO_RENDITION, 2, 0, "of another revision").await.unwrap();
    store.segment_lost(id, "video", 1, 0, "of another rendition").await.unwrap();
    let before = world.row(id).await.0;
    assert_eq!((before.state.partial, before.gaps), (false, vec![]));
    for reason in ["storage_lost", "lost again"] {
        store.segment_lost(id, AUDIO_RENDITION, 1, 1, reason).await.unwrap();
    }
    let index = store.segments(id, AUDIO_RENDITION).await.unwrap();
    assert_eq!(index[0].location, Location::Renderable);
    assert_eq!(index[1].location, Location::Missing { reason: "storage_lost".to_owned() });
    let four_seconds = MediaTime::from_millis(4_000);
    let gap = Gap { start: four_seconds, duration: four_seconds, reason: "storage_lost".to_owned() };
    let after = world.row(id).await.0;
    assert_eq!((after.state.partial, after.gaps), (true, vec![gap]));
}
