//! What is done to the database as a whole.

use std::sync::Arc;

use echosphere_store::Error;

use crate::work::is_told;
use crate::world::{World, at, mine, owned};

on_each! {
    a_database_that_accepts_writes_answers,
    what_is_done_once_is_known_by_its_name,
    a_scrub_and_a_rewrite_leave_what_is_there,
    closing_waits_for_what_runs,
}

async fn a_database_that_accepts_writes_answers(world: World) {
    world.store.ping().await.unwrap();
}

async fn what_is_done_once_is_known_by_its_name(world: World) {
    let store = Arc::clone(&world.store);
    assert!(!store.is_done_once("this").await.unwrap());
    store.done_once("this", at(1)).await.unwrap();
    store.done_once("this", at(2)).await.unwrap();
    assert!(store.is_done_once("this").await.unwrap());
    assert!(!store.is_done_once("that").await.unwrap());
}

async fn a_scrub_and_a_rewrite_leave_what_is_there(mut world: World) {
    let store = Arc::clone(&world.store);
    let new = world.asked("RM_1");
    let (once, id) = (new.once.clone().unwrap(), world.live_as(&new, "RM_1").await);
    let gone = world.live("RM_2").await;
    let mut changed = store.changes().of(id);
    world.deleted(gone).await;
    store.scrub().await.unwrap();
    store.rewrite().await.unwrap();
    store.rewrite().await.unwrap();
    assert_eq!(world.row(id).await.0.labels, new.labels);
    assert!(store.repeated(&mine(), &once, at(2)).await.unwrap().is_some(), "its key is known as before");
    // What is written from now on is there, and is told to whoever watches.
    assert!(!is_told(&mut changed).await);
    store.heard(owned(id), at(9)).await.unwrap();
    assert!(is_told(&mut changed).await);
    assert_eq!(world.row(id).await.0.started_at, Some(at(9)));
}

async fn closing_waits_for_what_runs(world: World) {
    let store = Arc::clone(&world.store);
    let (written, ()) = tokio::join!(store.done_once("this", at(1)), store.close());
    written.unwrap();
    let late = store.is_done_once("this").await;
    assert!(late.as_ref().is_err_and(Error::is_transient), "the next process can say: {late:?}");
}
