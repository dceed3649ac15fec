//! What must not be kept of a room, whichever source brings it.

use std::sync::Arc;

use echosphere_domain::options::RecordingOptions;
use echosphere_store::{Applied, Command, LeftOut, NewLive, Redactions, Stretch};

use crate::work::other;
use crate::world::{World, at, mine, node, owned};

on_each! {
    a_pause_lasts_until_it_is_ended,
    a_recording_that_begins_paused_has_a_pause,
    what_one_recording_leaves_out_counts_for_all_of_its_room,
    who_is_excluded_is_listed_once,
}

async fn a_pause_lasts_until_it_is_ended(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    for (paused, second) in [(false, 9), (true, 10), (true, 11), (false, 20), (false, 21), (true, 30)] {
        let command = if paused { Command::Pause } else { Command::Resume };
        let asked = world.asks(id, command, second);
        assert_eq!(store.apply(&asked, at(second + 1)).await.unwrap(), Applied::Stored);
    }
    let pauses = [Stretch { from: at(10), to: Some(at(20)) }, Stretch { from: at(30), to: None }];
    assert_eq!(store.redactions(id).await.unwrap().pauses, pauses);
    assert!(store.claim_rooms(node(), at(40), at(99)).await.unwrap()[0].paused);
}

async fn a_recording_that_begins_paused_has_a_pause(mut world: World) {
    let options = RecordingOptions { paused: true, ..RecordingOptions::default() };
    let new = NewLive { options, now: at(7), ..world.asked("RM_1") };
    let id = world.begun(&new, "RM_1").await.0.id;
    assert_eq!(world.store.redactions(id).await.unwrap().pauses, [Stretch { from: at(7), to: None }]);
}

async fn what_one_recording_leaves_out_counts_for_all_of_its_room(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = world.room(100).await;
    let shy = LeftOut { agent: false, from: Some(at(110)) };
    let pause = world.asks(first.0.id, Command::Pause, 120);
    assert_eq!(store.apply(&pause, at(120)).await.unwrap(), Applied::Stored);
    store.note_left_out(owned(first.0.id), shy).await.unwrap();
    store.note_left_out(owned(first.0.id), shy).await.unwrap();
    let session = world.upload(Some("AJ_1"), 110, 300).await;
    assert_eq!(session.recording.id, first.0.id);
    world.settled(&first, 100, 400).await;
    let second = world.room(700).await.0.id;

    let options = world.asked("RM_1").options;
    let all = Redactions {
        pauses: vec![Stretch { from: at(120), to: None }],
        left_out: vec![shy],
        options: vec![options.clone(), options],
    };
    assert_eq!(store.redactions(first.0.id).await.unwrap(), all);
    assert_eq!(store.redactions(second).await.unwrap(), all);
    assert_eq!(store.redactions_of(&mine(), None, Some("RM_1")).await.unwrap(), all);
    assert_eq!(store.redactions_of(&mine(), Some("AJ_1"), None).await.unwrap(), all);
    let none = Redactions::default();
    assert_eq!(store.redactions_of(&mine(), Some("AJ_2"), Some("RM_2")).await.unwrap(), none);
    assert_eq!(store.redactions_of(&mine(), None, None).await.unwrap(), none);
    assert_eq!(store.redactions_of(&other(), Some("AJ_1"), Some("RM_1")).await.unwrap(), none);
}

async fn who_is_excluded_is_listed_once(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.room(1).await.0.id;
    for identity in ["shy", "bob", "shy"] {
        let exclude = world.asks(id, Command::Exclude(identity.to_owned()), 2);
        assert_eq!(store.apply(&exclude, at(2)).await.unwrap(), Applied::Stored);
    }
    assert_eq!(store.excluded(id).await.unwrap(), ["shy", "bob"]);
    let second = world.live("RM_2").await;
    assert_eq!(store.excluded(second).await.unwrap(), ["NAMES-AND-WORDS excluded"]);
}
