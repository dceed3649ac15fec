//! Tests of who owns a room: several processes over one database and one object storage.

use std::time::Duration;

use echosphere_domain::lifecycle::Status;
use echosphere_domain::recording::Recording;
use echosphere_store::Applied;

use super::*;
use crate::jobs::Rooms as _;
use crate::recording::{Asked, RecordingRequest, ask, ask_deletion, start};
use crate::testing::House;

/// A server whose LiveKit does not answer: its rooms are waited for.
async fn house() -> House {
    House::with(&[
        ("LIVEKIT_URL", "ws://127.0.0.1:9"),
        ("LIVEKIT_API_KEY", "key"),
        ("LIVEKIT_API_SECRET", "0123456789abcdef0123456789abcdef"),
        ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", "1h"),
    ])
    .await
}

async fn begin(house: &House, room_name: &str) -> Recording {
    let request = RecordingRequest { room_name: room_name.to_owned(), ..RecordingRequest::default() };
    start(&house.app.recorder, &house.project(), request).await.unwrap().0
}

fn has(house: &House, recording: &Recording) -> bool {
    house.app.recorder.registry.has(recording.id)
}

async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn status(house: &House, recording: &Recording) -> Status {
    house.app.store.recording(&house.project(), recording.id).await.unwrap().unwrap().0.state.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_asked_by_any_process_and_acts_in_the_one_that_owns_it() {
    let one = house().await;
    let two = one.another_node();
    assert_ne!(one.app.recorder.node, two.app.recorder.node);
    let recording = begin(&one, "call").await;
    let owners = [&one, &two].map(|house| tokio::spawn(run(Arc::clone(&house.app.recorder))));
    let asked = async |house: &House, command| ask(&house.app.recorder, &recording, command, "api_key").await.unwrap();
    assert_eq!(asked(&two, Command::Pause).await, Asked::Acted);
    let pauses = two.app.store.redactions(recording.id).await.unwrap().pauses;
    assert!(matches!(pauses[..], [pause] if pause.to.is_none()), "{pauses:?}");
    assert_eq!(asked(&two, Command::Resume).await, Asked::Acted);
    assert_eq!(asked(&one, Command::Exclude("bob".to_owned())).await, Asked::Acted);
    assert_eq!(two.app.store.excluded(recording.id).await.unwrap(), ["bob"]);
    assert!(has(&one, &recording) && !has(&two, &recording));
    assert_eq!(asked(&two, Command::Stop).await, Asked::Acted);
    until(|| !has(&one, &recording)).await;
    assert_eq!(status(&two, &recording).await, Status::Processing);
    assert_eq!(asked(&two, Command::Pause).await, Asked::Over);
    one.app.stop.cancel();
    two.app.stop.cancel();
    for owner in owners {
        owner.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_owner_a_room_waits_for_what_it_is_asked_and_then_acts() {
    let house = house().await;
    let recording = begin(&house, "call").await;
    let waits = ask(&house.app.recorder, &recording, Command::Stop, "api_key").await.unwrap();
    assert_eq!((waits, has(&house, &recording)), (Asked::Waits, true));
    let owner = tokio::spawn(run(Arc::clone(&house.app.recorder)));
    until(|| !has(&house, &recording)).await;
    house.app.stop.cancel();
    owner.await.unwrap();
    assert_eq!(status(&house, &recording).await, Status::Processing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_its_owner_has_lost_is_stopped_by_the_owner_and_does_nothing_else() {
    let house = house().await;
    let (recording, _) = house.begin_room("call").await;
    let owner = tokio::spawn(run(Arc::clone(&house.app.recorder)));
    let recorder = &house.app.recorder;
    assert_eq!(ask(recorder, &recording, Command::Pause, "api_key").await.unwrap(), Asked::Over);
    assert_eq!(ask(recorder, &recording, Command::Stop, "api_key").await.unwrap(), Asked::Acted);
    assert_eq!(status(&house, &recording).await, Status::Processing);
    house.app.stop.cancel();
    owner.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_recording_is_deleted_is_left_by_its_owner() {
    let one = house().await;
    let two = one.another_node();
    let recording = begin(&one, "call").await;
    let owner = tokio::spawn(run(Arc::clone(&one.app.recorder)));
    assert_eq!(ask_deletion(&two.app.recorder, &recording, "api_key").await.unwrap(), Applied::Stored);
    until(|| !has(&one, &recording)).await;
    one.app.stop.cancel();
    owner.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_owner_is_gone_is_taken_over_when_its_lease_has_expired_and_the_owner_leaves_it() {
    let one = house().await;
    let two = one.another_node();
    let recording = begin(&one, "call").await;
    one.pass(LEASE / 2);
    renew(&one.app.recorder).await.unwrap();
    one.pass(LEASE * 3 / 4);
    renew(&two.app.recorder).await.unwrap();
    assert!(has(&one, &recording) && !has(&two, &recording), "it was prolonged");
    one.pass(LEASE / 2);
    renew(&two.app.recorder).await.unwrap();
    assert!(has(&two, &recording));
    let refused = one.app.store.heard(one.room(recording.id), one.app.recorder.clock.now()).await;
    assert!(matches!(refused, Err(Error::NotOwner(id)) if id == recording.id), "{refused:?}");
    renew(&one.app.recorder).await.unwrap();
    until(|| !has(&one, &recording)).await;
    assert!(has(&two, &recording));
    assert_eq!(status(&two, &recording).await, Status::Starting);
    two.app.store.heard(two.room(recording.id), two.app.recorder.clock.now()).await.unwrap();
}
