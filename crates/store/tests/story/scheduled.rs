//! Deletions that are scheduled, and recordings under legal hold.

use std::sync::Arc;

use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Deletion;
use echosphere_store::{Gone, Own, TaskKind};

use crate::work::other;
use crate::world::{World, at, ids, mine};

on_each! {
    a_scheduled_deletion_begins_when_its_time_has_come,
    a_scheduled_deletion_is_called_off,
    what_is_under_legal_hold_is_not_deleted,
    what_a_hold_has_kept_goes_when_it_is_lifted,
    a_hold_keeps_what_the_recording_shares_with_another,
    nothing_is_scheduled_of_what_is_deleted_or_another_project_s,
}

async fn schedule(world: &World, id: RecordingId, second: Option<i64>) {
    let scheduled = world.store.schedule_deletion(&mine(), id, second.map(at), at(9)).await.unwrap().unwrap();
    assert_eq!(scheduled.state, world.row(id).await.0.state);
}

async fn hold(world: &World, id: RecordingId, is_held: bool, second: i64) {
    let held = world.store.set_hold(&mine(), id, is_held, at(second)).await.unwrap().unwrap();
    assert_eq!((held.state.is_held, held.state), (is_held, world.row(id).await.0.state));
}

async fn a_scheduled_deletion_begins_when_its_time_has_come(mut world: World) {
    let store = Arc::clone(&world.store);
    let (first, second) =
        (world.uploaded(Some("AJ_1"), 0, 8).await.recording.id, world.uploaded(Some("AJ_2"), 0, 8).await.recording.id);
    schedule(&world, first, Some(20)).await;
    schedule(&world, second, Some(30)).await;
    let state = world.row(first).await.0.state;
    assert_eq!((state.deletion, state.delete_at), (Deletion::Scheduled, Some(at(20))));
    // Until then it is there for everybody.
    assert_eq!(world.of_session("AJ_1").await, [first]);
    assert_eq!(store.transcripts(first).await.unwrap().len(), 1);
    assert_eq!(store.upload_gone(&mine(), &ids(Some("AJ_1"), None)).await.unwrap(), None);
    assert_eq!(world.upload(Some("AJ_1"), 0, 8).await.recording.id, first);
    assert_eq!(store.time_passed(at(19)).await.unwrap(), 0);
    assert_eq!(store.time_passed(at(20)).await.unwrap(), 1);
    assert_eq!(store.time_passed(at(21)).await.unwrap(), 0, "once");
    let state = world.row(first).await.0.state;
    assert_eq!((state.deletion, state.delete_at), (Deletion::Pending, None));
    assert_eq!(world.deletion(second).await, Deletion::Scheduled);
    assert_eq!(store.upload_gone(&mine(), &ids(Some("AJ_1"), None)).await.unwrap(), Some(Gone::Deleted));
    world.erased().await;
    assert_eq!(world.deletion(first).await, Deletion::Done);
    // For a time that has passed it begins at once.
    schedule(&world, second, Some(9)).await;
    assert_eq!(world.deletion(second).await, Deletion::Pending);
    assert_eq!(world.open_tasks(TaskKind::Erase).await, 1);
}

async fn a_scheduled_deletion_is_called_off(mut world: World) {
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    let before = world.row(id).await.0;
    schedule(&world, id, Some(20)).await;
    schedule(&world, id, Some(40)).await;
    assert_eq!(world.store.time_passed(at(20)).await.unwrap(), 0, "it was put off");
    schedule(&world, id, None).await;
    assert_eq!(world.row(id).await.0, before);
    assert_eq!(world.store.time_passed(at(99)).await.unwrap(), 0);
}

async fn what_is_under_legal_hold_is_not_deleted(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    hold(&world, id, true, 9).await;
    let kept = store.request_deletion(&mine(), id, at(10)).await.unwrap().unwrap();
    assert_eq!((kept.state.deletion, kept.state.is_held), (Deletion::None, true));
    assert!(!store.refuse(&mine(), &ids(Some("AJ_1"), None), Gone::Redaction, at(11)).await.unwrap());
    assert_eq!(world.deletion(id).await, Deletion::None);
    assert_eq!(world.open_tasks(TaskKind::Erase).await, 0);
    schedule(&world, id, Some(5)).await;
    assert_eq!(store.time_passed(at(99)).await.unwrap(), 0);
    assert_eq!(world.deletion(id).await, Deletion::Scheduled);
}

async fn what_a_hold_has_kept_goes_when_it_is_lifted(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    schedule(&world, id, Some(20)).await;
    hold(&world, id, true, 10).await;
    assert_eq!(store.time_passed(at(30)).await.unwrap(), 0);
    hold(&world, id, false, 31).await;
    assert_eq!(world.deletion(id).await, Deletion::Pending);
    assert_eq!(store.set_hold(&mine(), id, true, at(32)).await.unwrap().unwrap().state.deletion, Deletion::Pending);
    world.erased().await;
    assert_eq!(world.deletion(id).await, Deletion::Done);
}

async fn a_hold_keeps_what_the_recording_shares_with_another(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    let session = world.upload(Some("AJ_1"), 50, 390).await;
    world.read_live(&session, (50, 390)).await;
    world.settled(&room, 100, 400).await;
    let (new_recording, capture) = (RecordingId::new(world.uuid()), session.capture.id);
    let new_capture = echosphere_domain::id::CaptureId::new(world.uuid());
    let own = Own { room: room.0.id, capture, new_recording, new_capture, now: world.later() };
    let own = store.own_recording(&own).await.unwrap().unwrap().recording.id;
    for (held, wanted) in [(own, room.0.id), (room.0.id, own)] {
        hold(&world, held, true, 500).await;
        store.request_deletion(&mine(), wanted, at(501)).await.unwrap();
        schedule(&world, wanted, Some(5)).await;
        assert_eq!(store.time_passed(at(502)).await.unwrap(), 0);
        assert_eq!(world.deletion(wanted).await, Deletion::Scheduled, "its session is the other's, too");
        hold(&world, held, false, 503).await;
        schedule(&world, wanted, None).await;
    }
    assert!(world.objects_of(room.0.id).await.contains(&session.body));
    hold(&world, own, true, 504).await;
    schedule(&world, room.0.id, Some(5)).await;
    hold(&world, own, false, 505).await;
    assert_eq!(store.time_passed(at(506)).await.unwrap(), 1);
    for id in [own, room.0.id] {
        assert_eq!(world.deletion(id).await, Deletion::Pending, "now both go");
    }
}

async fn nothing_is_scheduled_of_what_is_deleted_or_another_project_s(mut world: World) {
    let store = Arc::clone(&world.store);
    let id = world.uploaded(Some("AJ_1"), 0, 8).await.recording.id;
    assert_eq!(store.schedule_deletion(&other(), id, Some(at(1)), at(9)).await.unwrap(), None);
    assert_eq!(store.set_hold(&other(), id, true, at(9)).await.unwrap(), None);
    assert_eq!(world.deletion(id).await, Deletion::None);
    world.deleted(id).await;
    assert_eq!(store.schedule_deletion(&mine(), id, Some(at(1)), at(9)).await.unwrap(), None);
    assert_eq!(store.set_hold(&mine(), id, true, at(9)).await.unwrap(), None);
    assert_eq!(world.deletion(id).await, Deletion::Done);
}
