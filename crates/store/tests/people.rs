//! Who was in rooms, as webhooks tell it.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;
use echosphere_store::{Begun, Live, NewLive, People, sqlite};
use uuid::Uuid;

fn at(seconds: i64) -> WallTime {
    WallTime::from_millis(seconds * 1_000)
}

fn person(identity: &str, name: &str) -> Participant {
    let (identity, kind) = (identity.to_owned(), "STANDARD".to_owned());
    Participant { identity, name: Some(name.to_owned()), kind, attributes: BTreeMap::new() }
}

#[tokio::test]
async fn what_was_told_last_counts_and_who_is_left_out_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite::open(&dir.path().join("db")).await.unwrap();
    let project = ProjectId::default();
    for (name, when) in [("first", 1), ("newest", 3), ("late", 2)] {
        store.note_person(&project, "RM_1", &person("bob", name), at(when)).await.unwrap();
    }
    store.note_person(&project, "RM_1", &person("shy", "Shy Person"), at(1)).await.unwrap();
    store.note_person(&project, "RM_2", &person("carol", "c"), at(1)).await.unwrap();
    store.leave_out(&project, "RM_1", "shy", at(0)).await.unwrap();
    store.note_person(&project, "RM_1", &person("shy", "Shy Person"), at(9)).await.unwrap();
    assert_eq!(store.people(&project, "RM_1").await.unwrap(), [person("bob", "newest")]);
    assert_eq!(store.people(&ProjectId::parse("other").unwrap(), "RM_1").await.unwrap(), []);
    for number in 0..1_100 {
        store.note_person(&project, "RM_crowd", &person(&number.to_string(), ""), at(1)).await.unwrap();
    }
    assert_eq!(store.people(&project, "RM_crowd").await.unwrap().len(), 1_000);
    assert_eq!(store.forget_people(at(2)).await.unwrap(), 1_002);
    assert_eq!(store.people(&project, "RM_1").await.unwrap().len(), 1);
}

#[tokio::test]
async fn people_of_a_room_that_goes_on_are_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = sqlite::open(&dir.path().join("db")).await.unwrap();
    let project = ProjectId::default();
    let new = NewLive {
        recording: RecordingId::new(Uuid::from_u128(1)),
        capture: CaptureId::new(Uuid::from_u128(2)),
        project: project.clone(),
        room_name: "a\tb".to_owned(),
        session_id: None,
        labels: BTreeMap::new(),
        settings: String::new(),
        paused: false,
        once: None,
        now: at(0),
    };
    let Begun::New(begun) = store.begin_live(&new).await.unwrap() else { panic!("it is new") };
    store.room_joined(begun.0.id, "RM_1").await.unwrap();
    for room in ["RM_1", "RM_2"] {
        store.note_person(&project, room, &person("bob", "b"), at(0)).await.unwrap();
    }
    assert_eq!(store.forget_people(at(9)).await.unwrap(), 1);
    assert_eq!(store.people(&project, "RM_1").await.unwrap().len(), 1);
    assert_eq!(store.ended_recordings(&project, "RM_1").await.unwrap(), [], "it has not ended");
    store.add_participants(begun.0.id, &[person("bob", "b"), person("amy", "a")]).await.unwrap();
    store.add_participants(begun.0.id, &[person("bob", "other")]).await.unwrap();
    let recording = echosphere_store::Recordings::recording(&store, &project, begun.0.id).await.unwrap().unwrap().0;
    assert_eq!(recording.participants, [person("bob", "b"), person("amy", "a")]);
}
