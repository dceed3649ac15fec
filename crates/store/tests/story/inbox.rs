//! The inbox: what LiveKit tells and what polling found is stored once, worked on until it is done, and remembered for a while.

use std::sync::Arc;

use echosphere_store::{Applied, Command, Event, EventId, Gone, Origin, What};

use crate::work::{is_told, other};
use crate::world::{World, at, ids, mine, node};

on_each! {
    a_webhook_is_stored_once_in_its_project,
    events_are_due_in_the_order_in_which_they_came,
    an_event_that_failed_is_due_later,
    an_event_that_is_done_is_known_until_it_is_forgotten,
    an_event_that_is_done_is_not_put_off,
    a_room_that_is_found_again_waits_again,
    what_users_ask_is_not_among_webhooks_and_polls,
    of_a_room_of_which_nothing_may_be_kept_an_event_has_neither_name_nor_body,
    whoever_watches_the_inbox_is_told_of_what_there_is_to_do,
}

/// The ids of the events that are due, with how often each has failed.
async fn due(world: &World, second: i64) -> Vec<(String, u32)> {
    let due = world.store.due_events(at(second), 10).await.unwrap();
    due.into_iter().map(|event| (event.id.id, event.attempts)).collect()
}

async fn applied(world: &World, event: &Event) -> Applied {
    world.store.apply(event, at(1_000)).await.unwrap()
}

async fn received(world: &mut World, second: i64) -> EventId {
    let webhook = Event { received_at: at(second), ..world.webhook("RM_1") };
    assert_eq!(applied(world, &webhook).await, Applied::Stored);
    webhook.id
}

/// A room with somebody in it, found by polling.
fn found(world: &mut World, second: i64) -> Event {
    let webhook = world.webhook("RM_1");
    let id = EventId { origin: Origin::Poll, id: "RM_1".to_owned(), ..webhook.id };
    Event { id, what: What::RoomFound, received_at: at(second), ..webhook }
}

/// The same event in the other project.
fn of_the_other(event: &Event) -> Event {
    Event { id: EventId { project: other(), ..event.id.clone() }, ..event.clone() }
}

async fn a_webhook_is_stored_once_in_its_project(mut world: World) {
    let store = Arc::clone(&world.store);
    let webhook = Event { created_at: Some(at(2)), ..world.webhook("RM_1") };
    assert_eq!(applied(&world, &webhook).await, Applied::Stored);
    let what = What::Livekit { event: "room_finished".to_owned(), body: "another body".to_owned() };
    let again = Event { what, received_at: at(1), ..webhook.clone() };
    assert_eq!(applied(&world, &again).await, Applied::Known);
    assert_eq!(store.due_events(at(9), 10).await.unwrap(), std::slice::from_ref(&webhook));
    assert_eq!(applied(&world, &of_the_other(&webhook)).await, Applied::Stored, "another project's event of that id");
    assert_eq!(store.open_events().await.unwrap(), 2);
}

async fn events_are_due_in_the_order_in_which_they_came(mut world: World) {
    let late = received(&mut world, 5).await;
    let early = received(&mut world, 4).await;
    assert!(due(&world, 3).await.is_empty());
    assert_eq!(due(&world, 5).await, [(early.id.clone(), 0), (late.id, 0)]);
    let first = world.store.due_events(at(5), 1).await.unwrap();
    assert_eq!(first.into_iter().map(|event| event.id).collect::<Vec<_>>(), [early]);
}

async fn an_event_that_failed_is_due_later(mut world: World) {
    let id = received(&mut world, 3).await;
    world.store.event_failed(&EventId { project: other(), ..id.clone() }, at(90)).await.unwrap();
    assert_eq!(due(&world, 3).await, [(id.id.clone(), 0)], "not another project's");
    world.store.event_failed(&id, at(50)).await.unwrap();
    assert!(due(&world, 49).await.is_empty());
    assert_eq!(due(&world, 50).await, [(id.id, 1)]);
    assert_eq!(world.store.open_events().await.unwrap(), 1);
}

async fn an_event_that_is_done_is_known_until_it_is_forgotten(mut world: World) {
    let store = Arc::clone(&world.store);
    let webhook = world.webhook("RM_1");
    assert_eq!(applied(&world, &webhook).await, Applied::Stored);
    let open = received(&mut world, 2).await;
    store.event_done(&EventId { project: other(), ..webhook.id.clone() }, None).await.unwrap();
    assert_eq!(store.open_events().await.unwrap(), 2, "not another project's");
    store.event_done(&webhook.id, None).await.unwrap();
    assert_eq!(store.open_events().await.unwrap(), 1);
    assert_eq!(due(&world, 99).await, [(open.id.clone(), 0)]);
    assert_eq!(applied(&world, &webhook).await, Applied::Known);
    assert_eq!(store.forget_events(at(3)).await.unwrap(), 0, "it came just then");
    assert_eq!(store.forget_events(at(4)).await.unwrap(), 1);
    assert_eq!(due(&world, 99).await, [(open.id, 0)], "what is not done stays");
    assert_eq!(applied(&world, &webhook).await, Applied::Stored);
}

async fn an_event_that_is_done_is_not_put_off(mut world: World) {
    let id = received(&mut world, 3).await;
    world.store.event_done(&id, None).await.unwrap();
    world.store.event_failed(&id, at(50)).await.unwrap();
    assert!(due(&world, 99).await.is_empty());
}

async fn a_room_that_is_found_again_waits_again(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = found(&mut world, 3);
    assert_eq!(applied(&world, &first).await, Applied::Stored);
    store.event_failed(&first.id, at(9)).await.unwrap();
    let again = found(&mut world, 5);
    assert_eq!(applied(&world, &again).await, Applied::Known, "it waits still");
    assert_eq!(due(&world, 9).await, [("RM_1".to_owned(), 1)]);
    store.event_done(&first.id, None).await.unwrap();
    assert!(due(&world, 99).await.is_empty());
    assert_eq!(applied(&world, &again).await, Applied::Stored);
    assert_eq!(store.due_events(at(5), 10).await.unwrap(), std::slice::from_ref(&again), "as it was found now");
    assert_eq!(store.forget_events(at(99)).await.unwrap(), 0);
    // Nothing is done again for a webhook.
    let webhook = received(&mut world, 3).await;
    store.event_done(&webhook, None).await.unwrap();
    let repeated = Event { id: webhook, ..world.webhook("RM_1") };
    assert_eq!(applied(&world, &repeated).await, Applied::Known);
}

async fn what_users_ask_is_not_among_webhooks_and_polls(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(1).await.0.id;
    let asked = world.asks(room, Command::Stop, 3);
    let (webhook, poll) = (world.webhook("RM_1"), found(&mut world, 4));
    for event in [&asked, &webhook, &poll] {
        assert_eq!(applied(&world, event).await, Applied::Stored);
    }
    assert_eq!(store.due_events(at(99), 10).await.unwrap(), [webhook, poll]);
    assert_eq!(store.asked_of(node(), 10).await.unwrap(), [asked]);
    assert_eq!(store.open_events().await.unwrap(), 2);
}

async fn of_a_room_of_which_nothing_may_be_kept_an_event_has_neither_name_nor_body(mut world: World) {
    let store = Arc::clone(&world.store);
    store.refuse(&mine(), &ids(None, Some("RM_1")), Gone::Excluded, at(1)).await.unwrap();
    let (webhook, poll) = (world.webhook("RM_1"), found(&mut world, 4));
    for event in [&webhook, &poll] {
        assert_eq!(applied(&world, event).await, Applied::Stored);
    }
    let What::Livekit { event, .. } = &webhook.what else { panic!("{webhook:?}") };
    let what = What::Livekit { event: event.clone(), body: String::new() };
    let bare = [
        Event { room_name: String::new(), what, ..webhook.clone() },
        Event { room_name: String::new(), ..poll.clone() },
    ];
    assert_eq!(store.due_events(at(9), 10).await.unwrap(), bare);
    store.event_done(&poll.id, None).await.unwrap();
    assert_eq!(applied(&world, &poll).await, Applied::Stored);
    assert_eq!(store.due_events(at(9), 10).await.unwrap(), bare, "nor when it is found again");
    assert_eq!(applied(&world, &webhook).await, Applied::Known);
    let theirs = of_the_other(&webhook);
    assert_eq!(applied(&world, &theirs).await, Applied::Stored);
    assert!(store.due_events(at(9), 10).await.unwrap().contains(&theirs), "another project's room");
}

async fn whoever_watches_the_inbox_is_told_of_what_there_is_to_do(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(1).await.0.id;
    let (mut inbox, mut recording) = (store.changes().inbox(), store.changes().of(room));
    assert!(!is_told(&mut inbox).await);
    let poll = found(&mut world, 3);
    assert_eq!(applied(&world, &poll).await, Applied::Stored);
    assert!(is_told(&mut inbox).await);
    assert_eq!(applied(&world, &poll).await, Applied::Known);
    store.event_done(&poll.id, None).await.unwrap();
    assert!(!is_told(&mut inbox).await, "there is nothing more to do");
    assert_eq!(applied(&world, &poll).await, Applied::Stored);
    assert!(is_told(&mut inbox).await, "it waits again");
    assert!(!is_told(&mut recording).await);
    let asked = world.asks(room, Command::Stop, 4);
    assert_eq!(applied(&world, &asked).await, Applied::Stored);
    assert!(is_told(&mut inbox).await);
    assert!(!is_told(&mut recording).await);
    store.event_done(&asked.id, None).await.unwrap();
    assert!(is_told(&mut recording).await, "whoever asked is answered");
}
