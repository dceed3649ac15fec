//! Places: objects are written to one; what was written to those of before stays there until it is moved.

use std::slice::from_ref;

use echosphere_domain::time::WallTime;
use echosphere_store::{PlaceId, Purpose};

use crate::work::key;
use crate::world::{World, at, mine};

on_each! {
    a_copy_is_known_in_each_place_where_it_was_left,
    an_object_is_where_it_was_written_until_it_is_moved,
    a_place_that_was_used_before_is_used_again,
    what_is_written_anew_is_left_where_it_was,
}

/// Announces a chunk, which is live at once, or something that is not.
async fn written(world: &World, purpose: Purpose, name: &str, now: WallTime) {
    world.store.announce(&mine(), None, purpose, from_ref(&key(name)), now).await.unwrap();
}

async fn an_object_is_where_it_was_written_until_it_is_moved(world: World) {
    let store = &world.store;
    assert!(store.places().await.unwrap().is_empty());
    written(&world, Purpose::Log, "a/before-any", at(1)).await;
    let first = store.use_place("one", "{1}", at(2)).await.unwrap();
    written(&world, Purpose::Log, "a/first", at(3)).await;
    let keys = [key("a/before-any"), key("a/first"), key("a/second")];
    assert!(store.elsewhere(&keys).await.unwrap().is_empty(), "what came before any is in the first");
    let second = store.use_place("two", "{2}", at(4)).await.unwrap();
    written(&world, Purpose::Log, "a/second", at(5)).await;
    let was = [(keys[0].clone(), first), (keys[1].clone(), first)];
    assert_eq!(store.elsewhere(&keys).await.unwrap(), was);
    assert_eq!(store.count_elsewhere().await.unwrap(), 2);
    let found = store.all_elsewhere(None, 1).await.unwrap();
    assert_eq!((found[0].key.clone(), found[0].place), was[0]);
    assert_eq!(store.all_elsewhere(Some(&keys[0]), 9).await.unwrap().len(), 1);

    assert!(store.moved(&keys[0], first, at(50)).await.unwrap());
    assert!(!store.moved(&keys[0], first, at(50)).await.unwrap(), "it is not there any more");
    assert_eq!(store.elsewhere(&keys).await.unwrap(), was[1..]);
    assert_eq!(store.copies(&keys).await.unwrap().len(), 2, "the one that was not moved, and the one that was left");
    assert!(store.left_behind(at(50), None, 9).await.unwrap().is_empty(), "somebody may still read it there");
    let left = store.left_behind(at(51), None, 9).await.unwrap();
    assert_eq!(left, [(keys[0].clone(), first)]);
    assert!(store.left_behind(at(51), left.last(), 9).await.unwrap().is_empty());
    store.nothing_left(&keys[0], first).await.unwrap();
    assert!(store.left_behind(at(51), None, 9).await.unwrap().is_empty());

    assert!(store.is_in_use(first).await.unwrap());
    assert_eq!(store.forget_unused_places().await.unwrap(), 0);
    assert!(store.moved(&keys[1], first, at(60)).await.unwrap());
    assert!(store.is_in_use(first).await.unwrap(), "it has what was left");
    store.nothing_left(&keys[1], first).await.unwrap();
    assert!(!store.is_in_use(first).await.unwrap());
    assert_eq!(store.forget_unused_places().await.unwrap(), 1);
    let places = store.places().await.unwrap();
    assert_eq!((places.len(), places[0].id, places[0].marker.as_str()), (1, second, "two"));
}

async fn a_place_that_was_used_before_is_used_again(world: World) {
    let store = &world.store;
    let one = store.use_place("one", "{1}", at(9)).await.unwrap();
    // A clock that was put back does not put the place back.
    let two = store.use_place("two", "{2}", at(3)).await.unwrap();
    assert_ne!(one, two);
    let order = async || store.places().await.unwrap().into_iter().map(|place| place.id).collect::<Vec<PlaceId>>();
    assert_eq!(order().await, [two, one]);
    assert_eq!(store.use_place("one", "{1, at another address}", at(4)).await.unwrap(), one);
    assert_eq!(order().await, [one, two]);
    assert_eq!(store.places().await.unwrap()[0].settings, "{1, at another address}");
}

async fn what_is_written_anew_is_left_where_it_was(world: World) {
    let store = &world.store;
    let one = store.use_place("one", "{1}", at(1)).await.unwrap();
    written(&world, Purpose::Segment, "a/segment", at(2)).await;
    written(&world, Purpose::Log, "a/chunk", at(2)).await;
    store.use_place("two", "{2}", at(3)).await.unwrap();
    let keys = [key("a/chunk"), key("a/segment")];
    assert_eq!(store.elsewhere(&keys).await.unwrap().len(), 2);
    assert_eq!(store.count_elsewhere().await.unwrap(), 1, "what nothing needs is not moved");
    for name in ["a/segment", "a/chunk"] {
        written(&world, Purpose::Segment, name, at(5)).await;
    }
    assert_eq!(store.elsewhere(&keys).await.unwrap(), [(keys[0].clone(), one)], "what is live is left as it is");
    assert_eq!(store.left_behind(at(6), None, 9).await.unwrap(), [(keys[1].clone(), one)]);
    // The older one must not be moved over it.
    written(&world, Purpose::Sidecar, "a/sidecar", at(7)).await;
    store.use_place("three", "{3}", at(8)).await.unwrap();
    assert_eq!(store.elsewhere(&[key("a/sidecar")]).await.unwrap().len(), 1);
    assert!(store.all_elsewhere(None, 9).await.unwrap().iter().all(|object| object.key != key("a/sidecar")));
    written(&world, Purpose::Sidecar, "a/sidecar", at(9)).await;
    assert_eq!(store.elsewhere(&[key("a/sidecar")]).await.unwrap(), []);
}

async fn a_copy_is_known_in_each_place_where_it_was_left(world: World) {
    let (store, chunk) = (&world.store, [key("a/chunk")]);
    let one = store.use_place("one", "{1}", at(1)).await.unwrap();
    written(&world, Purpose::Log, "a/chunk", at(2)).await;
    let two = store.use_place("two", "{2}", at(3)).await.unwrap();
    assert!(store.moved(&chunk[0], one, at(50)).await.unwrap());
    store.use_place("three", "{3}", at(4)).await.unwrap();
    assert!(store.moved(&chunk[0], two, at(60)).await.unwrap());
    assert_eq!(store.copies(&chunk).await.unwrap(), [(chunk[0].clone(), one), (chunk[0].clone(), two)]);
    // It is changed back: what was left there is what is read, once it is moved.
    store.use_place("one", "{1}", at(5)).await.unwrap();
    let three = store.elsewhere(&chunk).await.unwrap()[0].1;
    assert_eq!(store.left_behind(at(99), None, 9).await.unwrap(), [(chunk[0].clone(), two)]);
    assert!(store.moved(&chunk[0], three, at(70)).await.unwrap());
    assert_eq!(store.copies(&chunk).await.unwrap(), [(chunk[0].clone(), two), (chunk[0].clone(), three)]);
    store.forget_objects(&chunk).await.unwrap();
    assert_eq!(store.copies(&chunk).await.unwrap(), []);
    assert_eq!(store.forget_unused_places().await.unwrap(), 2);
}
