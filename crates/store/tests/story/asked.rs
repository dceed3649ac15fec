//! What users ask of a room that is being recorded: it counts at once, and waits for the room's owner.

use std::sync::Arc;

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Deletion;
use echosphere_store::{Answer, Applied, Command, Event, EventId, Stretch, TaskKind, What};

use crate::work::other;
use crate::world::{World, at, mine, node, owned};

on_each! {
    what_is_asked_counts_at_once_and_waits_for_the_owner,
    what_is_asked_of_a_recording_that_does_not_go_on_is_over,
    what_was_not_answered_is_answered_when_the_room_ends,
    what_was_not_answered_is_answered_when_the_recording_is_deleted,
    a_deletion_that_is_asked_for_begins,
    the_owner_of_a_room_is_told_that_its_recording_is_deleted,
}

async fn applied(world: &World, event: &Event) -> Applied {
    world.store.apply(event, at(1_000)).await.unwrap()
}

fn deletion(world: &mut World, id: RecordingId) -> Event {
    Event { what: What::DeletionAsked, ..world.asks(id, Command::Stop, 9) }
}

async fn what_is_asked_counts_at_once_and_waits_for_the_owner(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    let pause = world.asks(id, Command::Pause, 10);
    let exclude = world.asks(id, Command::Exclude("bob \"the shy\"".to_owned()), 11);
    let resume = world.asks(id, Command::Resume, 12);
    for event in [&pause, &exclude, &resume] {
        assert_eq!(applied(&world, event).await, Applied::Stored);
        assert_eq!(applied(&world, event).await, Applied::Known, "once");
    }
    assert_eq!(store.redactions(id).await.unwrap().pauses, [Stretch { from: at(10), to: Some(at(12)) }]);
    assert_eq!(store.excluded(id).await.unwrap(), ["bob \"the shy\""]);
    assert_eq!(store.asked_of(node(), 10).await.unwrap(), [pause.clone(), exclude.clone(), resume.clone()]);
    assert_eq!(store.asked_of(node(), 1).await.unwrap(), std::slice::from_ref(&pause));

    assert_eq!(store.answer(&pause.id).await.unwrap(), None);
    store.event_done(&pause.id, Some(Answer::Acted)).await.unwrap();
    store.event_done(&exclude.id, Some(Answer::Over)).await.unwrap();
    store.event_done(&exclude.id, Some(Answer::Acted)).await.unwrap();
    assert_eq!(store.answer(&pause.id).await.unwrap(), Some(Answer::Acted));
    assert_eq!(store.answer(&exclude.id).await.unwrap(), Some(Answer::Over), "the first answer stays");
    let theirs = EventId { project: other(), ..pause.id.clone() };
    assert_eq!(store.answer(&theirs).await.unwrap(), None);
    assert_eq!(store.asked_of(node(), 10).await.unwrap(), [resume]);
    assert_eq!(applied(&world, &pause).await, Applied::Known);
    assert_eq!(store.redactions(id).await.unwrap().pauses.len(), 1);
}

async fn what_is_asked_of_a_recording_that_does_not_go_on_is_over(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(1).await;
    let id = room.0.id;
    let pause = world.asks(id, Command::Pause, 10);
    let theirs = Event { id: EventId { project: other(), ..pause.id.clone() }, ..pause.clone() };
    assert_eq!(applied(&world, &theirs).await, Applied::Over, "another project's recording");
    let unknown = Event { recording: Some(RecordingId::new(world.uuid())), ..pause.clone() };
    let none = Event { recording: None, ..pause.clone() };
    for event in [&unknown, &none] {
        assert_eq!(applied(&world, event).await, Applied::Over);
    }
    world.settled(&room, 1, 9).await;
    let stop = world.asks(id, Command::Stop, 10);
    for event in [&pause, &stop] {
        assert_eq!(applied(&world, event).await, Applied::Over);
    }
    assert!(store.redactions(id).await.unwrap().pauses.is_empty());
    assert!(store.asked_of(node(), 10).await.unwrap().is_empty());
    assert_eq!(store.answer(&stop.id).await.unwrap(), None, "nothing was stored");
}

async fn what_was_not_answered_is_answered_when_the_room_ends(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    let another = world.live("RM_2").await;
    let (stop, exclude) = (world.asks(id, Command::Stop, 10), world.asks(id, Command::Exclude("bob".to_owned()), 11));
    let elsewhere = world.asks(another, Command::Stop, 12);
    for event in [&stop, &exclude, &elsewhere] {
        assert_eq!(applied(&world, event).await, Applied::Stored);
    }
    store.room_ended(owned(id), at(20)).await.unwrap();
    assert_eq!(store.answer(&stop.id).await.unwrap(), Some(Answer::Acted));
    assert_eq!(store.answer(&exclude.id).await.unwrap(), Some(Answer::Over));
    assert_eq!(store.answer(&elsewhere.id).await.unwrap(), None);
    assert!(store.asked_of(node(), 10).await.unwrap().contains(&elsewhere));
    assert_eq!(store.forget_events(at(99)).await.unwrap(), 2);
}

async fn what_was_not_answered_is_answered_when_the_recording_is_deleted(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.live("RM_1").await;
    let stop = world.asks(id, Command::Stop, 10);
    assert_eq!(applied(&world, &stop).await, Applied::Stored);
    world.deleted(id).await;
    assert_eq!(store.answer(&stop.id).await.unwrap(), Some(Answer::Acted));
    assert!(store.asked_of(node(), 10).await.unwrap().is_empty(), "nor what was asked before");
}

async fn a_deletion_that_is_asked_for_begins(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let asked = deletion(&mut world, id);
    let theirs = Event { id: EventId { project: other(), ..asked.id.clone() }, ..asked.clone() };
    assert_eq!(applied(&world, &theirs).await, Applied::Over);
    assert_eq!(world.deletion(id).await, Deletion::None);
    store.set_hold(&mine(), id, true, at(1)).await.unwrap();
    assert_eq!(applied(&world, &asked).await, Applied::Held);
    assert_eq!(world.deletion(id).await, Deletion::None);
    store.set_hold(&mine(), id, false, at(1)).await.unwrap();
    assert_eq!(applied(&world, &asked).await, Applied::Stored);
    assert_eq!(world.deletion(id).await, Deletion::Pending);
    assert_eq!(world.open_tasks(TaskKind::Erase).await, 1);
    assert_eq!(applied(&world, &asked).await, Applied::Known);
    let again = deletion(&mut world, id);
    assert_eq!(applied(&world, &again).await, Applied::Stored, "it is under way");
    assert!(store.due_events(at(99), 10).await.unwrap().is_empty(), "there is nothing more to do");
    world.erased().await;
    let late = deletion(&mut world, id);
    assert_eq!(applied(&world, &late).await, Applied::Known, "it is deleted already");
    assert_eq!(store.forget_events(at(99)).await.unwrap(), 2);
}

async fn the_owner_of_a_room_is_told_that_its_recording_is_deleted(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    let asked = deletion(&mut world, id);
    assert_eq!(applied(&world, &asked).await, Applied::Stored);
    assert_eq!(world.deletion(id).await, Deletion::Pending);
    assert_eq!(store.asked_of(node(), 10).await.unwrap(), std::slice::from_ref(&asked));
    store.event_done(&asked.id, Some(Answer::Acted)).await.unwrap();
    assert!(store.asked_of(node(), 10).await.unwrap().is_empty());
}
