//! Capture logs, which are given up some time after everything was rendered from them.

use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::id::RecordingId;
use echosphere_domain::location::Location;
use echosphere_domain::recording::Recording;
use echosphere_store::{Purpose, StoredSegment};

use crate::work::{aac, key, track};
use crate::world::{World, at, mine};

on_each! {
    a_log_is_given_up_when_all_is_rendered_and_it_is_old,
    the_log_of_what_is_being_deleted_is_not_given_up,
}

/// The room `RM_1`, recorded from second 100 to second 400.
async fn recorded(world: &mut World) -> Recording {
    let room = world.room(100).await;
    let chunk = room.0.prefix.log_chunk(1, 0);
    world.store.announce(&mine(), Some(room.0.id), Purpose::Log, from_ref(&chunk), at(100)).await.unwrap();
    world.store.note_tracks(room.0.id, &[track()]).await.unwrap();
    world.settled(&room, 100, 400).await;
    room.0
}

/// All segments of a recording are stored.
async fn stored(world: &World, id: RecordingId) {
    let object = key("recordings/x/all.ts");
    world.store.announce(&mine(), Some(id), Purpose::Segment, from_ref(&object), at(401)).await.unwrap();
    let stored = [0, 1].map(|index| StoredSegment { index, location: Location::part(object.clone(), 0, 9) });
    let revision = world.row(id).await.0.state.revision;
    assert!(world.store.segments_stored(id, &aac().id, revision, &stored, at(401)).await.unwrap());
}

async fn a_log_is_given_up_when_all_is_rendered_and_it_is_old(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = recorded(&mut world).await;
    assert_eq!(store.give_up_logs(at(401), at(9_999)).await.unwrap(), 0, "segments are to be rendered from it");
    stored(&world, room.id).await;
    assert_eq!(store.give_up_logs(at(400), at(9_999)).await.unwrap(), 0, "it ended just then");
    assert!(world.condemned().await.is_empty());
    assert_eq!(store.give_up_logs(at(401), at(9_999)).await.unwrap(), 1);
    assert_eq!(world.condemned().await, [room.prefix.log_chunk(1, 0)]);
    let (recording, captures) = world.row(room.id).await;
    assert!(captures[0].audio.as_ref().unwrap().is_gone());
    assert!(recording.tracks.is_empty());
    assert_eq!(store.give_up_logs(at(401), at(9_999)).await.unwrap(), 0, "once");
}

async fn the_log_of_what_is_being_deleted_is_not_given_up(mut world: World) {
    let room = recorded(&mut world).await;
    stored(&world, room.id).await;
    world.store.request_deletion(&mine(), room.id, at(500)).await.unwrap();
    assert_eq!(world.store.give_up_logs(at(9_999), at(9_999)).await.unwrap(), 0);
}
