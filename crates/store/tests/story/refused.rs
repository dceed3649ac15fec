//! What must not be kept: rooms that are excluded by name, sessions that are refused.

use std::sync::Arc;

use echosphere_domain::lifecycle::Deletion;
use echosphere_store::{Erasure, Gone, TaskKind};

use crate::work::other;
use crate::world::{World, at, ids, mine, owned, spanning};

on_each! {
    a_room_that_is_left_out_loses_what_came_before_its_name,
    what_names_the_job_alone_goes_with_the_room_and_the_other_way_round,
    telemetry_of_a_session_that_comes_for_a_deleted_room_goes_with_it,
    a_session_that_is_refused_alone_leaves_others_of_its_room,
    what_one_project_refuses_another_one_keeps,
    names_of_a_room_are_known_from_whoever_told_them,
}

async fn a_room_that_is_left_out_loses_what_came_before_its_name(mut world: World) {
    let store = Arc::clone(&world.store);
    let session = world.joined(&ids(Some("AJ_1"), Some("RM_1")), spanning(10, 20)).await.unwrap().recording.id;
    let asked_for = world.live("RM_1").await;
    let waits = world.received(&ids(Some("AJ_2"), Some("RM_1")), at(1)).await;
    store.hold_upload(waits).await.unwrap();
    let (_, of_room) = world.telemetry(&ids(None, Some("RM_9"))).await;
    let excluded = ids(None, Some("RM_1"));
    assert!(store.refuse(&mine(), &excluded, Gone::Excluded, at(50)).await.unwrap());
    assert_eq!(world.deletion(session).await, Deletion::Pending);
    assert_eq!(world.deletion(asked_for).await, Deletion::None, "somebody asked for it by name");
    assert!(world.open_tasks(TaskKind::Erase).await >= 2, "the recording, and the upload that waits");
    world.erased().await;
    assert_eq!(store.upload(waits).await.unwrap(), None);
    assert_eq!(world.deletion(session).await, Deletion::Done);
    for session in [ids(Some("AJ_5"), Some("RM_1")), excluded.clone(), ids(Some("AJ_1"), None)] {
        assert!(store.gone(&mine(), &session).await.unwrap().is_some(), "{session:?}");
        assert!(store.upload_gone(&mine(), &session).await.unwrap().is_some(), "{session:?}");
    }
    assert!(!store.refuse(&mine(), &excluded, Gone::Excluded, at(60)).await.unwrap(), "again: nothing is left");
    // Telemetry alone, without a recording.
    assert!(store.refuse(&mine(), &ids(None, Some("RM_9")), Gone::Excluded, at(50)).await.unwrap());
    let claim = world.task(TaskKind::Erase).await;
    let what = Erasure::parse(&claim.payload).unwrap();
    assert!(matches!(what, Erasure::Refused(_)));
    assert_eq!(store.belongings(what).await.unwrap().objects, [of_room]);
}

async fn what_names_the_job_alone_goes_with_the_room_and_the_other_way_round(mut world: World) {
    let store = Arc::clone(&world.store);
    // Telemetry of a job that does not name the room, one that ties both together, one of the room alone.
    for (job, room) in [("AJ_1", "RM_1"), ("AJ_2", "RM_2")] {
        for session in [ids(Some(job), None), ids(Some(job), Some(room)), ids(None, Some(room))] {
            assert!(world.telemetry(&session).await.0);
        }
    }
    assert!(world.telemetry(&ids(Some("AJ_3"), Some("RM_3"))).await.0);
    store.refuse(&mine(), &ids(None, Some("RM_1")), Gone::Excluded, at(50)).await.unwrap();
    store.refuse(&mine(), &ids(Some("AJ_2"), None), Gone::Excluded, at(50)).await.unwrap();
    world.erased().await;
    for (job, left) in [("AJ_1", 0), ("AJ_2", 0), ("AJ_3", 1)] {
        assert_eq!(store.telemetry_of(&mine(), job).await.unwrap().len(), left, "{job}");
    }
    for session in [ids(Some("AJ_1"), None), ids(None, Some("RM_2")), ids(Some("AJ_9"), Some("RM_2"))] {
        assert_eq!(store.gone(&mine(), &session).await.unwrap(), Some(Gone::Excluded), "{session:?}");
    }
    assert_eq!(store.gone(&mine(), &ids(Some("AJ_3"), Some("RM_3"))).await.unwrap(), None);
}

async fn telemetry_of_a_session_that_comes_for_a_deleted_room_goes_with_it(mut world: World) {
    let room = world.live("RM_1").await;
    world.store.heard(owned(room), at(2)).await.unwrap();
    assert!(world.telemetry(&ids(Some("AJ_1"), None)).await.0, "whose it is nobody knows yet");
    world.store.request_deletion(&mine(), room, at(30)).await.unwrap();
    world.erased().await;
    assert!(world.joined(&ids(Some("AJ_1"), Some("RM_1")), spanning(10, 20)).await.is_none());
    world.erased().await;
    assert!(world.store.telemetry_of(&mine(), "AJ_1").await.unwrap().is_empty());
}

async fn a_session_that_is_refused_alone_leaves_others_of_its_room(mut world: World) {
    let other = world.joined(&ids(Some("AJ_2"), Some("RM_1")), spanning(10, 20)).await.unwrap().recording.id;
    let refused = ids(Some("AJ_1"), Some("RM_1"));
    world.telemetry(&refused).await;
    assert!(world.store.refuse(&mine(), &refused, Gone::Redaction, at(50)).await.unwrap());
    world.erased().await;
    assert_eq!(world.deletion(other).await, Deletion::None);
    assert_eq!(world.store.upload_gone(&mine(), &refused).await.unwrap(), Some(Gone::Redaction));
    assert!(world.telemetry(&ids(Some("AJ_2"), Some("RM_1"))).await.0);
    assert!(!world.telemetry(&ids(Some("AJ_1"), None)).await.0);
}

async fn what_one_project_refuses_another_one_keeps(mut world: World) {
    let store = Arc::clone(&world.store);
    let session = ids(Some("AJ_1"), Some("RM_1"));
    let ours = world.joined(&session, spanning(10, 20)).await.unwrap().recording.id;
    world.telemetry(&session).await;
    for reason in [Gone::Excluded, Gone::Redaction] {
        assert!(!store.refuse(&other(), &session, reason, at(50)).await.unwrap(), "it has nothing of it");
    }
    world.erased().await;
    assert_eq!(world.deletion(ours).await, Deletion::None);
    assert_eq!(store.telemetry_of(&mine(), "AJ_1").await.unwrap().len(), 1);
    assert_eq!(store.gone(&mine(), &session).await.unwrap(), None);
    assert_eq!(store.upload_gone(&mine(), &session).await.unwrap(), None);
    assert!(store.upload_gone(&other(), &session).await.unwrap().is_some());
}

async fn names_of_a_room_are_known_from_whoever_told_them(mut world: World) {
    let store = Arc::clone(&world.store);
    let session = ids(Some("AJ_1"), Some("RM_1"));
    assert!(store.room_names(&mine(), &session).await.unwrap().is_empty());
    let upload = world.received(&ids(None, None), at(1)).await;
    store.note_session(upload, &session, Some("told by LiveKit")).await.unwrap();
    store.note_session(upload, &session, None).await.unwrap();
    let noted = store.upload(upload).await.unwrap().unwrap();
    assert_eq!((noted.job_id, noted.room_sid), (session.job_id.clone(), session.room_sid.clone()));
    world.around("RM_1").await;
    let mut names = store.room_names(&mine(), &session).await.unwrap();
    names.sort();
    assert_eq!(names, ["NAMES-AND-WORDS of the room", "told by LiveKit"]);
    assert!(store.room_names(&other(), &session).await.unwrap().is_empty());
    assert!(store.room_names(&mine(), &ids(Some("AJ_2"), Some("RM_2"))).await.unwrap().is_empty());
    assert!(store.room_names(&mine(), &ids(None, None)).await.unwrap().is_empty());
}
