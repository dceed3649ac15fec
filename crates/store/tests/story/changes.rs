//! Whoever watches a recording is told when something of it was written.

use std::sync::Arc;

use echosphere_domain::location::Location;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_store::Error;

use crate::work::{aac, is_told, key, segment};
use crate::world::{World, at, mine, owned};

on_each! {
    whoever_watches_a_recording_is_told_of_what_is_written_to_it_alone,
    a_transaction_that_fails_tells_nothing,
}

async fn whoever_watches_a_recording_is_told_of_what_is_written_to_it_alone(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    let id = room.0.id;
    let another = world.live("RM_2").await;
    let (mut ours, mut theirs) = (store.changes().of(id), store.changes().of(another));
    assert!(!is_told(&mut ours).await, "not of what was written before");
    let segment = segment(room.1.id, 0);
    store
        .append_segments(owned(id), &aac(), std::slice::from_ref(&segment), segment.duration, &[], at(110))
        .await
        .unwrap();
    assert!(is_told(&mut ours).await);
    world.row(id).await;
    assert!(!is_told(&mut ours).await, "nothing was written since");
    let session = world.upload(Some("AJ_1"), 110, 390).await;
    assert!(is_told(&mut ours).await, "it has one more capture");
    world.read_live(&session, (110, 390)).await;
    assert!(is_told(&mut ours).await, "which was read");
    world.settled(&room, 100, 400).await;
    assert!(is_told(&mut ours).await);
    store.request_deletion(&mine(), id, at(500)).await.unwrap();
    assert!(is_told(&mut ours).await);
    assert!(!is_told(&mut theirs).await);
    store.request_deletion(&mine(), another, at(500)).await.unwrap();
    assert!(is_told(&mut theirs).await && !is_told(&mut ours).await);
}

async fn a_transaction_that_fails_tells_nothing(mut world: World) {
    let store = Arc::clone(&world.store);
    let (recording, capture) = world.room(100).await;
    let mut changed = store.changes().of(recording.id);
    // The segment is inserted, and then it is found that its object was never announced.
    let state = SegmentState::Stored(Location::part(key("recordings/x/unannounced.ts"), 0, 9));
    let segment = Segment { state, ..segment(capture.id, 0) };
    let duration = segment.duration;
    let failed = store.append_segments(owned(recording.id), &aac(), &[segment], duration, &[], at(110)).await;
    assert!(matches!(failed, Err(Error::NotFound(_))), "{failed:?}");
    assert!(store.segment_index(recording.id).await.unwrap().is_empty());
    assert!(!is_told(&mut changed).await);
    world.live("RM_2").await;
    assert!(!is_told(&mut changed).await, "nor does the next transaction, which is about another recording");
}
