//! What must not be kept: rooms that are excluded by name, sessions that are refused, uploads that wait for the name of their room.

use super::*;

#[tokio::test]
async fn a_room_that_is_left_out_loses_what_came_before_its_name() {
    let mut world = World::new().await;
    let session = world.joined(Some("AJ_1"), "RM_1").await.unwrap().recording.id;
    let asked_for = world.live("RM_1").await;
    let waits = world.received(Some("AJ_2"), "RM_1").await;
    world.store.hold_upload(waits).await.unwrap();
    let (_, of_room) = world.telemetry(None, Some("RM_9")).await;
    let excluded = ids(None, Some("RM_1"));
    assert!(world.store.refuse(&mine(), &excluded, Gone::Excluded, at(50)).await.unwrap());
    assert_eq!(world.state(session).await, Deletion::Pending);
    assert_eq!(world.state(asked_for).await, Deletion::None, "somebody asked for it by name");
    let claims = world.store.task_counts().await.unwrap();
    let open = claims.iter().find(|counts| counts.kind == TaskKind::Erase).unwrap().open;
    assert!(open >= 2, "the recording, and the upload that waits");
    world.erased().await;
    assert_eq!(world.store.upload(waits).await.unwrap(), None);
    assert_eq!(world.state(session).await, Deletion::Done);
    for session in [ids(Some("AJ_5"), Some("RM_1")), excluded.clone(), ids(Some("AJ_1"), None)] {
        assert!(world.store.gone(&mine(), &session).await.unwrap().is_some(), "{session:?}");
        assert!(world.store.upload_gone(&mine(), &session).await.unwrap().is_some(), "{session:?}");
    }
    assert!(!world.store.refuse(&mine(), &excluded, Gone::Excluded, at(60)).await.unwrap(), "again: nothing is left");
    // Telemetry alone, without a recording.
    assert!(world.store.refuse(&mine(), &ids(None, Some("RM_9")), Gone::Excluded, at(50)).await.unwrap());
    let claim = world.store.claim(&[TaskKind::Erase], at(1_000), at(2_000)).await.unwrap().unwrap();
    let what = Erasure::parse(&claim.payload).unwrap();
    assert!(matches!(what, Erasure::Refused(_)));
    assert_eq!(world.store.belongings(what).await.unwrap().objects, [of_room]);
}

#[tokio::test]
async fn what_names_the_job_alone_goes_with_the_room_and_the_other_way_round() {
    let mut world = World::new().await;
    // Telemetry of a job that does not name the room, one that ties both together, one of the room alone.
    for (job, room) in [(Some("AJ_1"), None), (Some("AJ_1"), Some("RM_1")), (None, Some("RM_1"))] {
        assert!(world.telemetry(job, room).await.0);
    }
    for (job, room) in [(Some("AJ_2"), None), (Some("AJ_2"), Some("RM_2")), (None, Some("RM_2"))] {
        assert!(world.telemetry(job, room).await.0);
    }
    assert!(world.telemetry(Some("AJ_3"), Some("RM_3")).await.0);
    world.store.refuse(&mine(), &ids(None, Some("RM_1")), Gone::Excluded, at(50)).await.unwrap();
    world.store.refuse(&mine(), &ids(Some("AJ_2"), None), Gone::Excluded, at(50)).await.unwrap();
    world.erased().await;
    for (job, left) in [("AJ_1", 0), ("AJ_2", 0), ("AJ_3", 1)] {
        assert_eq!(world.store.telemetry_of(&mine(), job).await.unwrap().len(), left, "{job}");
    }
    for session in [ids(Some("AJ_1"), None), ids(None, Some("RM_2")), ids(Some("AJ_9"), Some("RM_2"))] {
        assert_eq!(world.store.gone(&mine(), &session).await.unwrap(), Some(Gone::Excluded), "{session:?}");
    }
    assert_eq!(world.store.gone(&mine(), &ids(Some("AJ_3"), Some("RM_3"))).await.unwrap(), None);
}

#[tokio::test]
async fn telemetry_of_a_session_that_comes_for_a_deleted_room_goes_with_it() {
    let mut world = World::new().await;
    let room = world.live("RM_1").await;
    world.store.heard(room, at(2)).await.unwrap();
    assert!(world.telemetry(Some("AJ_1"), None).await.0, "whose it is nobody knows yet");
    world.store.request_deletion(&mine(), room, at(30)).await.unwrap();
    world.erased().await;
    assert!(world.joined(Some("AJ_1"), "RM_1").await.is_none());
    world.erased().await;
    assert!(world.store.telemetry_of(&mine(), "AJ_1").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_session_that_is_refused_alone_leaves_others_of_its_room() {
    let mut world = World::new().await;
    let other = world.joined(Some("AJ_2"), "RM_1").await.unwrap().recording.id;
    world.telemetry(Some("AJ_1"), Some("RM_1")).await;
    assert!(world.store.refuse(&mine(), &ids(Some("AJ_1"), Some("RM_1")), Gone::Redaction, at(50)).await.unwrap());
    world.erased().await;
    assert_eq!(world.state(other).await, Deletion::None);
    let gone = world.store.upload_gone(&mine(), &ids(Some("AJ_1"), Some("RM_1"))).await.unwrap();
    assert_eq!(gone, Some(Gone::Redaction));
    assert!(world.telemetry(Some("AJ_2"), Some("RM_1")).await.0 && !world.telemetry(Some("AJ_1"), None).await.0);
}

#[tokio::test]
async fn names_of_a_room_are_known_from_whoever_told_them() {
    let mut world = World::new().await;
    let session = ids(Some("AJ_1"), Some("RM_1"));
    assert!(world.store.room_names(&mine(), &session).await.unwrap().is_empty());
    let upload = world.received(Some("AJ_1"), "RM_1").await;
    world.store.note_session(upload, &session, Some("told by LiveKit")).await.unwrap();
    world.around("RM_1").await;
    let mut names = world.store.room_names(&mine(), &session).await.unwrap();
    names.sort();
    assert_eq!(names, ["NAMES-AND-WORDS of the room", "told by LiveKit"]);
    assert!(world.store.room_names(&mine(), &ids(Some("AJ_2"), Some("RM_2"))).await.unwrap().is_empty());
    assert!(world.store.room_names(&mine(), &ids(None, None)).await.unwrap().is_empty());
}

#[tokio::test]
async fn uploads_wait_are_listed_and_are_read_again() {
    let mut world = World::new().await;
    let id = world.received(Some("AJ_1"), "RM_1").await;
    world.store.hold_upload(id).await.unwrap();
    let listed = world.store.uploads_in(&mine(), UploadState::Held, None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|upload| upload.id).collect::<Vec<_>>(), [id]);
    assert_eq!(world.store.count_uploads(UploadState::Held).await.unwrap(), 1);
    assert!(world.store.uploads_before(UploadState::Held, at(1), 10).await.unwrap().is_empty());
    assert_eq!(world.store.uploads_before(UploadState::Held, at(2), 10).await.unwrap().len(), 1);
    let task = TaskId::new(world.uuid());
    assert!(world.store.release_upload(id, true, task, at(9)).await.unwrap());
    assert!(!world.store.release_upload(id, true, task, at(9)).await.unwrap());
    let upload = world.store.upload(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.is_released), (UploadState::Received, true));
}
