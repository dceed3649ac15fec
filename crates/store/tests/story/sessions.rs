//! Which recording the upload of a session joins.

use std::collections::BTreeSet;

use echosphere_domain::lifecycle::{Content, Reason, Status};
use echosphere_domain::recording::{Capture, CaptureStatus};
use echosphere_domain::time::MediaTime;
use echosphere_store::{Publication, SessionFacts, TaskKind};

use crate::work::{other, untimed};
use crate::world::{World, at, ids, owned};

on_each! {
    sessions_join_by_job_and_never_by_room_or_name,
    a_session_is_a_capture_of_the_recording_that_had_its_room_then,
    a_recorder_that_kept_nothing_has_the_first_session_of_its_room_instead,
    without_a_job_the_same_start_in_the_same_room_is_the_same_session,
}

async fn sessions_join_by_job_and_never_by_room_or_name(mut world: World) {
    let first = world.joined(&ids(Some("AJ_1"), Some("RM_1")), untimed(at(1))).await.unwrap();
    let same_room = world.joined(&ids(Some("AJ_2"), Some("RM_1")), untimed(at(2))).await.unwrap();
    let same_job = world.joined(&ids(Some("AJ_1"), None), untimed(at(3))).await.unwrap();
    let same_name = world.joined(&ids(Some("AJ_3"), Some("RM_2")), untimed(at(4))).await.unwrap();
    world.project = other();
    let others = world.joined(&ids(Some("AJ_1"), Some("RM_1")), untimed(at(5))).await.unwrap();
    assert_eq!(first.recording.id, same_job.recording.id);
    assert_eq!([first.capture.attempt, same_job.capture.attempt, same_room.capture.attempt], [1, 2, 1]);
    assert_eq!(same_room.recording.session_id.as_deref(), Some("AJ_2"));
    let all = [&first, &same_room, &same_name, &others].map(|joined| joined.recording.id);
    assert_eq!(BTreeSet::from(all).len(), 4);
    assert_eq!(world.store.recording(&other(), first.recording.id).await.unwrap(), None);
    let room = world.store.same_room(first.recording.id, 10).await.unwrap();
    assert_eq!(room.iter().map(|other| other.id).collect::<Vec<_>>(), [same_room.recording.id]);
    assert_eq!(room[0].session_id.as_deref(), Some("AJ_2"));
}

async fn a_session_is_a_capture_of_the_recording_that_had_its_room_then(mut world: World) {
    let early = world.uploaded(Some("AJ_0"), 0, 50).await;
    let first = world.room(100).await;
    let live = world.upload(Some("AJ_1"), 90, 300).await;
    assert_eq!((live.recording.id, live.recording.state.status), (first.0.id, Status::Active));
    world.read_live(&live, (90, 300)).await;
    world.settled(&first, 100, 400).await;
    // Stopped, and started again.
    let second = world.room(700).await;
    let late = world.upload(Some("AJ_0b"), 405, 690).await;
    assert!(![first.0.id, second.0.id, early.recording.id].contains(&late.recording.id), "between the two");
    assert_eq!(late.recording.state.status, Status::Processing, "there is one live recording of a room");
    world.read(&late, (405, 690)).await;
    world.settled(&second, 700, 1_300).await;
    let long = world.upload(Some("AJ_2"), 110, 1_300).await;
    assert_eq!(long.recording.id, second.0.id, "with that one it shares more");
    let again = world.upload(Some("AJ_1"), 90, 300).await;
    assert_eq!((again.recording.id, again.capture.attempt), (first.0.id, 3));
    assert_eq!(world.of_session("AJ_1").await, [first.0.id]);
    assert_eq!(world.of_session("AJ_0").await, [early.recording.id]);
    let others = world.store.same_room(first.0.id, 10).await.unwrap();
    let others: Vec<_> = others.iter().map(|other| other.id).collect();
    assert_eq!(others, [early.recording.id, late.recording.id, second.0.id], "in the order in which they began");
    assert_eq!(world.store.same_room(first.0.id, 1).await.unwrap().len(), 1);
}

async fn a_recorder_that_kept_nothing_has_the_first_session_of_its_room_instead(mut world: World) {
    let (recording, capture) = world.room(100).await;
    world.store.room_ended(owned(recording.id), at(130)).await.unwrap();
    let log = recording.prefix.log_chunk(1, 0);
    let nothing = world.publication(&capture, &log, (100, 130)).await;
    let lost = Publication {
        capture: Capture { status: CaptureStatus::Failed, ended_at: Some(at(130)), ..capture },
        audio_index: None,
        transcript: None,
        content: Some(Content::Silent { reason: Reason::ConnectionLost, partial: true }),
        segments: Vec::new(),
        duration: MediaTime::ZERO,
        started_at: None,
        facts: SessionFacts::default(),
        ..nothing
    };
    assert_eq!(world.publish(TaskKind::Finalize, &lost).await.state.status, Status::Failed);
    let first = world.upload(Some("AJ_1"), 200, 300).await;
    assert_eq!((first.recording.id, first.recording.state.status), (recording.id, Status::Processing));
    world.read(&first, (200, 300)).await;
    assert_eq!(world.row(recording.id).await.0.state.status, Status::Completed);
    let second = world.upload(Some("AJ_2"), 900, 990).await;
    assert_ne!(second.recording.id, recording.id);
}

async fn without_a_job_the_same_start_in_the_same_room_is_the_same_session(mut world: World) {
    let first = world.uploaded(None, 100, 200).await;
    let again = world.upload(None, 100, 250).await;
    let other = world.upload(None, 101, 250).await;
    assert_eq!(first.recording.id, again.recording.id);
    assert_ne!(first.recording.id, other.recording.id);
}
