//! Masters, which are whole at first and then divided into parts.

use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::master::{self, Master, Part};
use echosphere_domain::recording::{Audio, Capture, Recording};
use echosphere_store::{Claim, Divided, Error, Joined, Own, Purpose, SessionFacts, SplitSession, TaskKind};

use crate::world::{World, at, mine};

on_each! {
    an_upload_is_divided_once_and_its_body_goes,
    what_became_superseded_while_it_was_divided_leaves_nothing,
    a_session_in_two_recordings_is_divided_for_both,
    what_became_another_recordings_meanwhile_is_divided_there,
    a_log_is_divided_and_given_up_with_its_words,
    what_cannot_be_divided_stays_whole,
    nothing_is_divided_while_something_is_rendered,
    what_a_deletion_takes_is_not_divided,
    what_earlier_versions_read_is_divided_later,
    a_publication_does_not_bring_the_old_place_back,
}

/// What dividing a capture's master yields; its parts are announced.
async fn division(world: &World, recording: &Recording, capture: &Capture) -> Divided {
    let masters = world.store.masters(capture.id).await.unwrap();
    let whole = master::of(&masters, Part::Whole).cloned().expect("it is whole");
    let of = |part: Part| match &whole {
        Master::Log { .. } => part.of_log(&recording.prefix, capture.attempt),
        _ => part.of_upload(&recording.prefix, capture.attempt),
    };
    let (sound, words) = (of(Part::Sound), of(Part::Words));
    let purpose = if matches!(whole, Master::Log { .. }) { Purpose::LogPart } else { Purpose::Upload };
    let keys = [sound.clone(), words.clone()];
    world.store.announce(&mine(), Some(recording.id), purpose, &keys, at(20)).await.unwrap();
    let sound = match &whole {
        Master::Log { .. } => {
            Master::Log { at: Location::whole(sound), is_joined: true, chunks: 1, length: 2, is_gone: false }
        }
        _ => Master::Ogg(Location::part(sound, 0, 2)),
    };
    let parts = vec![(Part::Sound, sound), (Part::Words, Master::File(Location::whole(words)))];
    let replaced = whole.own().cloned().into_iter().collect();
    Divided { recording: recording.id, capture: capture.id, whole, parts, replaced, now: at(21) }
}

async fn divide(world: &mut World, divided: &Divided) -> bool {
    let claim = world.task(TaskKind::Divide).await;
    world.store.divided(divided, &claim.lease).await.unwrap()
}

/// A session that was uploaded and is rendered.
async fn rendered(world: &mut World, job: Option<&str>, from: i64, to: i64) -> Joined {
    let joined = world.uploaded(job, from, to).await;
    world.rendered(joined.recording.id).await;
    joined
}

fn keys(divided: &Divided) -> Vec<ObjectKey> {
    divided.parts.iter().filter_map(|(_, master)| master.own().cloned()).collect()
}

fn audio(captures: &[Capture], id: CaptureId) -> &Audio {
    captures.iter().find(|capture| capture.id == id).unwrap().audio.as_ref().unwrap()
}

async fn an_upload_is_divided_once_and_its_body_goes(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let before = world.row(joined.recording.id).await.1;
    let wanted = division(&world, &joined.recording, &joined.capture).await;
    let claim = world.task(TaskKind::Divide).await;
    assert_eq!(claim.payload, format!("default/{}/{}", joined.recording.id, joined.capture.id));
    assert!(store.divided(&wanted, &claim.lease).await.unwrap());
    assert!(matches!(store.divided(&wanted, &claim.lease).await, Err(Error::LeaseLost(_))), "once");
    assert_eq!(store.masters(joined.capture.id).await.unwrap(), wanted.parts);
    assert_eq!(world.condemned().await, from_ref(&joined.body));
    assert_eq!(world.unneeded().await, from_ref(&joined.body), "the parts are needed");
    let after = world.row(joined.recording.id).await.1;
    let (was, is) = (audio(&before, joined.capture.id), audio(&after, joined.capture.id));
    assert_eq!(*is, Audio { master: wanted.parts[0].1.clone(), ..was.clone() }, "only its place is another one");
    assert!(world.maybe_task(TaskKind::Divide).await.is_none());
    assert_eq!(store.divide_all(None, 10, at(30)).await.unwrap(), None);
}

async fn what_became_superseded_while_it_was_divided_leaves_nothing(mut world: World) {
    let cut = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let wanted = division(&world, &cut.recording, &cut.capture).await;
    let claim = world.task(TaskKind::Divide).await;
    let whole = world.upload(Some("AJ_1"), 0, 9).await;
    let mut read = world.publication(&whole.capture, &whole.body, (0, 9)).await;
    read.supersedes = vec![cut.capture.id];
    world.publish(TaskKind::Ingest, &read).await;
    assert!(!world.store.divided(&wanted, &claim.lease).await.unwrap());
    let measured = cut.recording.prefix.analysis(1, 1);
    let mut gone = [keys(&wanted), vec![cut.body, measured]].concat();
    gone.sort();
    assert_eq!(world.condemned().await, gone);
}

async fn what_became_another_recordings_meanwhile_is_divided_there(mut world: World) {
    let store = Arc::clone(&world.store);
    let joined = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let wanted = division(&world, &joined.recording, &joined.capture).await;
    let claim = world.task(TaskKind::Divide).await;
    let part = SplitSession {
        captures: vec![joined.capture.id],
        recording: RecordingId::new(world.uuid()),
        session_id: Some("AJ_1".to_owned()),
        facts: SessionFacts::default(),
        created_at: at(30),
    };
    store.split(joined.recording.id, None, std::slice::from_ref(&part), at(31)).await.unwrap();
    assert!(!store.divided(&wanted, &claim.lease).await.unwrap());
    let mut gone = keys(&wanted);
    gone.sort();
    assert_eq!(world.condemned().await, gone);
    assert!(world.objects_of(part.recording).await.contains(&joined.body));
    assert_eq!(store.divide_all(None, 9, at(40)).await.unwrap(), Some(joined.capture.id));
    let claim = world.task(TaskKind::Divide).await;
    assert_eq!(claim.payload, format!("default/{}/{}", part.recording, joined.capture.id));
}

async fn a_session_in_two_recordings_is_divided_for_both(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    let session = world.upload(Some("AJ_1"), 50, 390).await;
    world.read_live(&session, (50, 390)).await;
    world.settled(&room, 100, 400).await;
    let claim = world.task(TaskKind::Separate).await;
    let (new_recording, new_capture) = (RecordingId::new(world.uuid()), CaptureId::new(world.uuid()));
    let own = Own { room: room.0.id, capture: session.capture.id, new_recording, new_capture, now: world.later() };
    let own = store.own_recording(&own).await.unwrap().unwrap();
    // It is divided between the read and the publication of the second recording.
    let wanted = division(&world, &session.recording, &session.capture).await;
    let divides = [world.task(TaskKind::Divide).await, world.task(TaskKind::Divide).await];
    let of_session = |claim: &&Claim| claim.payload.ends_with(&session.capture.id.to_string());
    assert!(store.divided(&wanted, &divides.iter().find(of_session).unwrap().lease).await.unwrap());
    let publication = world.publication(&own.capture, &session.body, (50, 390)).await;
    store.publish(&publication, &claim.lease).await.unwrap();
    for capture in [session.capture.id, own.capture.id] {
        assert_eq!(store.masters(capture).await.unwrap(), wanted.parts);
    }
    let captures = world.row(own.recording.id).await.1;
    assert_eq!(audio(&captures, own.capture.id).master, wanted.parts[0].1);
    // The room is deleted, and its session with it: the parts go with what they belong to.
    store.request_deletion(&mine(), room.0.id, at(900)).await.unwrap();
    let belongs = world.objects_of(room.0.id).await;
    assert!(keys(&wanted).iter().all(|key| belongs.contains(key)), "{belongs:?}");
}

async fn a_log_is_divided_and_given_up_with_its_words(mut world: World) {
    let store = Arc::clone(&world.store);
    let room = world.room(100).await;
    let chunk = room.0.prefix.log_chunk(1, 0);
    store.announce(&mine(), Some(room.0.id), Purpose::Log, from_ref(&chunk), at(100)).await.unwrap();
    assert!(!store.masters(room.1.id).await.unwrap().iter().any(|(part, _)| *part == Part::Whole), "it goes on");
    world.settled(&room, 100, 400).await;
    let wanted = division(&world, &room.0, &room.1).await;
    assert!(divide(&mut world, &wanted).await);
    assert_eq!(world.condemned().await, from_ref(&chunk));
    store.swept(from_ref(&chunk)).await.unwrap();
    for index in [0, 1] {
        let revision = world.row(room.0.id).await.0.state.revision;
        let id = crate::work::aac().id;
        store.segment_lost(room.0.id, &id, revision, index, "storage_lost").await.unwrap();
    }
    assert_eq!(store.give_up_logs(at(401), at(500)).await.unwrap(), 1);
    let mut gone = keys(&wanted);
    gone.sort();
    assert_eq!(world.condemned().await, gone);
    let captures = world.row(room.0.id).await.1;
    assert!(audio(&captures, room.1.id).is_gone());
    assert_eq!(store.masters(room.1.id).await.unwrap().len(), 1, "nothing says where words are that are gone");
    assert_eq!(store.give_up_logs(at(401), at(500)).await.unwrap(), 0, "once");
}

async fn nothing_is_divided_while_something_is_rendered(mut world: World) {
    let joined = world.uploaded(Some("AJ_1"), 0, 8).await;
    assert!(world.maybe_task(TaskKind::Divide).await.is_none(), "it is to be rendered");
    let claim = world.task(TaskKind::Render).await;
    assert!(world.maybe_task(TaskKind::Divide).await.is_none(), "it is being rendered");
    world.store.complete(&claim.lease).await.unwrap();
    assert!(world.task(TaskKind::Divide).await.payload.ends_with(&joined.capture.id.to_string()));
}

async fn what_cannot_be_divided_stays_whole(mut world: World) {
    let joined = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let before = world.store.masters(joined.capture.id).await.unwrap();
    let claim = world.task(TaskKind::Divide).await;
    world.store.stays_whole(joined.capture.id, "a part that nobody knows", &claim.lease).await.unwrap();
    assert_eq!(world.store.masters(joined.capture.id).await.unwrap(), before);
    assert_eq!(world.store.divide_all(None, 10, at(30)).await.unwrap(), None, "it is not tried again");
    assert!(world.condemned().await.is_empty());
}

async fn what_a_deletion_takes_is_not_divided(mut world: World) {
    let joined = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let wanted = division(&world, &joined.recording, &joined.capture).await;
    let claim = world.task(TaskKind::Divide).await;
    world.store.request_deletion(&mine(), joined.recording.id, at(40)).await.unwrap();
    assert_eq!(world.store.divide_all(None, 10, at(41)).await.unwrap(), None);
    world.deleted(joined.recording.id).await;
    assert!(!world.store.divided(&wanted, &claim.lease).await.unwrap());
    assert!(world.store.masters(joined.capture.id).await.unwrap().is_empty());
}

async fn what_earlier_versions_read_is_divided_later(mut world: World) {
    let mut captures = Vec::new();
    for job in ["AJ_1", "AJ_2", "AJ_3"] {
        captures.push(rendered(&mut world, Some(job), 0, 8).await.capture.id);
        let claim = world.task(TaskKind::Divide).await;
        world.store.complete(&claim.lease).await.unwrap();
    }
    captures.sort();
    let first = world.store.divide_all(None, 2, at(30)).await.unwrap();
    assert_eq!(first, Some(captures[1]));
    assert_eq!(world.store.divide_all(first, 2, at(30)).await.unwrap(), Some(captures[2]));
    assert_eq!(world.store.divide_all(Some(captures[2]), 2, at(30)).await.unwrap(), None);
    for _ in 0..3 {
        world.task(TaskKind::Divide).await;
    }
}

async fn a_publication_does_not_bring_the_old_place_back(mut world: World) {
    let joined = rendered(&mut world, Some("AJ_1"), 0, 8).await;
    let (recording, captures) = world.row(joined.recording.id).await;
    let stale = world.publication(&captures[0], &joined.body, (0, 8)).await;
    let wanted = division(&world, &recording, &joined.capture).await;
    assert!(divide(&mut world, &wanted).await);
    let compose = format!("default/{}", recording.id);
    let task = echosphere_domain::id::TaskId::new(world.uuid());
    let task = echosphere_store::NewTask { id: task, kind: TaskKind::Compose, payload: compose, run_at: at(30) };
    world.store.enqueue(&task).await.unwrap();
    let filled = vec![(joined.capture.id, audio(&captures, joined.capture.id).clone())];
    world.publish(TaskKind::Compose, &echosphere_store::Publication { filled, ..stale }).await;
    world.rendered(recording.id).await;
    let captures = world.row(recording.id).await.1;
    assert_eq!(audio(&captures, joined.capture.id).master, wanted.parts[0].1);
    assert!(world.maybe_task(TaskKind::Divide).await.is_none());
}
