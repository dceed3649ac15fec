//! Who was in rooms, as webhooks tell it.

use std::sync::Arc;

use echosphere_store::NewLive;

use crate::work::other;
use crate::world::{World, at, mine, person};

on_each! {
    what_was_told_last_counts_and_who_is_left_out_is_not_there,
    no_more_than_a_thousand_people_of_a_room_are_stored,
    people_of_a_room_that_goes_on_are_not_forgotten,
    a_recording_that_is_being_deleted_keeps_nobody_from_being_forgotten,
    the_recordings_of_a_room_that_have_ended_are_found_in_its_project_alone,
}

async fn what_was_told_last_counts_and_who_is_left_out_is_not_there(world: World) {
    let store = Arc::clone(&world.store);
    for (name, when) in [("first", 1), ("newest", 3), ("late", 2)] {
        store.note_person(&mine(), "RM_1", &person("bob", name), at(when)).await.unwrap();
    }
    for project in [mine(), other()] {
        store.note_person(&project, "RM_1", &person("shy", "Shy Person"), at(1)).await.unwrap();
    }
    store.note_person(&mine(), "RM_2", &person("carol", "c"), at(1)).await.unwrap();
    store.leave_out(&mine(), "RM_1", "shy", at(0)).await.unwrap();
    store.note_person(&mine(), "RM_1", &person("shy", "Shy Person"), at(9)).await.unwrap();
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap(), [person("bob", "newest")]);
    assert_eq!(store.people(&other(), "RM_1").await.unwrap(), [person("shy", "Shy Person")], "another room");
    assert_eq!(store.people(&other(), "RM_2").await.unwrap(), []);
    store.note_person(&mine(), "RM_1", &person("amy", "Amy"), at(3)).await.unwrap();
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap(), [person("amy", "Amy"), person("bob", "newest")]);
    assert_eq!(store.forget_people(at(2)).await.unwrap(), 3, "carol, and in both projects shy");
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap().len(), 2);
}

async fn no_more_than_a_thousand_people_of_a_room_are_stored(world: World) {
    let store = Arc::clone(&world.store);
    for number in 0..1_100 {
        store.note_person(&mine(), "RM_crowd", &person(&number.to_string(), ""), at(1)).await.unwrap();
    }
    store.note_person(&mine(), "RM_1", &person("bob", "Bob"), at(2)).await.unwrap();
    assert_eq!(store.people(&mine(), "RM_crowd").await.unwrap().len(), 1_000);
    assert_eq!(store.forget_people(at(2)).await.unwrap(), 1_000);
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap().len(), 1);
}

async fn people_of_a_room_that_goes_on_are_not_forgotten(mut world: World) {
    let store = Arc::clone(&world.store);
    let new = NewLive { room_name: "a\tb".to_owned(), ..world.asked("RM_1") };
    let id = world.begun(&new, "RM_1").await.0.id;
    for room in ["RM_1", "RM_2"] {
        store.note_person(&mine(), room, &person("bob", "b"), at(0)).await.unwrap();
    }
    assert_eq!(store.forget_people(at(9)).await.unwrap(), 1);
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap().len(), 1);
    assert_eq!(store.ended_recordings(&mine(), "RM_1").await.unwrap(), [], "it has not ended");
    store.add_participants(id, &[person("bob", "b"), person("amy", "a")]).await.unwrap();
    store.add_participants(id, &[person("bob", "other")]).await.unwrap();
    assert_eq!(world.row(id).await.0.participants, [person("bob", "b"), person("amy", "a")]);
}

async fn a_recording_that_is_being_deleted_keeps_nobody_from_being_forgotten(mut world: World) {
    let store = Arc::clone(&world.store);
    let new = world.asked("RM_1");
    let id = world.begun(&new, "RM_1").await.0.id;
    store.request_deletion(&mine(), id, at(1)).await.unwrap();
    store.note_person(&mine(), "RM_1", &person("bob", "b"), at(2)).await.unwrap();
    store.forget_people(at(9)).await.unwrap();
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap(), []);
}

async fn the_recordings_of_a_room_that_have_ended_are_found_in_its_project_alone(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    store.note_person(&mine(), "RM_1", &person("bob", "b"), at(0)).await.unwrap();
    world.settled(&room, 100, 400).await;
    assert_eq!(store.ended_recordings(&mine(), "RM_1").await.unwrap(), [room.0.id]);
    assert!(store.ended_recordings(&mine(), "RM_2").await.unwrap().is_empty());
    assert!(store.ended_recordings(&other(), "RM_1").await.unwrap().is_empty());
    assert_eq!(store.forget_people(at(9)).await.unwrap(), 1, "the room has ended");
    store.request_deletion(&mine(), room.0.id, at(500)).await.unwrap();
    assert!(store.ended_recordings(&mine(), "RM_1").await.unwrap().is_empty());
}
