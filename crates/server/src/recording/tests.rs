//! Tests of rooms that a process does not listen to: those that an earlier process left, and commands that come for them.

use std::time::{Duration, Instant};

use echosphere_domain::lifecycle::Status;
use echosphere_domain::recording::Recording;
use echosphere_recorder::capture::{self, Timepiece};
use echosphere_recorder::log::{Body, Ended, ended};
use echosphere_recorder::room::Command;

use super::resume;
use crate::jobs::Rooms;
use crate::recording::live_renderer;
use crate::recording_options::RecordingOptions;
use crate::testing::{House, room_begins, tone};

/// Long enough for LiveKit.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Settings with a LiveKit whose name cannot be resolved.
fn unknown_livekit(give_up_after: &str) -> [(&str, &str); 4] {
    [
        ("LIVEKIT_URL", "ws://livekit.invalid:7880"),
        ("LIVEKIT_API_KEY", "key"),
        ("LIVEKIT_API_SECRET", SECRET),
        ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", give_up_after),
    ]
}

/// A process that is killed while it listens to a room: what it heard is only in its journal.
async fn killed_while_listening(house: &House, seconds: u64) -> Recording {
    killed_after(house, seconds, None).await
}

/// The same, when this was the end of the room.
async fn killed_after(house: &House, seconds: u64, end: Option<&str>) -> Recording {
    let (recording, capture) = house.begin_room("call").await;
    let (began, now) = (Instant::now(), house.app.recorder.clock.now());
    let clock = Timepiece::new(began, now.as_nanos());
    let (journal, live) = (&house.app.recorder.registry.journal, live_renderer::needs(&house.app.config));
    let layout = RecordingOptions::default().layout();
    let mut log = capture::Capture::new(capture.id.as_uuid(), clock, journal, layout, live);
    for body in room_begins("call", "helper", "AGENT") {
        log.take(began, body);
    }
    for (after, body) in tone(seconds) {
        log.take(began + after, body);
    }
    if let Some(reason) = end {
        log.take(began + Duration::from_secs(seconds), Body::Ended(Ended { reason: reason.to_owned() }));
    }
    house.app.store.room_joined(recording.id, "RM_call").await.unwrap();
    house.app.store.heard(recording.id, now).await.unwrap();
    journal.flush().unwrap();
    recording
}

async fn until_it_is_kept(house: &House, recording: &Recording) {
    while house.app.recorder.registry.has(recording.id) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_heard_of_a_room_that_cannot_be_reached_is_kept() {
    let house = House::new().await;
    let recording = killed_while_listening(&house, 7).await;
    let (house, recovered) = house.restart().await;
    resume(&house.app.recorder, recovered).await.unwrap();
    until_it_is_kept(&house, &recording).await;
    house.work().await;
    let (recording, captures) = house.recording().await;
    assert_eq!((recording.state.status, recording.state.partial), (Status::Completed, true));
    let off = recording.duration.as_millis() - 7_200;
    assert!((0..=22).contains(&off), "{off} ms");
    assert_eq!(captures[0].error.as_deref(), Some("the recorder did not come to its end"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_storage_is_away_a_room_waits_and_nothing_of_it_is_lost() {
    let house = House::new().await;
    let recording = killed_while_listening(&house, 4).await;
    let (house, recovered) = house.restart().await;
    house.bytes.set_full(true);
    resume(&house.app.recorder, recovered).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(house.app.recorder.registry.has(recording.id));
    house.bytes.set_full(false);
    until_it_is_kept(&house, &recording).await;
    house.work().await;
    let (recording, _) = house.recording().await;
    assert_eq!(recording.duration.as_millis() / 1_000, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_is_deleted_before_its_room_is_resumed_leaves_nothing() {
    let house = House::new().await;
    let recording = killed_while_listening(&house, 4).await;
    let now = house.app.recorder.clock.now();
    house.app.store.request_deletion(&house.project(), recording.id, now).await.unwrap();
    let (house, recovered) = house.restart().await;
    resume(&house.app.recorder, recovered).await.unwrap();
    until_it_is_kept(&house, &recording).await;
    house.work().await;
    assert_eq!(house.bytes.keys(), []);
    assert_eq!(house.tasks().await, (0, 0));
}

#[tokio::test]
async fn a_room_that_is_still_to_be_resumed_takes_commands_and_one_that_nobody_has_does_not() {
    let house = House::new().await;
    let (recording, _) = house.begin_room("call").await;
    let registry = &house.app.recorder.registry;
    assert!(!registry.tell(recording.id, Command::Stop) && !registry.has(recording.id));
    registry.left().insert(recording.id, Vec::new());
    assert!(registry.tell(recording.id, Command::Pause) && registry.has(recording.id));
    assert_eq!(registry.left()[&recording.id], [Command::Pause]);
    registry.resumed(recording.id);
    assert!(!registry.has(recording.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_way_to_livekit_is_not_known_a_room_waits_and_then_what_was_heard_is_kept() {
    let unknown =
        [("LIVEKIT_URL", "ws://livekit.invalid:7880"), ("LIVEKIT_API_KEY", "key"), ("LIVEKIT_API_SECRET", SECRET)];
    let give_up_after = ("ECHOSPHERE_RECORDER_GIVE_UP_AFTER", "3s");
    let house = House::with(&[&unknown[..], &[give_up_after]].concat()).await;
    let recording = killed_while_listening(&house, 4).await;
    let (house, recovered) = house.restart().await;
    resume(&house.app.recorder, recovered).await.unwrap();
    assert!(house.app.recorder.registry.has(recording.id), "it is tried again");
    assert!(house.stored(".log").is_empty() && house.bytes.keys().is_empty());
    until_it_is_kept(&house, &recording).await;
    house.work().await;
    assert_eq!(house.recording().await.0.duration.as_millis() / 1_000, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_has_ended_does_not_wait_for_the_way_to_livekit() {
    let house = House::with(&unknown_livekit("1h")).await;
    let recording = killed_after(&house, 4, Some(ended::STOPPED)).await;
    let (house, recovered) = house.restart().await;
    resume(&house.app.recorder, recovered).await.unwrap();
    until_it_is_kept(&house, &recording).await;
    house.work().await;
    let (recording, _) = house.recording().await;
    assert_eq!((recording.state.status, recording.state.partial), (Status::Completed, false));
}
