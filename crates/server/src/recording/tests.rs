//! Tests of rooms without a LiveKit: their live segments, what an earlier process left of them, and commands that come for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::lifecycle::Status;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::SegmentState;
use echosphere_media::aac::FRAME;
use echosphere_media::grid::Grid;
use echosphere_recorder::capture::{self, Timepiece};
use echosphere_recorder::clock::nanos;
use echosphere_recorder::log::journal;
use echosphere_recorder::log::{Body, Ended, ended};
use echosphere_recorder::room;
use tokio::sync::mpsc;

use super::chunk_outbox::ChunkOutbox;
use super::listing::Listing;
use super::session::{RoomSession, StartingPoint};
use super::{LEASE, owner, resume};
use crate::jobs::Rooms;
use crate::recording::live_renderer::{self, UNREAD};
use crate::recording_options::layout;
use crate::rendering::capture_log::LAG;
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
    let began = Instant::now();
    let (recording, _, mut log) = call(house, began, seconds).await;
    if let Some(reason) = end {
        log.take(began + Duration::from_secs(seconds), Body::Ended(Ended { reason: reason.to_owned() }));
    }
    house.app.recorder.registry.journal.flush().unwrap();
    recording
}

/// A call whose first packet came at a moment, and what was logged of it since.
async fn call(house: &House, began: Instant, seconds: u64) -> (Recording, Capture, capture::Capture) {
    let (recording, capture) = house.begin_room("call").await;
    let recorder = &house.app.recorder;
    let now = recorder.clock.now();
    let clock = Timepiece::new(began, now.as_nanos());
    let (journal, live) = (&recorder.registry.journal, live_renderer::needs(&house.app.config));
    let layout = layout(&RecordingOptions::default());
    let mut log = capture::Capture::new(capture.id.as_uuid(), clock, journal, layout, live);
    for body in room_begins("call", "helper", "AGENT") {
        log.take(began, body);
    }
    for (after, body) in tone(seconds) {
        log.take(began + after, body);
    }
    house.app.store.room_joined(house.room(recording.id), "RM_call").await.unwrap();
    house.app.store.heard(house.room(recording.id), now).await.unwrap();
    (recording, capture, log)
}

/// A call that this process listens to, and that began so many seconds ago.
async fn listened_to(house: &House, seconds: u64) -> RoomSession {
    let began = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    let (_, capture, log) = call(house, began, seconds).await;
    let (recording, _) = house.recording().await;
    let start = StartingPoint { log, outbox: ChunkOutbox::new(0..0), rendered: 0 };
    RoomSession::new(&house.app.recorder, recording, &capture, start, mpsc::unbounded_channel().0)
}

/// How many segments of 4 s of a call are due now.
fn segments_due(session: &RoomSession) -> u32 {
    let capture = session.capture();
    let since = capture.clock().at(Instant::now()) - capture.assembler().zero().unwrap();
    let is_due = |number: &u32| {
        let end = Grid::live_segment(4_000, *number).end * FRAME as u64;
        since >= nanos(end as i64) + LAG.as_nanos() as i64
    };
    (0..100).take_while(is_due).count() as u32
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_of_a_call_is_stored_and_told_when_it_is_due_and_not_before() {
    let house = House::new().await;
    // The second one has ended, and is not due.
    let session = listened_to(&house, 8).await;
    let id = session.recording.id;
    let mut changed = house.app.store.changes().of(id);
    let (mut listing, before) = (Listing::default(), segments_due(&session));
    session.list_due(&mut listing).await.unwrap();
    let next = listing.next;
    let after = segments_due(&session);
    assert!(before >= 1 && (before..=after).contains(&next), "{before} <= {next} <= {after}");
    changed.next().await;
    let segments = house.segments(id).await;
    assert_eq!((segments.len(), house.stored(".ts").len()), (next as usize, next as usize));
    assert!(segments.iter().all(|segment| matches!(segment.state, SegmentState::Stored(_))), "{segments:?}");
    let (recording, _) = house.recording().await;
    assert_eq!(
        (recording.state.status, recording.duration),
        (Status::Active, segments[next as usize - 1].media_start + segments[next as usize - 1].duration)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_storage_does_not_take_is_not_listed_and_comes_later_with_the_same_sound() {
    let house = House::new().await;
    let session = listened_to(&house, 6).await;
    house.bytes.set_full(true);
    let mut listing = Listing::default();
    session.list_due(&mut listing).await.unwrap_err();
    assert_eq!((listing.next, house.segments(session.recording.id).await), (0, Vec::new()));
    house.bytes.set_full(false);
    session.list_due(&mut listing).await.unwrap();
    let late = house.bytes.bytes(&house.stored(".ts")[0]).unwrap();
    let other = House::new().await;
    let undisturbed = listened_to(&other, 6).await;
    undisturbed.list_due(&mut Listing::default()).await.unwrap();
    assert!(listing.next >= 1 && late == other.bytes.bytes(&other.stored(".ts")[0]).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_reads_a_recording_segments_are_made_several_at_once_and_listed_when_somebody_comes() {
    let house = House::with(&[("ECHOSPHERE_RENDERING_WHEN", "asked")]).await;
    // Two segments of 4 s are due, and the third is not yet.
    let session = Arc::new(listened_to(&house, 10).await);
    let (id, mut listing) = (session.recording.id, Listing::default());
    session.list_due(&mut listing).await.unwrap();
    assert_eq!((listing.next, house.segments(id).await.len()), (0, 0), "nobody reads it");
    let reader = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.catch_up().await }
    });
    session.readers.wait().await;
    session.list_due(&mut listing).await.unwrap();
    reader.await.unwrap();
    let due = segments_due(&session) as usize;
    let segments = house.segments(id).await;
    assert!(
        segments.len() >= 2 && segments.len() <= due && segments.len() == listing.next as usize,
        "{}",
        segments.len()
    );
    assert!(segments.iter().all(|segment| segment.state == SegmentState::Renderable) && house.stored(".ts").is_empty());
    assert_eq!(house.recording().await.0.participants.len(), 1);
    assert_eq!(session.measured().until(), session.frames(listing.next).start * FRAME as u64);
    assert_eq!(session.measured().spoken().count(), 1);

    let house = House::with(&[("ECHOSPHERE_RENDERING_WHEN", "asked")]).await;
    let unread = listened_to(&house, 4 * u64::from(UNREAD) + 2).await;
    let mut listing = Listing::default();
    unread.list_due(&mut listing).await.unwrap();
    assert!(listing.next >= UNREAD && listing.unlisted.len() == listing.next as usize, "{}", listing.next);
    assert_eq!(unread.measured().windows(), listing.next);
    assert_eq!(house.segments(unread.recording.id).await, [], "they are made, and not listed yet");
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
async fn what_journals_have_of_a_room_that_another_node_owns_stays_until_the_room_is_taken_over() {
    let house = House::with(&unknown_livekit("0s")).await;
    let recording = killed_while_listening(&house, 4).await;
    let other = house.another_node();
    let left = journal::recover(&house.app.data.journal(), |_| Some(0)).unwrap();
    let files = left.files.clone();
    resume(&other.app.recorder, left).await.unwrap();
    let registry = &other.app.recorder.registry;
    assert!(!files.is_empty() && files.iter().all(|file| file.exists()) && !registry.has(recording.id));
    house.pass(LEASE * 2);
    owner::renew(&other.app.recorder).await.unwrap();
    until_it_is_kept(&other, &recording).await;
    assert!(files.iter().all(|file| !file.exists()));
    other.work().await;
    assert_eq!(other.recording().await.0.duration.as_millis() / 1_000, 4);
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
    assert_eq!(house.left(), []);
    assert_eq!(house.tasks().await, (0, 0));
}

#[tokio::test]
async fn a_room_that_is_still_to_be_resumed_takes_orders_and_one_that_nobody_has_does_not() {
    let house = House::new().await;
    let (recording, _) = house.begin_room("call").await;
    let registry = &house.app.recorder.registry;
    assert!(registry.order(recording.id, room::Command::Stop).is_none() && !registry.has(recording.id));
    registry.to_resume().insert(recording.id, Vec::new());
    let acted = registry.order(recording.id, room::Command::Pause).unwrap();
    assert!(registry.has(recording.id));
    assert_eq!(registry.to_resume()[&recording.id][0].command, room::Command::Pause);
    registry.resumed(recording.id);
    assert!(!registry.has(recording.id));
    acted.await.unwrap_err();
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
