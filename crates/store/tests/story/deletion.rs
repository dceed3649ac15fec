//! Deletion: what belongs to a recording goes with it, and does not come back.

use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::options::RecordingOptions;
use echosphere_store::{Erasure, Error, Event, Failure, Gone, Purpose, SessionIds, TaskKind, What};

use crate::work::other;
use crate::world::{World, at, ids, mine, owned, spanning};

on_each! {
    with_a_recording_goes_what_was_told_of_its_room,
    what_another_recording_of_the_room_holds_stays,
    nothing_is_announced_for_what_is_being_deleted,
    an_upload_that_is_coming_for_a_deleted_room_is_waited_for,
    a_session_that_was_in_a_room_while_it_was_deleted_does_not_come_back,
    what_was_deleted_does_not_come_back,
    nothing_is_erased_whose_deletion_nobody_requested,
    a_deletion_without_a_task_is_taken_up_again,
    what_was_deleted_is_listed_page_by_page,
}

async fn with_a_recording_goes_what_was_told_of_its_room(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.live("RM_1").await;
    world.around("RM_1").await;
    world.telemetry(&ids(Some("AJ_1"), Some("RM_1"))).await;
    world.project = other();
    world.around("RM_1").await;
    world.project = mine();
    world.deleted(id).await;
    let recording = world.row(id).await.0;
    assert_eq!((recording.session_id, recording.room_name), (None, None));
    assert!(recording.labels.is_empty());
    assert_eq!(recording.prefix.as_str(), format!("recordings/{id}/{id}"), "without the user's own id");
    assert!(store.people(&mine(), "RM_1").await.unwrap().is_empty());
    assert!(store.excluded(id).await.unwrap().is_empty());
    assert_eq!(store.recording_options(id).await.unwrap(), Some(RecordingOptions::default()));
    assert!(store.telemetry_of(&mine(), "AJ_1").await.unwrap().is_empty());
    let [ours, theirs]: [_; 2] = store.due_events(at(9), 10).await.unwrap().try_into().unwrap();
    let body =
        |event: &Event| if let What::Livekit { body, .. } = &event.what { body.clone() } else { panic!("{event:?}") };
    assert_eq!((ours.room_name.as_str(), body(&ours).as_str()), ("", ""));
    assert!(theirs.id.project == other() && !body(&theirs).is_empty());
    assert_eq!(store.people(&other(), "RM_1").await.unwrap().len(), 1);
    assert_eq!(store.redactions(id).await.unwrap().left_out.len(), 1, "on which side somebody was left out stays");
}

async fn what_another_recording_of_the_room_holds_stays(mut world: World) {
    let store = Arc::clone(&world.store);
    let session = spanning(10, 20);
    let first = world.joined(&ids(Some("AJ_1"), Some("RM_1")), session).await.unwrap().recording.id;
    let second = world.joined(&ids(Some("AJ_2"), Some("RM_1")), session).await.unwrap().recording.id;
    for job in [Some("AJ_1"), Some("AJ_2"), None] {
        world.telemetry(&ids(job, Some("RM_1"))).await;
    }
    world.around("RM_1").await;
    world.deleted(first).await;
    let kept = store.telemetry_of_recording(second).await.unwrap();
    assert_eq!(kept.iter().map(|request| request.job_id.as_deref()).collect::<Vec<_>>(), [Some("AJ_2"), None]);
    assert_eq!(store.people(&mine(), "RM_1").await.unwrap().len(), 1);
    assert!(world.telemetry(&ids(None, Some("RM_1"))).await.0);
    assert!(world.telemetry(&ids(Some("AJ_3"), Some("RM_1"))).await.0);
    assert!(!world.telemetry(&ids(Some("AJ_1"), Some("RM_1"))).await.0);
    world.deleted(second).await;
    let left = store.telemetry_of(&mine(), "AJ_3").await.unwrap();
    assert_eq!(left.len(), 1, "a session of the room that nobody deleted");
    assert!(store.people(&mine(), "RM_1").await.unwrap().is_empty());
    // The other project's room of that id is another room.
    let theirs = ids(Some("AJ_1"), Some("RM_1"));
    assert_eq!(store.gone(&other(), &theirs).await.unwrap(), None);
    assert_eq!(store.upload_gone(&other(), &theirs).await.unwrap(), None);
    world.project = other();
    assert!(world.telemetry(&theirs).await.0);
    assert!(world.joined(&theirs, session).await.is_some());
}

async fn nothing_is_announced_for_what_is_being_deleted(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = world.joined(&ids(Some("AJ_1"), Some("RM_1")), spanning(10, 20)).await.unwrap();
    let id = joined.recording.id;
    let key = joined.recording.prefix.segment(1, "audio", 1, 0);
    store.announce(&mine(), Some(id), Purpose::Segment, from_ref(&key), at(5)).await.unwrap();
    store.request_deletion(&mine(), id, at(6)).await.unwrap();
    for purpose in [Purpose::Segment, Purpose::Log, Purpose::Analysis] {
        let refused = store.announce(&mine(), Some(id), purpose, from_ref(&key), at(5)).await;
        assert!(matches!(refused, Err(Error::Deleted(deleted)) if deleted == id));
    }
    assert!(world.objects_of(id).await.contains(&key), "announced before: it may come to lie there");
}

async fn an_upload_that_is_coming_for_a_deleted_room_is_waited_for(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.live("RM_1").await;
    let coming = world.received(&ids(Some("AJ_1"), Some("RM_1")), at(1)).await;
    world.received(&ids(Some("AJ_2"), Some("RM_2")), at(1)).await;
    let what = Erasure::Recording(room);
    store.request_deletion(&mine(), room, at(30)).await.unwrap();
    store.erase_rows(what).await.unwrap();
    assert!(store.belongings(what).await.unwrap().is_awaited);
    store.forget_upload(coming).await.unwrap();
    assert!(!store.belongings(what).await.unwrap().is_awaited);
    let of_job = ids(Some("AJ_3"), Some("RM_3"));
    let session = world.joined(&of_job, spanning(10, 20)).await.unwrap().recording.id;
    let second = world.received(&of_job, at(1)).await;
    store.request_deletion(&mine(), session, at(30)).await.unwrap();
    let found = store.belongings(Erasure::Recording(session)).await.unwrap();
    assert!(found.uploads.contains(&second) && !found.is_awaited, "of a session it is known whose it is");
}

async fn a_session_that_was_in_a_room_while_it_was_deleted_does_not_come_back(mut world: World) {
    let room = world.live("RM_1").await;
    world.store.heard(owned(room), at(2)).await.unwrap();
    world.store.request_deletion(&mine(), room, at(30)).await.unwrap();
    world.erased().await;
    assert!(world.joined(&ids(Some("AJ_1"), Some("RM_1")), spanning(10, 20)).await.is_none());
    assert!(world.joined(&ids(Some("AJ_2"), Some("RM_2")), spanning(10, 20)).await.is_some());
}

async fn what_was_deleted_does_not_come_back(mut world: World) {
    for job in [Some("AJ_1"), None] {
        let alone = world.uploaded(job, 100, 200).await;
        world.store.request_deletion(&mine(), alone.recording.id, at(300)).await.unwrap();
        world.erased().await;
        assert_eq!(world.try_upload(job, 100, 200).await, None);
        assert_eq!(world.deletion(alone.recording.id).await, Deletion::Done);
    }
    let room = world.room(1_000).await;
    world.settled(&room, 1_000, 2_000).await;
    world.store.request_deletion(&mine(), room.0.id, at(2_100)).await.unwrap();
    world.erased().await;
    assert_eq!(world.try_upload(Some("AJ_2"), 1_100, 1_900).await, None);
    let of_it = SessionIds { job_id: Some("AJ_2".to_owned()), ..SessionIds::default() };
    let gone = world.store.gone(&mine(), &of_it).await.unwrap();
    assert_eq!(gone, Some(Gone::Deleted), "from now on by its job, too");
    let after_it = world.upload(Some("AJ_3"), 2_500, 2_900).await;
    assert_eq!((after_it.recording.id == room.0.id, after_it.recording.state.deletion), (false, Deletion::None));
}

async fn nothing_is_erased_whose_deletion_nobody_requested(mut world: World) {
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    assert_eq!(world.store.request_deletion(&other(), id, at(9)).await.unwrap(), None);
    let refused = world.store.erase_rows(Erasure::Recording(id)).await;
    assert!(matches!(refused, Err(Error::NotFound(_))), "{refused:?}");
    let (recording, captures) = world.row(id).await;
    assert_eq!((recording.state.deletion, captures.len()), (Deletion::None, 1));
}

async fn a_deletion_without_a_task_is_taken_up_again(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    world.uploaded(Some("AJ_2"), 0, 8).await;
    store.request_deletion(&mine(), id, at(9)).await.unwrap();
    assert_eq!(store.resume_deletions(at(10)).await.unwrap(), 0, "it has its task");
    let claim = world.task(TaskKind::Erase).await;
    store.fail(&claim.lease, &Failure { reason: "it was given up".to_owned(), retry_at: None }).await.unwrap();
    assert_eq!(store.resume_deletions(at(11)).await.unwrap(), 1);
    assert_eq!(store.resume_deletions(at(12)).await.unwrap(), 0);
    world.erased().await;
    assert_eq!(world.deletion(id).await, Deletion::Done);
    assert_eq!(store.resume_deletions(at(13)).await.unwrap(), 0, "it is done");
}

async fn what_was_deleted_is_listed_page_by_page(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = world.upload(Some("AJ_1"), 0, 8).await.recording.id;
    let pending = world.upload(Some("AJ_2"), 0, 8).await.recording.id;
    world.deleted(first).await;
    world.project = other();
    let second = world.upload(Some("AJ_3"), 0, 8).await.recording.id;
    world.deleted(second).await;
    store.request_deletion(&mine(), pending, at(9)).await.unwrap();
    assert_eq!(store.deleted(None, 10).await.unwrap(), [first, second], "in all projects");
    assert_eq!(store.deleted(None, 1).await.unwrap(), [first]);
    assert_eq!(store.deleted(Some(first), 10).await.unwrap(), [second]);
}
