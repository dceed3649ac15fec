//! Two nodes and one room: who owns it writes about it, and nobody else.

use std::sync::Arc;

use echosphere_domain::id::{NodeId, RecordingId};
use echosphere_domain::lifecycle::Status;
use echosphere_domain::time::MediaTime;
use echosphere_store::{Command, Error, LeftOut, LiveRow, NewLive, OwnedRoom, TaskKind};
use uuid::Uuid;

use crate::work::{aac, segment};
use crate::world::{World, at, mine, node, owned};

on_each! {
    a_room_is_claimed_by_another_node_when_its_lease_has_expired,
    what_another_node_writes_about_a_room_is_refused,
    a_lease_is_prolonged_for_rooms_that_are_still_a_node_s_own,
    the_captures_of_other_nodes_are_known,
    what_is_asked_goes_to_whoever_owns_the_room_now,
    a_room_that_has_ended_may_end_again,
}

fn another() -> NodeId {
    NodeId::new(Uuid::from_u128(0xb))
}

fn theirs(recording: RecordingId) -> OwnedRoom {
    OwnedRoom { recording, owner: another() }
}

/// The rooms that a node claims at a second, for a minute.
async fn claimed(world: &World, node: NodeId, second: i64) -> Vec<LiveRow> {
    world.store.claim_rooms(node, at(second), at(second + 60)).await.unwrap()
}

/// A room that `node()` owns until second 61.
async fn room(world: &mut World) -> RecordingId {
    let new = NewLive { once: None, ..world.asked("RM_1") };
    world.begun(&new, "RM_1").await.0.id
}

fn is_refused<T>(result: &Result<T, Error>, room: RecordingId) -> bool {
    matches!(result, Err(Error::NotOwner(refused)) if *refused == room)
}

async fn a_room_is_claimed_by_another_node_when_its_lease_has_expired(mut world: World) {
    let id = room(&mut world).await;
    assert!(claimed(&world, another(), 60).await.is_empty(), "the lease lasts");
    let own = claimed(&world, node(), 2).await;
    assert_eq!((own[0].recording.id, own[0].previous_owner), (id, Some(node())), "until second 62 from now on");
    assert!(claimed(&world, another(), 61).await.is_empty());
    let taken = claimed(&world, another(), 62).await;
    assert_eq!((taken[0].recording.id, taken[0].previous_owner), (id, Some(node())));
    assert!(claimed(&world, node(), 63).await.is_empty(), "it is the other's now");
    world.store.heard(theirs(id), at(64)).await.unwrap();
    assert_eq!(world.row(id).await.0.state.status, Status::Active);
}

async fn what_another_node_writes_about_a_room_is_refused(mut world: World) {
    let store = Arc::clone(&world.store);
    let (recording, capture) = world.room(1).await;
    let id = recording.id;
    let foreign = theirs(id);
    let segment = segment(capture.id, 0);
    assert!(is_refused(&store.room_joined(foreign, "RM_9").await, id));
    assert!(is_refused(&store.heard(foreign, at(9)).await, id));
    let appended = store.append_segments(foreign, &aac(), &[segment], MediaTime::from_millis(4_000), &[], at(9)).await;
    assert!(is_refused(&appended, id));
    assert!(is_refused(&store.note_left_out(foreign, LeftOut { agent: true, from: None }).await, id));
    assert!(is_refused(&store.room_over(foreign, at(9)).await, id));
    assert!(is_refused(&store.room_ended(foreign, at(9)).await, id));
    let now = world.row(id).await.0;
    assert_eq!((now.room_sid.as_deref(), now.state.status, now.state.is_over), (Some("RM_1"), Status::Active, false));
    assert!(store.segment_index(id).await.unwrap().is_empty());
    assert!(store.redactions(id).await.unwrap().left_out.is_empty());
    assert_eq!(world.open_tasks(TaskKind::Finalize).await, 0);
    // Nor may whoever has lost it.
    assert_eq!(claimed(&world, another(), 61).await.len(), 1);
    assert!(is_refused(&store.room_ended(owned(id), at(62)).await, id));
    store.room_ended(foreign, at(62)).await.unwrap();
    assert_eq!(world.row(id).await.0.state.status, Status::Processing);
}

async fn a_lease_is_prolonged_for_rooms_that_are_still_a_node_s_own(mut world: World) {
    let store = Arc::clone(&world.store);
    let kept = room(&mut world).await;
    let new = NewLive { lease_until: at(10), once: None, ..world.asked("RM_2") };
    let lost = world.begun(&new, "RM_2").await.0.id;
    let new = NewLive { once: None, ..world.asked("RM_3") };
    let ended = world.begun(&new, "RM_3").await.0.id;
    let new = NewLive { once: None, ..world.asked("RM_4") };
    let deleted = world.begun(&new, "RM_4").await.0.id;
    store.room_ended(owned(ended), at(5)).await.unwrap();
    store.request_deletion(&mine(), deleted, at(5)).await.unwrap();
    assert_eq!(claimed(&world, another(), 10).await.len(), 1);
    assert_eq!(store.prolong_rooms(node(), at(200)).await.unwrap(), [kept]);
    assert_eq!(store.prolong_rooms(another(), at(90)).await.unwrap(), [lost]);
    assert!(claimed(&world, node(), 89).await.iter().all(|row| row.recording.id == kept));
    assert!(claimed(&world, another(), 148).await.iter().all(|row| row.recording.id == lost));
}

async fn the_captures_of_other_nodes_are_known(mut world: World) {
    let store = Arc::clone(&world.store);
    let (recording, capture) = world.room(1).await;
    assert_eq!(store.captures_elsewhere(another()).await.unwrap(), [capture.id]);
    assert!(store.captures_elsewhere(node()).await.unwrap().is_empty());
    store.room_ended(owned(recording.id), at(9)).await.unwrap();
    assert!(store.captures_elsewhere(another()).await.unwrap().is_empty(), "it is nobody's any more");
}

async fn what_is_asked_goes_to_whoever_owns_the_room_now(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = room(&mut world).await;
    let asked = world.asks(id, Command::Pause, 5);
    store.apply(&asked, at(5)).await.unwrap();
    assert!(store.asked_of(another(), 10).await.unwrap().is_empty());
    assert_eq!(claimed(&world, another(), 61).await.len(), 1);
    assert!(store.asked_of(node(), 10).await.unwrap().is_empty());
    assert_eq!(store.asked_of(another(), 10).await.unwrap(), [asked]);
}

async fn a_room_that_has_ended_may_end_again(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    store.room_over(owned(id), at(8)).await.unwrap();
    for second in [9, 10] {
        store.room_ended(owned(id), at(second)).await.unwrap();
        store.room_over(owned(id), at(second)).await.unwrap();
    }
    store.heard(owned(id), at(11)).await.unwrap();
    store.note_left_out(theirs(id), LeftOut { agent: true, from: None }).await.unwrap();
    assert!(store.redactions(id).await.unwrap().left_out.is_empty());
    assert_eq!(world.row(id).await.0.state.status, Status::Processing);
    assert_eq!(world.open_tasks(TaskKind::Finalize).await, 1);
    // Of a recording that is deleted meanwhile, too.
    let deleted = world.live("RM_2").await;
    store.request_deletion(&mine(), deleted, at(9)).await.unwrap();
    for second in [10, 11] {
        store.room_over(owned(deleted), at(second)).await.unwrap();
        store.room_ended(owned(deleted), at(second)).await.unwrap();
    }
}
