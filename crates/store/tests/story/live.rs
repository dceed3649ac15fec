//! Rooms that are being recorded: how a recording begins, grows and ends.

use std::sync::Arc;

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Status;
use echosphere_domain::location::Location;
use echosphere_domain::options::{ChannelLayout, RecordingOptions};
use echosphere_domain::recording::Participant;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::MediaTime;
use echosphere_store::{Applied, Begun, Command, NewLive, Once, Purpose, Repeated};

use crate::work::{aac, other, segment, track};
use crate::world::{World, at, ids, mine, node, owned, person, spanning};

on_each! {
    one_room_of_a_name_is_recorded_at_a_time_in_a_project,
    one_recording_at_a_time_is_of_the_very_room,
    a_request_that_is_sent_again_is_carried_out_once,
    what_a_recorder_was_told_is_found_by_the_next_process,
    a_room_counts_as_recorded_in_its_project_alone,
    the_first_sound_begins_a_recording_once,
    segments_are_appended_while_a_room_goes_on,
    what_is_being_deleted_gains_no_segments_tracks_or_names,
}

/// Another request for the same room.
fn asked_again(world: &mut World) -> NewLive {
    NewLive { once: None, ..world.asked("RM_1") }
}

async fn one_room_of_a_name_is_recorded_at_a_time_in_a_project(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = world.live("RM_1").await;
    let again = asked_again(&mut world);
    assert_eq!(store.begin_live(&again).await.unwrap(), Begun::Already(first));
    let theirs = NewLive { project: other(), ..asked_again(&mut world) };
    assert!(matches!(store.begin_live(&theirs).await.unwrap(), Begun::New(_)));
    store.room_over(owned(first), at(9)).await.unwrap();
    let second = world.begun(&again, "RM_1").await.0.id;
    let third = asked_again(&mut world);
    assert_eq!(store.begin_live(&third).await.unwrap(), Begun::Already(second));
    store.request_deletion(&mine(), second, at(9)).await.unwrap();
    assert!(matches!(store.begin_live(&third).await.unwrap(), Begun::New(_)));
}

async fn one_recording_at_a_time_is_of_the_very_room(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = world.live("RM_1").await;
    let renamed = NewLive { room_name: "another name".to_owned(), ..asked_again(&mut world) };
    assert!(matches!(store.begin_live(&renamed).await.unwrap(), Begun::New(_)));
    let second = renamed.recording;
    assert_eq!(store.room_joined(owned(second), "RM_1").await.unwrap(), Some(first));
    assert_eq!(world.row(second).await.0.room_sid, None);
    let theirs = NewLive { project: other(), ..asked_again(&mut world) };
    world.begun(&theirs, "RM_1").await;
    store.room_over(owned(first), at(9)).await.unwrap();
    assert_eq!(store.room_joined(owned(second), "RM_1").await.unwrap(), None);
    assert_eq!(world.row(second).await.0.room_sid.as_deref(), Some("RM_1"));
}

async fn a_request_that_is_sent_again_is_carried_out_once(mut world: World) {
    const DAY: i64 = 24 * 3_600;
    let store = Arc::clone(&world.store);
    let new = world.asked("RM_1");
    let once = new.once.clone().unwrap();
    let id = world.begun(&new, "RM_1").await.0.id;
    assert_eq!(store.repeated(&mine(), &once, at(DAY)).await.unwrap(), Some(Repeated::Same(id)));
    assert_eq!(store.repeated(&mine(), &once, at(DAY + 1)).await.unwrap(), None, "a day later");
    assert_eq!(store.repeated(&other(), &once, at(2)).await.unwrap(), None);
    let changed = Once { asked: "something else".to_owned(), ..once };
    assert_eq!(store.repeated(&mine(), &changed, at(2)).await.unwrap(), Some(Repeated::Other));

    let again = world.asked("RM_1");
    assert_eq!(store.begin_live(&again).await.unwrap(), Begun::Repeated(Repeated::Same(id)));
    let something_else = NewLive { once: Some(changed), ..again.clone() };
    assert_eq!(store.begin_live(&something_else).await.unwrap(), Begun::Repeated(Repeated::Other));
    let theirs = NewLive { project: other(), ..again };
    assert!(matches!(store.begin_live(&theirs).await.unwrap(), Begun::New(_)));
}

async fn what_a_recorder_was_told_is_found_by_the_next_process(mut world: World) {
    let store = Arc::clone(&world.store);
    let options = RecordingOptions {
        layout: Some(ChannelLayout::Mix),
        exclude_kinds: vec!["SIP".to_owned()],
        paused: true,
        ..RecordingOptions::default()
    };
    let new = NewLive { options: options.clone(), ..world.asked("RM_1") };
    let (recording, capture) = world.begun(&new, "RM_1").await;
    let uploaded = world.joined(&ids(Some("AJ_1"), Some("RM_2")), spanning(10, 20)).await.unwrap().recording.id;
    assert_eq!(store.recording_options(recording.id).await.unwrap(), Some(options.clone()));
    assert_eq!(store.recording_options(uploaded).await.unwrap(), None);

    let rooms = async |second| store.claim_rooms(node(), at(second), at(second + 60)).await.unwrap();
    let found = rooms(3).await;
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].recording.id, &found[0].capture), (recording.id, &capture));
    assert_eq!((&found[0].options, found[0].paused), (&options, true));
    let resume = world.asks(recording.id, Command::Resume, 5);
    assert_eq!(store.apply(&resume, at(5)).await.unwrap(), Applied::Stored);
    assert!(!rooms(6).await[0].paused);

    let theirs = NewLive { project: other(), now: at(2), ..asked_again(&mut world) };
    world.begun(&theirs, "RM_1").await;
    let ids = async || rooms(7).await.iter().map(|row| row.recording.id).collect::<Vec<_>>();
    assert_eq!(ids().await, [recording.id, theirs.recording], "oldest first");
    store.room_ended(owned(recording.id), at(9)).await.unwrap();
    assert_eq!(ids().await, [theirs.recording]);
    store.request_deletion(&other(), theirs.recording, at(9)).await.unwrap();
    assert!(ids().await.is_empty());
}

async fn a_room_counts_as_recorded_in_its_project_alone(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    world.joined(&ids(Some("AJ_1"), Some("RM_2")), spanning(100, 200)).await.unwrap();
    assert!(store.recorded_room(&mine(), "RM_1").await.unwrap());
    assert!(!store.recorded_room(&other(), "RM_1").await.unwrap());
    assert!(!store.recorded_room(&mine(), "RM_2").await.unwrap(), "an upload is no recorder");
    world.settled(&room, 100, 400).await;
    assert!(store.recorded_room(&mine(), "RM_1").await.unwrap());
}

async fn the_first_sound_begins_a_recording_once(mut world: World) {
    let id = world.live("RM_1").await;
    assert_eq!(world.row(id).await.0.state.status, Status::Starting);
    for second in [2, 3] {
        world.store.heard(owned(id), at(second)).await.unwrap();
    }
    let recording = world.row(id).await.0;
    assert_eq!((recording.state.status, recording.started_at), (Status::Active, Some(at(2))));
}

/// The segment of a room's recording at a place, stored.
fn stored(room: &NewLive, index: u32) -> Segment {
    let key = crate::work::key(&format!("recordings/x/{index}.ts"));
    Segment { state: SegmentState::Stored(Location::part(key, 0, 9)), ..segment(room.capture, index) }
}

async fn announced(world: &World, id: RecordingId, segments: &[Segment]) {
    for segment in segments {
        let SegmentState::Stored(location) = &segment.state else { panic!("it is stored") };
        let key = location.own().unwrap();
        let keys = std::slice::from_ref(key);
        world.store.announce(&mine(), Some(id), Purpose::Segment, keys, at(1)).await.unwrap();
    }
}

async fn append(world: &World, id: RecordingId, segment: &Segment, people: &[Participant]) {
    let duration = segment.media_start + segment.duration;
    world
        .store
        .append_segments(owned(id), &aac(), std::slice::from_ref(segment), duration, people, at(3))
        .await
        .unwrap();
}

async fn segments_are_appended_while_a_room_goes_on(mut world: World) {
    let store = Arc::clone(&world.store);
    let new = world.asked("RM_1");
    let id = world.begun(&new, "RM_1").await.0.id;
    let segments = [0, 1, 2].map(|index| stored(&new, index));
    announced(&world, id, &segments).await;
    append(&world, id, &segments[0], &[]).await;
    assert!(store.segment_index(id).await.unwrap().is_empty(), "nothing was heard yet");
    store.heard(owned(id), at(2)).await.unwrap();
    append(&world, id, &segments[0], &[person("bob", "Bob")]).await;
    append(&world, id, &segments[1], &[]).await;
    let recording = world.row(id).await.0;
    assert_eq!(recording.duration, MediaTime::from_millis(8_000));
    assert_eq!(recording.participants, [person("bob", "Bob")], "an empty list replaces none");
    assert_eq!(store.segment_index(id).await.unwrap(), segments[..2]);
    assert_eq!(world.unneeded().await.len(), 1, "only the object of the third is not live");
    store.room_ended(owned(id), at(9)).await.unwrap();
    append(&world, id, &segments[2], &[]).await;
    assert_eq!(store.segment_index(id).await.unwrap(), segments[..2]);
    assert_eq!(world.row(id).await.0.duration, MediaTime::from_millis(8_000));
    assert_eq!(world.unneeded().await.len(), 1);
}

async fn what_is_being_deleted_gains_no_segments_tracks_or_names(mut world: World) {
    let store = Arc::clone(&world.store);
    let new = world.asked("RM_1");
    let id = world.begun(&new, "RM_1").await.0.id;
    store.heard(owned(id), at(2)).await.unwrap();
    store.note_tracks(id, &[track()]).await.unwrap();
    let exclude = world.asks(id, Command::Exclude("before".to_owned()), 3);
    assert_eq!(store.apply(&exclude, at(3)).await.unwrap(), Applied::Stored);
    assert_eq!(world.row(id).await.0.tracks, [track()]);
    let segment = stored(&new, 0);
    announced(&world, id, std::slice::from_ref(&segment)).await;
    store.request_deletion(&mine(), id, at(4)).await.unwrap();
    append(&world, id, &segment, &[person("bob", "Bob")]).await;
    store.note_tracks(id, &[]).await.unwrap();
    let exclude = world.asks(id, Command::Exclude("after".to_owned()), 4);
    assert_eq!(store.apply(&exclude, at(4)).await.unwrap(), Applied::Over);
    assert!(store.segment_index(id).await.unwrap().is_empty());
    let recording = world.row(id).await.0;
    assert_eq!((recording.participants, recording.tracks), (vec![], vec![track()]));
    assert_eq!(store.excluded(id).await.unwrap(), ["before"]);
}
