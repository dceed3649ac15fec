//! Uploads of sessions: from the first byte to the capture that they become, or to what else becomes of them.

use std::sync::Arc;

use echosphere_domain::id::{TaskId, UploadId};
use echosphere_store::{Sealed, TaskKind, Upload, UploadState};

use crate::work::other;
use crate::world::{World, at, ids, mine, spanning};

on_each! {
    an_upload_of_which_nothing_came_is_abandoned,
    what_was_acknowledged_stays_as_it_was,
    an_upload_becomes_a_capture_when_it_is_published,
    a_duplicate_loses_its_capture_and_its_bytes,
    an_upload_that_cannot_be_read_is_kept_with_the_reason,
    uploads_wait_are_listed_and_are_read_again,
    uploads_of_a_state_are_listed_by_their_age,
    an_upload_is_forgotten_unless_it_became_a_capture,
}

/// An upload of which nothing has come but its head.
async fn begun(world: &mut World) -> UploadId {
    let id = UploadId::new(world.uuid());
    let upload = Upload::receiving(id, world.project.clone(), "multipart/form-data".to_owned(), at(1));
    world.store.begin_upload(&upload).await.unwrap();
    assert_eq!(world.store.upload(id).await.unwrap(), Some(upload));
    id
}

async fn unfinished(world: &World) -> Vec<UploadId> {
    let found = world.store.unfinished_uploads().await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|upload| upload.id).collect();
    found.sort();
    found
}

async fn state(world: &World, id: UploadId) -> UploadState {
    world.store.upload(id).await.unwrap().unwrap().state
}

async fn an_upload_of_which_nothing_came_is_abandoned(mut world: World) {
    let ours = begun(&mut world).await;
    let received = world.received(&ids(Some("AJ_1"), Some("RM_1")), at(1)).await;
    world.project = other();
    let theirs = begun(&mut world).await;
    assert_eq!(unfinished(&world).await, [ours, theirs], "of all projects");
    for id in [ours, received] {
        world.store.abandon_upload(id).await.unwrap();
    }
    assert_eq!(unfinished(&world).await, [theirs]);
    assert_eq!(world.store.upload(ours).await.unwrap(), None);
    assert_eq!(state(&world, received).await, UploadState::Received, "it was acknowledged");
}

async fn what_was_acknowledged_stays_as_it_was(mut world: World) {
    let id = begun(&mut world).await;
    for sealed in [Sealed { bytes: 7, complete: false }, Sealed { bytes: 9, complete: true }] {
        let task = TaskId::new(world.uuid());
        world.store.seal_upload(id, sealed, task, at(2)).await.unwrap();
    }
    let upload = world.store.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.bytes, upload.complete), (UploadState::Received, 7, false));
    assert_eq!(world.open_tasks(TaskKind::Ingest).await, 1);
    assert_eq!(world.task(TaskKind::Ingest).await.payload, id.to_string());
}

async fn an_upload_becomes_a_capture_when_it_is_published(mut world: World) {
    let joined = world.upload(Some("AJ_1"), 0, 8).await;
    let id = joined.capture.upload.unwrap();
    assert_eq!(state(&world, id).await, UploadState::Received);
    world.read(&joined, (0, 8)).await;
    assert_eq!(state(&world, id).await, UploadState::Joined);
}

async fn a_duplicate_loses_its_capture_and_its_bytes(mut world: World) {
    let first = world.uploaded(Some("AJ_1"), 0, 8).await;
    let again = world.upload(Some("AJ_1"), 0, 8).await;
    assert_eq!(again.recording.id, first.recording.id);
    let id = again.capture.upload.unwrap();
    world.store.drop_duplicate(id, at(20)).await.unwrap();
    assert_eq!(state(&world, id).await, UploadState::Duplicate);
    let (_, captures) = world.row(first.recording.id).await;
    assert_eq!(captures.iter().map(|capture| capture.id).collect::<Vec<_>>(), [first.capture.id]);
    assert_eq!(world.condemned().await, [again.body]);
    let unread = world.received(&ids(Some("AJ_1"), Some("RM_1")), at(30)).await;
    world.store.drop_duplicate(unread, at(31)).await.unwrap();
    assert_eq!(state(&world, unread).await, UploadState::Duplicate, "without a capture, too");
}

async fn an_upload_that_cannot_be_read_is_kept_with_the_reason(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.received(&ids(None, Some("RM_1")), at(1)).await;
    store.quarantine_upload(id, "not a session").await.unwrap();
    let upload = store.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.reason.as_deref()), (UploadState::Quarantined, Some("not a session")));
    let task = TaskId::new(world.uuid());
    assert!(store.release_upload(id, false, task, at(3)).await.unwrap());
    let upload = store.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.reason, upload.is_released), (UploadState::Received, None, false));
}

async fn uploads_wait_are_listed_and_are_read_again(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.received(&ids(Some("AJ_1"), Some("RM_1")), at(1)).await;
    let first = world.task(TaskKind::Ingest).await;
    store.hold_upload(id).await.unwrap();
    store.complete(&first.lease).await.unwrap();
    let listed = store.uploads_in(&mine(), UploadState::Held, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [id]);
    assert!(store.uploads_in(&other(), UploadState::Held, None, 10).await.unwrap().is_empty());
    assert_eq!(store.count_uploads(UploadState::Held).await.unwrap(), 1);
    assert!(store.uploads_before(UploadState::Held, at(1), 10).await.unwrap().is_empty());
    assert_eq!(store.uploads_before(UploadState::Held, at(2), 10).await.unwrap().len(), 1);
    let task = TaskId::new(world.uuid());
    assert!(store.release_upload(id, true, task, at(9)).await.unwrap());
    assert!(!store.release_upload(id, true, task, at(9)).await.unwrap());
    let upload = store.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.is_released), (UploadState::Received, true));
    assert_eq!(world.task(TaskKind::Ingest).await.payload, id.to_string());
    let becoming = begun(&mut world).await;
    store.hold_upload(becoming).await.unwrap();
    assert_eq!(state(&world, becoming).await, UploadState::Receiving, "only what was received waits");
}

async fn uploads_of_a_state_are_listed_by_their_age(mut world: World) {
    let store = Arc::clone(&world.store);
    let mut ours = Vec::new();
    for second in [1, 2, 3] {
        ours.push(world.received(&ids(None, Some("RM_1")), at(second)).await);
    }
    world.project = other();
    let theirs = world.received(&ids(None, Some("RM_1")), at(4)).await;
    let state = UploadState::Received;
    let listed = store.uploads_in(&mine(), state, None, 2).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [ours[2], ours[1]], "newest first");
    let listed = store.uploads_in(&mine(), state, Some(at(3)), 10).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [ours[1], ours[0]]);
    let listed = store.uploads_in(&other(), state, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [theirs]);
    let listed = store.uploads_before(state, at(5), 10).await.unwrap();
    let all = [ours[0], ours[1], ours[2], theirs];
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), all, "oldest first, of all projects");
    let listed = store.uploads_before(state, at(3), 1).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [ours[0]]);
    assert_eq!(store.count_uploads(state).await.unwrap(), 4);
}

async fn an_upload_is_forgotten_unless_it_became_a_capture(mut world: World) {
    let received = world.received(&ids(None, Some("RM_1")), at(1)).await;
    let joined = world.joined(&ids(Some("AJ_1"), Some("RM_1")), spanning(0, 8)).await.unwrap();
    let became = joined.capture.upload.unwrap();
    for id in [received, became] {
        world.store.forget_upload(id).await.unwrap();
    }
    assert_eq!(world.store.upload(received).await.unwrap(), None);
    assert!(world.store.upload(became).await.unwrap().is_some());
}
