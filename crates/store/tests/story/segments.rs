//! The segment index of a recording's current revision.

use std::sync::Arc;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::{ForeignKey, Key, Location, StoreName};
use echosphere_domain::recording::Gap;
use echosphere_domain::rendition::{Container, Rendition, RenditionId};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::MediaTime;
use echosphere_store::{Erasure, Purpose, StoredSegment};

use crate::work::{aac, is_told, key, segment};
use crate::world::{World, at, mine, owned};

on_each! {
    a_segment_is_found_by_its_place,
    a_segment_stays_where_it_was_stored_first,
    a_lost_segment_is_a_gap_of_its_extent,
    old_segments_are_given_up_and_can_be_stored_again,
    renditions_are_data_and_the_first_one_makes_the_timeline,
    what_somebody_else_stored_is_kept_as_it_is,
}

fn video() -> RenditionId {
    RenditionId::parse("video").unwrap()
}

async fn a_segment_is_found_by_its_place(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let index = store.segment_index(id).await.unwrap();
    assert_eq!(index.iter().map(|segment| segment.index).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(store.segment(id, &aac().id, 1).await.unwrap().as_ref(), Some(&index[1]));
    assert_eq!(store.segment(id, &aac().id, 2).await.unwrap(), None);
    assert_eq!(store.segment(id, &video(), 1).await.unwrap(), None);
    let another = RecordingId::new(world.uuid());
    assert_eq!(store.segment(another, &aac().id, 1).await.unwrap(), None);
}

async fn a_segment_stays_where_it_was_stored_first(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let [first, second, stale, late] = [1, 2, 3, 4].map(|number| key(&format!("recordings/x/{number}.ts")));
    let all = [first.clone(), second.clone(), stale.clone(), late.clone()];
    store.announce(&mine(), Some(id), Purpose::Segment, &all, at(1)).await.unwrap();
    let note = async |revision: u32, key: &ObjectKey| {
        let stored = [StoredSegment { index: 0, location: Location::part(key.clone(), 0, 9) }];
        store.segments_stored(id, &aac().id, revision, &stored, at(2)).await.unwrap()
    };
    let mut changed = store.changes().of(id);
    assert!(note(1, &first).await && is_told(&mut changed).await);
    assert!(note(1, &second).await);
    let segment = store.segment(id, &aac().id, 0).await.unwrap().unwrap();
    assert_eq!(segment.state, SegmentState::Stored(Location::part(first.clone(), 0, 9)));
    assert!(!note(0, &stale).await && !note(0, &first).await, "of a revision that is not current");
    assert_eq!(world.condemned().await, [second, stale], "but not what a current segment is in");
    store.request_deletion(&mine(), id, at(3)).await.unwrap();
    assert!(!note(1, &late).await);
    assert!(world.condemned().await.contains(&late));
}

async fn old_segments_are_given_up_and_can_be_stored_again(mut world: World) {
    let store = Arc::clone(&world.store);
    let uploaded = world.uploaded(Some("AJ_1"), 0, 8).await;
    let (id, capture) = (uploaded.recording.id, uploaded.capture.id);
    let [old, new] = [1, 2].map(|number| key(&format!("recordings/x/{number}.ts")));
    store.announce(&mine(), Some(id), Purpose::Segment, &[old.clone(), new.clone()], at(1)).await.unwrap();
    let note = async |index: u32, key: &ObjectKey, now: i64| {
        let stored = [StoredSegment { index, location: Location::part(key.clone(), 0, 9) }];
        assert!(store.segments_stored(id, &aac().id, 1, &stored, at(now)).await.unwrap());
    };
    note(0, &old, 10).await;
    note(1, &new, 20).await;
    assert_eq!(store.with_old_segments(at(10), None, 10).await.unwrap(), []);
    assert_eq!(store.with_old_segments(at(15), None, 10).await.unwrap(), [(mine(), id)]);
    assert_eq!(store.with_old_segments(at(15), Some(id), 10).await.unwrap(), []);
    let another = CaptureId::new(world.uuid());
    let give_up = async |capture, before, gone| {
        store.give_up_segments(id, &aac().id, &[capture], at(before), at(gone)).await.unwrap()
    };
    assert_eq!(give_up(another, 15, 100).await, 0, "of a capture that cannot be rendered");
    let mut changed = store.changes().of(id);
    assert_eq!(give_up(capture, 15, 100).await, 1);
    assert!(is_told(&mut changed).await);
    let index = store.segment_index(id).await.unwrap();
    assert_eq!(index[0].state, SegmentState::Renderable);
    assert_eq!(index[1].state, SegmentState::Stored(Location::part(new.clone(), 0, 9)));
    // An address that was given out before may be used until then.
    assert!(store.sweepable(at(100), at(0), 10).await.unwrap().is_empty());
    let swept = store.sweepable(at(101), at(0), 10).await.unwrap();
    assert!(swept.len() == 1 && swept[0].key == old);
    // Somebody asks for it again.
    store.announce(&mine(), Some(id), Purpose::Segment, std::slice::from_ref(&old), at(30)).await.unwrap();
    note(0, &old, 31).await;
    assert!(store.sweepable(at(1_000), at(1_000), 10).await.unwrap().is_empty());
    assert_eq!(give_up(capture, 25, 100).await, 1, "it is younger now than the other");
}

async fn a_lost_segment_is_a_gap_of_its_extent(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    store.segment_lost(id, &aac().id, 2, 0, "of another revision").await.unwrap();
    store.segment_lost(id, &video(), 1, 0, "of another rendition").await.unwrap();
    let before = world.row(id).await.0;
    assert_eq!((before.state.partial, before.gaps), (false, vec![]));
    for reason in ["storage_lost", "lost again"] {
        store.segment_lost(id, &aac().id, 1, 1, reason).await.unwrap();
    }
    let index = store.segment_index(id).await.unwrap();
    assert_eq!(index[0].state, SegmentState::Renderable);
    assert_eq!(index[1].state, SegmentState::Missing { reason: "storage_lost".to_owned() });
    let four_seconds = MediaTime::from_millis(4_000);
    let gap = Gap { start: four_seconds, duration: four_seconds, reason: "storage_lost".to_owned() };
    let after = world.row(id).await.0;
    assert_eq!((after.state.partial, after.gaps), (true, vec![gap]));
}

async fn renditions_are_data_and_the_first_one_makes_the_timeline(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    assert_eq!(store.renditions(id).await.unwrap(), [aac()]);
    assert_eq!(store.renditions(RecordingId::new(world.uuid())).await.unwrap(), []);
    let room = world.live("RM_1").await;
    store.heard(owned(room), at(2)).await.unwrap();
    let capture = world.row(room).await.1[0].id;
    let init = Location::part(key("recordings/x/init.mp4"), 3, 700);
    let opus = Rendition {
        id: RenditionId::parse("opus").unwrap(),
        codecs: "opus".to_owned(),
        bandwidth: 64_000,
        container: Container::Fmp4,
        init: Some(init),
    };
    let append = async |rendition: &Rendition, index: u32| {
        let segment = segment(capture, index);
        store.append_segments(owned(room), rendition, &[segment], MediaTime::ZERO, &[], at(3)).await.unwrap();
    };
    append(&opus, 0).await;
    append(&aac(), 0).await;
    append(&opus, 1).await;
    assert_eq!(store.renditions(room).await.unwrap(), [opus.clone(), aac()]);
    assert_eq!(store.segments(room, &opus.id).await.unwrap().len(), 2);
    assert_eq!(store.segments(room, &aac().id).await.unwrap().len(), 1);
    assert_eq!(store.segment_index(room).await.unwrap(), store.segments(room, &opus.id).await.unwrap());
}

async fn what_somebody_else_stored_is_kept_as_it_is(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.live("RM_1").await;
    store.heard(owned(room), at(2)).await.unwrap();
    let capture = world.row(room).await.1[0].id;
    // A key of theirs that looks like one of ours, and one that never could be one.
    let names = ["recordings/x/0.ts", "../their folder/1.ts?"];
    let segments: Vec<Segment> = (0..)
        .zip(names)
        .map(|(index, name)| {
            let theirs = Location {
                store: StoreName::parse("their-bucket").unwrap(),
                key: Key::Foreign(ForeignKey::new(name).unwrap()),
                ..Location::part(key("x"), 5, 7)
            };
            Segment { state: SegmentState::Stored(theirs), ..segment(capture, index) }
        })
        .collect();
    store.append_segments(owned(room), &aac(), &segments, MediaTime::ZERO, &[], at(3)).await.unwrap();
    assert_eq!(store.segment_index(room).await.unwrap(), segments);
    // It is nothing of ours, and nothing of ours is taken for it.
    let ours = key("recordings/x/0.ts");
    store.announce(&mine(), Some(room), Purpose::Segment, std::slice::from_ref(&ours), at(4)).await.unwrap();
    assert!(store.belongings(Erasure::Recording(room)).await.unwrap().objects.contains(&ours));
    let elsewhere = [StoredSegment { index: 0, location: Location::part(ours.clone(), 0, 9) }];
    assert!(store.segments_stored(room, &aac().id, 1, &elsewhere, at(5)).await.unwrap());
    assert_eq!(store.segment_index(room).await.unwrap(), segments, "it stays where it was stored first");
    assert!(world.condemned().await.contains(&ours));
}
