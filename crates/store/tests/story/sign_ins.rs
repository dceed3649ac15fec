//! Sign-ins and used links.

use std::sync::Arc;

use echosphere_store::{SignIn, Store};

use crate::work::other;
use crate::world::{World, at};

on_each! {
    sign_ins_end_by_time_by_credential_and_by_number,
    a_link_is_taken_once,
}

fn sign_in(id: &str, credential: &str, seen: i64, ends: i64) -> SignIn {
    SignIn {
        id: id.to_owned(),
        project: other(),
        credential: credential.to_owned(),
        created_at: at(1),
        seen_at: at(seen),
        ends_at: at(ends),
    }
}

async fn there(store: &dyn Store, ids: &[&str]) -> Vec<bool> {
    let mut found = Vec::new();
    for id in ids {
        found.push(store.sign_in(id).await.unwrap().is_some());
    }
    found
}

async fn sign_ins_end_by_time_by_credential_and_by_number(world: World) {
    let store = Arc::clone(&world.store);
    for (id, credential, seen, ends) in [("a", "k1", 10, 100), ("b", "k1", 20, 50), ("c", "k2", 30, 100)] {
        store.begin_sign_in(&sign_in(id, credential, seen, ends), 3).await.unwrap();
    }
    assert_eq!(store.sign_in("a").await.unwrap(), Some(sign_in("a", "k1", 10, 100)));
    store.see_sign_in("a", at(40)).await.unwrap();
    store.see_sign_in("a", at(5)).await.unwrap();
    assert_eq!(
        store.sign_in("a").await.unwrap().unwrap().seen_at,
        at(40),
        "a clock that was set back takes nothing back"
    );
    store.begin_sign_in(&sign_in("d", "k2", 60, 100), 3).await.unwrap();
    assert_eq!(there(&*store, &["a", "b", "c", "d"]).await, [true, false, true, true], "b was seen longest ago");
    assert_eq!(store.end_sign_ins_but(&["k2".to_owned()]).await.unwrap(), 1);
    assert_eq!(there(&*store, &["a", "c", "d"]).await, [false, true, true]);
    assert_eq!(store.forget_sign_ins(at(60), at(40)).await.unwrap(), 1, "c was not seen");
    assert_eq!(store.forget_sign_ins(at(100), at(0)).await.unwrap(), 1, "d has ended");
    assert!(!store.end_sign_in("d").await.unwrap());
    store.begin_sign_in(&sign_in("e", "k", 1, 100), 3).await.unwrap();
    assert!(store.end_sign_in("e").await.unwrap());
    assert_eq!(store.end_sign_ins_but(&[]).await.unwrap(), 0);
}

async fn a_link_is_taken_once(world: World) {
    let store = Arc::clone(&world.store);
    assert!(store.take_sign_in_link("n1", at(100)).await.unwrap());
    assert!(!store.take_sign_in_link("n1", at(100)).await.unwrap());
    assert!(store.take_sign_in_link("n2", at(200)).await.unwrap());
    // Once it has expired nothing need be remembered of it.
    assert_eq!(store.forget_sign_ins(at(100), at(0)).await.unwrap(), 1);
    assert!(!store.take_sign_in_link("n2", at(200)).await.unwrap());
}
