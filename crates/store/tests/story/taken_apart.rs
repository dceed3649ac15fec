//! Sessions that were put into one recording, as earlier versions did, and are taken apart.

use std::sync::Arc;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::lifecycle::Status;
use echosphere_store::{Error, SessionFacts, SplitSession, TaskKind};

use crate::work::other;
use crate::world::{World, at, mine};

on_each! {
    a_recording_of_sessions_that_began_at_different_times_is_mixed,
    the_recording_of_a_room_is_not_mixed,
    sessions_that_were_put_into_one_recording_are_taken_apart_in_one_step,
    what_is_being_deleted_is_not_taken_apart,
}

/// A recording of two sessions without a job: when they began was only seen when they were read.
async fn mixed(world: &mut World) -> RecordingId {
    let first = world.uploaded(None, 100, 104).await;
    let second = world.upload(None, 100, 108).await;
    assert_eq!(second.recording.id, first.recording.id);
    world.read(&second, (102, 108)).await;
    first.recording.id
}

async fn a_recording_of_sessions_that_began_at_different_times_is_mixed(mut world: World) {
    let store = Arc::clone(&world.store);
    for _ in 0..2 {
        world.uploaded(None, 300, 308).await;
    }
    assert!(store.mixed(None, 10).await.unwrap().is_empty(), "two uploads of one session");
    let ours = mixed(&mut world).await;
    world.project = other();
    let theirs = mixed(&mut world).await;
    assert_eq!(store.mixed(None, 10).await.unwrap(), [(mine(), ours), (other(), theirs)]);
    assert_eq!(store.mixed(None, 1).await.unwrap(), [(mine(), ours)]);
    assert_eq!(store.mixed(Some(ours), 10).await.unwrap(), [(other(), theirs)]);
    store.request_deletion(&other(), theirs, at(400)).await.unwrap();
    assert!(store.mixed(Some(ours), 10).await.unwrap().is_empty());
}

async fn the_recording_of_a_room_is_not_mixed(mut world: World) {
    let room = world.room(100).await;
    for job in ["AJ_1", "AJ_2"] {
        let session = world.upload(Some(job), 110, 390).await;
        assert_eq!(session.recording.id, room.0.id);
        world.read_live(&session, (110, 390)).await;
    }
    assert!(world.store.mixed(None, 10).await.unwrap().is_empty());
}

fn part(captures: Vec<CaptureId>, recording: RecordingId) -> SplitSession {
    SplitSession {
        captures,
        recording,
        session_id: Some("AJ_2".to_owned()),
        facts: SessionFacts { agent_name: Some("orion".to_owned()), ..SessionFacts::default() },
        created_at: at(505),
    }
}

async fn sessions_that_were_put_into_one_recording_are_taken_apart_in_one_step(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = world.uploaded(Some("AJ_1"), 100, 104).await;
    let second = world.uploaded(Some("AJ_1"), 500, 504).await;
    assert!(store.mixed(None, 10).await.unwrap().is_empty(), "one job");
    // As once was done: one recording, two jobs. The job is told with the capture, so that it can be made here.
    let third = world.uploaded(Some("AJ_3"), 900, 904).await;
    let (old, new) = (first.recording.id, RecordingId::new(world.uuid()));
    let stale = part(vec![second.capture.id, third.capture.id], new);
    let refused = store.split(old, Some("AJ_1".to_owned()), &[stale], at(1_000)).await;
    assert!(matches!(refused, Err(Error::Conflict(_))));
    assert_eq!(world.row(old).await.1.len(), 2, "nothing of it was done");
    let parts = [part(vec![second.capture.id], new)];
    store.split(old, Some("AJ_1".to_owned()), &parts, at(1_000)).await.unwrap();
    let (kept, captures) = world.row(old).await;
    assert_eq!(captures.iter().map(|capture| capture.id).collect::<Vec<_>>(), [first.capture.id]);
    assert_eq!((kept.session_id.as_deref(), kept.state.status), (Some("AJ_1"), Status::Completed));
    let (own, captures) = world.row(new).await;
    assert_eq!((captures[0].id, captures[0].attempt), (second.capture.id, 1));
    assert_eq!((own.room_sid.as_deref(), own.agent_name.as_deref()), (Some("RM_1"), Some("orion")));
    assert_eq!((own.session_id.as_deref(), own.state.status), (Some("AJ_2"), Status::Processing));
    assert_eq!(world.whole(second.capture.id).await, Some(second.body.clone()), "its key stays");
    assert!(world.objects_of(new).await.contains(&second.body));
    assert!(!world.objects_of(old).await.contains(&second.body));
    let index = store.segment_index(old).await.unwrap();
    assert!(index.iter().all(|segment| segment.capture == first.capture.id));
    let composed = [world.task(TaskKind::Compose).await, world.task(TaskKind::Compose).await];
    let mut composed = composed.map(|claim| claim.payload);
    composed.sort();
    let mut both = [format!("default/{old}"), format!("default/{new}")];
    both.sort();
    assert_eq!(composed, both);
}

async fn what_is_being_deleted_is_not_taken_apart(mut world: World) {
    let first = world.uploaded(Some("AJ_1"), 100, 104).await;
    let second = world.uploaded(Some("AJ_1"), 500, 504).await;
    let (old, new) = (first.recording.id, RecordingId::new(world.uuid()));
    world.store.request_deletion(&mine(), old, at(600)).await.unwrap();
    world.store.split(old, None, &[part(vec![second.capture.id], new)], at(1_000)).await.unwrap();
    assert_eq!(world.row(old).await.1.len(), 2);
    assert_eq!(world.store.recording(&mine(), new).await.unwrap(), None);
}
