//! Sessions that have recordings of their own beside their room's.

use std::sync::Arc;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::location::Location;
use echosphere_domain::recording::{Capture, CaptureStatus, Recording};
use echosphere_domain::time::WallTime;
use echosphere_store::{
    Erasure, Error, Joined, Own, OwnRecording, Publication, Purpose, SessionFacts, StoredSegment, TaskKind,
    TelemetryRequest,
};

use crate::work::{aac, key, segment};
use crate::world::{World, at, ids, mine};

on_each! {
    a_session_that_its_room_does_not_hold_whole_has_two_recordings_and_one_body,
    a_body_that_two_recordings_need_belongs_to_one_of_them,
    what_telemetry_says_of_a_session_is_known_of_both_its_recordings,
    a_deleted_room_takes_its_sessions_with_it,
    a_deleted_session_leaves_its_room_too,
    a_deletion_is_not_done_before_its_room_sounds_without_it,
    a_session_is_looked_for_until_it_is_known_which_recordings_hold_it,
}

/// A room's recording with a session that sticks out of it, and that session's own recording.
struct Held {
    room: (Recording, Capture),
    session: Joined,
    own: Recording,
    capture: Capture,
}

async fn own(world: &mut World, room: RecordingId, capture: CaptureId) -> Option<OwnRecording> {
    let (new_recording, new_capture) = (RecordingId::new(world.uuid()), CaptureId::new(world.uuid()));
    let own = Own { room, capture, new_recording, new_capture, now: world.later() };
    world.store.own_recording(&own).await.unwrap()
}

async fn with_its_own(world: &mut World) -> Held {
    let room = world.room(100).await;
    let session = world.upload(Some("AJ_1"), 50, 390).await;
    world.read_live(&session, (50, 390)).await;
    world.settled(&room, 100, 400).await;
    let claim = world.task(TaskKind::Separate).await;
    assert_eq!(claim.payload, format!("default/{}/{}", room.0.id, session.capture.id));
    let OwnRecording { recording, capture, .. } = own(world, room.0.id, session.capture.id).await.unwrap();
    let again = own(world, room.0.id, session.capture.id).await.unwrap();
    assert_eq!((again.recording.id, again.capture.id), (recording.id, capture.id));
    assert_eq!((recording.session_id.as_deref(), recording.created_at), (Some("AJ_1"), at(391)));
    let publication = world.publication(&capture, &session.body, (50, 390)).await;
    world.store.publish(&publication, &claim.lease).await.unwrap();
    world.rendered(recording.id).await;
    let more = world.maybe_task(TaskKind::Separate).await;
    assert!(more.is_none(), "only a room's recording has sessions to look at");
    Held { room, session, own: recording, capture }
}

async fn a_session_that_its_room_does_not_hold_whole_has_two_recordings_and_one_body(mut world: World) {
    let Held { room, session, own: held, capture } = with_its_own(&mut world).await;
    let mut found = world.of_session("AJ_1").await;
    found.sort();
    let mut both = [room.0.id, held.id];
    both.sort();
    assert_eq!(found, both);
    assert_eq!(world.whole(capture.id).await, Some(session.body.clone()));
    // The same job once more: the room's recording has it, not the other one.
    let whole = world.upload(Some("AJ_1"), 50, 390).await;
    assert_eq!(whole.recording.id, room.0.id);
    let read = world.publication(&whole.capture, &whole.body, (50, 390)).await;
    let (supersedes, segments) = (vec![session.capture.id], vec![segment(room.1.id, 0)]);
    world.publish(TaskKind::Ingest, &Publication { supersedes, segments, ..read }).await;
    assert!(!world.condemned().await.contains(&session.body), "its own recording needs it still");
    world.rendered(room.0.id).await;
    let claim = world.task(TaskKind::Separate).await;
    let newer = own(&mut world, room.0.id, whole.capture.id).await.unwrap();
    assert_eq!(newer.recording.id, held.id);
    assert_eq!(newer.supersedes, [capture.id]);
    let read = world.publication(&newer.capture, &whole.body, (50, 390)).await;
    assert_eq!(read.beside, [(capture.id, CaptureStatus::Complete)]);
    let publication = Publication { supersedes: newer.supersedes, ..read };
    world.store.publish(&publication, &claim.lease).await.unwrap();
    assert!(world.condemned().await.contains(&session.body), "now nothing does");
}

async fn a_body_that_two_recordings_need_belongs_to_one_of_them(mut world: World) {
    let Held { room, session, own, .. } = with_its_own(&mut world).await;
    let keys = [session.body.clone(), key("recordings/x/nobody-s")];
    let kept = world.store.kept_elsewhere(Erasure::Recording(own.id), &keys).await.unwrap();
    assert_eq!(kept, [session.body]);
    let kept = world.store.kept_elsewhere(Erasure::Recording(room.0.id), &keys).await.unwrap();
    assert!(kept.is_empty(), "{kept:?}");
}

async fn what_telemetry_says_of_a_session_is_known_of_both_its_recordings(mut world: World) {
    let Held { room, own: held, .. } = with_its_own(&mut world).await;
    let facts = SessionFacts { simulated: true, ..SessionFacts::default() };
    let request = TelemetryRequest { facts, ..world.request(&ids(Some("AJ_1"), None)).await };
    assert!(world.store.add_telemetry(&request).await.unwrap());
    for id in [room.0.id, held.id] {
        assert!(world.row(id).await.0.simulated);
    }
}

async fn a_deleted_room_takes_its_sessions_with_it(mut world: World) {
    let Held { room, session, own: held, .. } = with_its_own(&mut world).await;
    world.store.request_deletion(&mine(), room.0.id, at(500)).await.unwrap();
    assert_eq!(world.deletion(held.id).await, Deletion::Pending);
    assert!(world.objects_of(room.0.id).await.contains(&session.body));
    world.erased().await;
    for id in [room.0.id, held.id] {
        let (recording, captures) = world.row(id).await;
        assert_eq!((recording.state.deletion, captures.len()), (Deletion::Done, 0));
    }
    assert_eq!(own(&mut world, room.0.id, session.capture.id).await, None);
    assert_eq!(world.try_upload(Some("AJ_1"), 50, 390).await, None);
}

async fn a_deleted_session_leaves_its_room_too(mut world: World) {
    let Held { room, session, own: held, .. } = with_its_own(&mut world).await;
    world.store.request_deletion(&mine(), held.id, at(500)).await.unwrap();
    let (recording, captures) = world.row(room.0.id).await;
    assert_eq!(recording.state.deletion, Deletion::None);
    let given_up = captures.iter().find(|capture| capture.id == session.capture.id).unwrap();
    assert_eq!((given_up.status, &given_up.audio), (CaptureStatus::Superseded, &None));
    assert!(world.store.transcripts(room.0.id).await.unwrap().iter().all(|(id, _)| *id != session.capture.id));
    assert!(world.maybe_task(TaskKind::Compose).await.is_some(), "the room is composed without it");
    // Its bytes are gone before the deletion is done.
    assert!(world.objects_of(held.id).await.contains(&session.body));
    assert!(!world.objects_of(room.0.id).await.contains(&session.body));
    world.erased().await;
    assert!(world.of_session("AJ_1").await.is_empty());
    assert_eq!(world.try_upload(Some("AJ_1"), 50, 390).await, None);
}

async fn place(world: &mut World, after: Option<CaptureId>) -> Option<CaptureId> {
    let now = world.later();
    world.store.place_sessions(after, 1, now).await.unwrap()
}

async fn a_session_is_looked_for_until_it_is_known_which_recordings_hold_it(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    let mut sessions = Vec::new();
    for job in ["AJ_1", "AJ_2"] {
        let session = world.upload(Some(job), 110, 390).await;
        world.read_live(&session, (110, 390)).await;
        sessions.push(session.capture.id);
    }
    assert_eq!(place(&mut world, None).await, None, "the room is not rendered yet");
    world.settled(&room, 100, 400).await;
    // Their tasks are lost.
    let (first, second) = (world.task(TaskKind::Separate).await, world.task(TaskKind::Separate).await);
    store.complete(&first.lease).await.unwrap();
    store.complete(&second.lease).await.unwrap();

    assert_eq!(place(&mut world, None).await, Some(sessions[0]));
    assert_eq!(place(&mut world, Some(sessions[0])).await, Some(sessions[1]));
    assert_eq!(place(&mut world, Some(sessions[1])).await, None);
    assert_eq!(world.open_tasks(TaskKind::Separate).await, 2);
    let claim = world.task(TaskKind::Separate).await;
    assert_eq!(claim.payload, format!("default/{}/{}", room.0.id, sessions[0]));
    assert!(matches!(store.session_placed(sessions[0], &first.lease).await, Err(Error::LeaseLost(_))));
    assert_eq!(place(&mut world, None).await, Some(sessions[0]), "that was not noted");
    store.session_placed(sessions[0], &claim.lease).await.unwrap();
    assert_eq!(world.open_tasks(TaskKind::Separate).await, 1);
    assert_eq!(place(&mut world, None).await, Some(sessions[1]));
}

async fn a_deletion_is_not_done_before_its_room_sounds_without_it(mut world: World) {
    let store = Arc::clone(&world.store);
    let Held { room, own: held, .. } = with_its_own(&mut world).await;
    let segment = key("recordings/x/with-it.ts");
    store.announce(&mine(), Some(room.0.id), Purpose::Segment, std::slice::from_ref(&segment), at(401)).await.unwrap();
    let revision = world.row(room.0.id).await.0.state.revision;
    let stored = [StoredSegment { index: 0, location: Location::part(segment.clone(), 0, 9) }];
    assert!(store.segments_stored(room.0.id, &aac().id, revision, &stored, at(401)).await.unwrap());
    let what = Erasure::Recording(held.id);
    let mut divisions = Vec::new();
    while let Some(claim) = world.maybe_task(TaskKind::Divide).await {
        divisions.push(claim.lease);
    }
    assert!(store.belongings(what).await.unwrap().is_heard_elsewhere, "what the room has of it is being divided");
    for lease in divisions {
        store.complete(&lease).await.unwrap();
    }
    assert!(!store.belongings(what).await.unwrap().is_heard_elsewhere);
    store.request_deletion(&mine(), held.id, at(500)).await.unwrap();
    assert!(store.belongings(what).await.unwrap().is_heard_elsewhere);
    let at_once = async |world: &World| {
        let found = world.store.sweepable(WallTime::from_nanos(1), WallTime::from_nanos(0), 100).await.unwrap();
        found.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert!(!at_once(&world).await.contains(&segment), "it is played still");
    let (_, captures) = world.row(room.0.id).await;
    let lead = captures.iter().find(|capture| capture.id == room.1.id).unwrap();
    let log = room.0.prefix.log_chunk(1, 0);
    let publication = world.publication(lead, &log, (100, 400)).await;
    world.publish(TaskKind::Compose, &publication).await;
    assert!(store.belongings(what).await.unwrap().is_heard_elsewhere, "its bytes are there still");
    let gone = at_once(&world).await;
    assert!(gone.contains(&segment), "{gone:?}");
    store.swept(&gone).await.unwrap();
    assert!(!store.belongings(what).await.unwrap().is_heard_elsewhere);
}
