//! The inbox of webhooks: each is stored once, worked on until it is done, and remembered for a while.

use std::sync::Arc;

use echosphere_store::{Gone, Webhook};

use crate::work::other;
use crate::world::{World, at, ids, mine};

on_each! {
    a_webhook_is_stored_once_in_its_project,
    webhooks_are_due_in_the_order_in_which_they_came,
    a_webhook_that_failed_is_due_later,
    a_webhook_that_is_done_is_known_until_it_is_forgotten,
    a_webhook_that_is_done_is_not_put_off,
    of_a_room_of_which_nothing_may_be_kept_a_webhook_has_neither_name_nor_body,
}

/// The ids of the webhooks that are due, with how often each has failed.
async fn due(world: &World, second: i64) -> Vec<(String, u32)> {
    let due = world.store.due_webhooks(at(second), 10).await.unwrap();
    due.into_iter().map(|webhook| (webhook.id, webhook.attempts)).collect()
}

async fn received(world: &mut World, second: i64) -> String {
    let webhook = Webhook { received_at: at(second), ..world.webhook("RM_1") };
    assert!(world.store.receive_webhook(&webhook).await.unwrap());
    webhook.id
}

async fn a_webhook_is_stored_once_in_its_project(mut world: World) {
    let store = Arc::clone(&world.store);
    let webhook = world.webhook("RM_1");
    assert!(store.receive_webhook(&webhook).await.unwrap());
    let again = Webhook { body: "another body".to_owned(), received_at: at(1), ..webhook.clone() };
    assert!(!store.receive_webhook(&again).await.unwrap());
    assert_eq!(store.due_webhooks(at(9), 10).await.unwrap(), std::slice::from_ref(&webhook));
    let theirs = Webhook { project: other(), ..webhook };
    assert!(store.receive_webhook(&theirs).await.unwrap(), "another project's event of that id");
    assert_eq!(store.open_webhooks().await.unwrap(), 2);
}

async fn webhooks_are_due_in_the_order_in_which_they_came(mut world: World) {
    let late = received(&mut world, 5).await;
    let early = received(&mut world, 4).await;
    assert!(due(&world, 3).await.is_empty());
    assert_eq!(due(&world, 5).await, [(early.clone(), 0), (late, 0)]);
    let first = world.store.due_webhooks(at(5), 1).await.unwrap();
    assert_eq!(first.into_iter().map(|webhook| webhook.id).collect::<Vec<_>>(), [early]);
}

async fn a_webhook_that_failed_is_due_later(mut world: World) {
    let id = received(&mut world, 3).await;
    world.store.webhook_failed(&other(), &id, at(90)).await.unwrap();
    assert_eq!(due(&world, 3).await, [(id.clone(), 0)], "not another project's");
    world.store.webhook_failed(&mine(), &id, at(50)).await.unwrap();
    assert!(due(&world, 49).await.is_empty());
    assert_eq!(due(&world, 50).await, [(id, 1)]);
    assert_eq!(world.store.open_webhooks().await.unwrap(), 1);
}

async fn a_webhook_that_is_done_is_known_until_it_is_forgotten(mut world: World) {
    let store = Arc::clone(&world.store);
    let webhook = world.webhook("RM_1");
    assert!(store.receive_webhook(&webhook).await.unwrap());
    let open = received(&mut world, 2).await;
    store.webhook_done(&other(), &webhook.id).await.unwrap();
    assert_eq!(store.open_webhooks().await.unwrap(), 2, "not another project's");
    store.webhook_done(&mine(), &webhook.id).await.unwrap();
    assert_eq!(store.open_webhooks().await.unwrap(), 1);
    assert_eq!(due(&world, 99).await, [(open.clone(), 0)]);
    assert!(!store.receive_webhook(&webhook).await.unwrap(), "it is known");
    assert_eq!(store.forget_webhooks(at(3)).await.unwrap(), 0, "it came just then");
    assert_eq!(store.forget_webhooks(at(4)).await.unwrap(), 1);
    assert_eq!(due(&world, 99).await, [(open, 0)], "what is not done stays");
    assert!(store.receive_webhook(&webhook).await.unwrap());
}

async fn a_webhook_that_is_done_is_not_put_off(mut world: World) {
    let id = received(&mut world, 3).await;
    world.store.webhook_done(&mine(), &id).await.unwrap();
    world.store.webhook_failed(&mine(), &id, at(50)).await.unwrap();
    assert!(due(&world, 99).await.is_empty());
}

async fn of_a_room_of_which_nothing_may_be_kept_a_webhook_has_neither_name_nor_body(mut world: World) {
    let store = Arc::clone(&world.store);
    store.refuse(&mine(), &ids(None, Some("RM_1")), Gone::Excluded, at(1)).await.unwrap();
    let webhook = world.webhook("RM_1");
    assert!(store.receive_webhook(&webhook).await.unwrap());
    let bare = Webhook { room_name: String::new(), body: String::new(), ..webhook.clone() };
    assert_eq!(store.due_webhooks(at(9), 10).await.unwrap(), [bare]);
    assert!(!store.receive_webhook(&webhook).await.unwrap());
    let theirs = Webhook { project: other(), ..webhook };
    assert!(store.receive_webhook(&theirs).await.unwrap());
    assert!(store.due_webhooks(at(9), 10).await.unwrap().contains(&theirs), "another project's room");
}
