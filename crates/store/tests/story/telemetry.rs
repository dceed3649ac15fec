//! Telemetry: what the agents' OTLP requests tell of a session, before, during and after its recording.

use std::slice::from_ref;
use std::sync::Arc;

use echosphere_domain::id::UploadId;
use echosphere_domain::key::ObjectKey;
use echosphere_store::{Erasure, Purpose, SessionFacts, TelemetryRequest};

use crate::work::{key, other, untimed};
use crate::world::{World, at, ids, mine};

on_each! {
    telemetry_before_and_after_fills_what_is_not_known,
    what_was_told_first_wins,
    requests_are_found_by_job_and_by_recording_in_their_project,
    the_bytes_of_a_request_are_replaced,
    without_new_bytes_a_request_goes,
    what_was_announced_and_never_became_a_request_is_found,
}

/// A request about the job `AJ_1`, of an agent of that name.
async fn told(world: &mut World, agent: &str) {
    let facts = SessionFacts { agent_name: Some(agent.to_owned()), ..SessionFacts::default() };
    let request = TelemetryRequest { facts, ..world.request(&ids(Some("AJ_1"), None)).await };
    assert!(world.store.add_telemetry(&request).await.unwrap());
}

async fn telemetry_before_and_after_fills_what_is_not_known(mut world: World) {
    told(&mut world, "first").await;
    let facts = world.store.session_facts(&mine(), "AJ_1").await.unwrap();
    assert_eq!(facts.agent_name.as_deref(), Some("first"));
    let joined = world.joined(&ids(Some("AJ_1"), None), untimed(at(2))).await.unwrap();
    world.project = other();
    told(&mut world, "another project's").await;
    world.project = mine();
    told(&mut world, "second").await;
    assert_eq!(world.row(joined.recording.id).await.0.agent_name.as_deref(), Some("second"));
    let published = world.read(&joined, (2, 10)).await;
    assert_eq!(published.agent_name.as_deref(), Some("second"), "what is known stays");
    world.store.request_deletion(&mine(), published.id, at(9)).await.unwrap();
    assert_eq!(world.store.belongings(Erasure::Recording(published.id)).await.unwrap().objects.len(), 3);
}

fn facts(room: Option<&str>, tags: &[&str]) -> SessionFacts {
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    SessionFacts { room_name: room.map(str::to_owned), tags, ..SessionFacts::default() }
}

async fn what_was_told_first_wins(mut world: World) {
    let store = Arc::clone(&world.store);
    // They are stored in another order than that in which they were received.
    let told = [(5, facts(Some("late"), &["late"])), (3, facts(Some("early"), &[])), (4, facts(None, &["tag"]))];
    for (second, facts) in told {
        let request = world.request(&ids(Some("AJ_1"), None)).await;
        let request = TelemetryRequest { received_at: at(second), facts, ..request };
        assert!(store.add_telemetry(&request).await.unwrap());
    }
    assert_eq!(store.session_facts(&mine(), "AJ_1").await.unwrap(), facts(Some("early"), &["tag"]));
    assert_eq!(store.session_facts(&other(), "AJ_1").await.unwrap(), SessionFacts::default());
    assert_eq!(store.session_facts(&mine(), "AJ_2").await.unwrap(), SessionFacts::default());
}

async fn requests_are_found_by_job_and_by_recording_in_their_project(mut world: World) {
    let store = Arc::clone(&world.store);
    let recording = world.upload(Some("AJ_1"), 0, 8).await.recording.id;
    let mut sent = Vec::new();
    for session in [ids(Some("AJ_1"), None), ids(None, Some("RM_1")), ids(Some("AJ_2"), Some("RM_2"))] {
        sent.push(world.telemetry(&session).await.1);
    }
    world.project = other();
    world.telemetry(&ids(Some("AJ_1"), Some("RM_1"))).await;
    let keys = |found: Vec<TelemetryRequest>| found.into_iter().map(|request| request.key).collect::<Vec<_>>();
    assert_eq!(keys(store.telemetry_of(&mine(), "AJ_1").await.unwrap()), sent[..1]);
    assert_eq!(keys(store.telemetry_of(&mine(), "AJ_2").await.unwrap()), sent[2..]);
    assert!(store.telemetry_of(&other(), "AJ_2").await.unwrap().is_empty());
    assert_eq!(keys(store.telemetry_of_recording(recording).await.unwrap()), sent[..2]);
}

/// A request of the job `AJ_1` that is kept.
async fn kept(world: &mut World) -> (UploadId, ObjectKey) {
    let request = world.request(&ids(Some("AJ_1"), None)).await;
    assert!(world.store.add_telemetry(&request).await.unwrap());
    (request.id, request.key)
}

async fn the_bytes_of_a_request_are_replaced(mut world: World) {
    let store = Arc::clone(&world.store);
    let (id, old) = kept(&mut world).await;
    let (_, untouched) = kept(&mut world).await;
    let new = key("telemetry/AJ_1/redacted.json");
    store.announce(&mine(), None, Purpose::Telemetry, from_ref(&new), at(3)).await.unwrap();
    store.replace_telemetry(id, Some((new.clone(), 77)), at(4)).await.unwrap();
    let found = store.telemetry_of(&mine(), "AJ_1").await.unwrap();
    let replaced = found.iter().find(|request| request.id == id).unwrap();
    assert_eq!((&replaced.key, replaced.bytes), (&new, 77));
    assert!(found.iter().any(|request| request.key == untouched));
    assert_eq!(world.unneeded().await, [old], "the new one is live");
}

async fn without_new_bytes_a_request_goes(mut world: World) {
    let (id, old) = kept(&mut world).await;
    let (stays, _) = kept(&mut world).await;
    world.store.replace_telemetry(id, None, at(4)).await.unwrap();
    let found = world.store.telemetry_of(&mine(), "AJ_1").await.unwrap();
    assert_eq!(found.iter().map(|request| request.id).collect::<Vec<_>>(), [stays]);
    assert_eq!(world.condemned().await, [old]);
    let unknown = UploadId::new(world.uuid());
    world.store.replace_telemetry(unknown, None, at(4)).await.unwrap();
}

async fn what_was_announced_and_never_became_a_request_is_found(mut world: World) {
    let store = Arc::clone(&world.store);
    kept(&mut world).await;
    let mut lost = vec![world.request(&ids(Some("AJ_1"), None)).await.key];
    world.project = other();
    lost.push(world.request(&ids(Some("AJ_1"), None)).await.key);
    let another = key("recordings/x/0.ts");
    store.announce(&mine(), None, Purpose::Segment, from_ref(&another), at(3)).await.unwrap();
    let mut found = store.unfinished_telemetry().await.unwrap();
    found.sort();
    lost.sort();
    assert_eq!(found, lost, "telemetry alone, of all projects");
}
