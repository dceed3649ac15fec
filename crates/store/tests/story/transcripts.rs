//! Transcripts: what was written comes back exactly, is replaced as a whole, and goes with its capture.

use std::sync::Arc;

use echosphere_domain::id::TaskId;
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Alignment, Call, ClockStep, Kind, Method, Refined, Role, Times, Transcript, Turn};
use echosphere_store::{NewTask, Publication, RenderedRevision, TaskKind};
use serde_json::json;

use crate::world::{World, at, mine};

on_each! {
    a_transcript_comes_back_exactly,
    a_transcript_is_replaced_as_a_whole,
    a_transcript_goes_with_its_capture,
    a_long_transcript_keeps_its_order,
}

/// A message of which everything is known.
fn message() -> Turn {
    let start = WallTime::from_nanos(1_790_000_000_123_456_789);
    let mut turn = Turn::new("item_1", Kind::Message, Role::User, "„Grüß“ 👋 \"so\"\\\n\u{0}\u{7f}\u{2028}");
    turn.speaker = Some("NAMES-AND-WORDS of bob".to_owned());
    turn.source_text = Some("<b>as written</b>".to_owned());
    turn.reported =
        Times { start: Some(start), end: Some(start.plus_nanos(1)), created: Some(at(-1)), last_text: Some(at(2)) };
    turn.refined = Some(Refined { start: WallTime::from_nanos(i64::MIN), end: start, approximate: true });
    (turn.interrupted, turn.typed, turn.earlier) = (true, true, true);
    turn.confidence = Some(0.1 + 0.2);
    let metrics = json!({
        "e2e_latency": 1.5e-7, "whole": 1.0, "least": i64::MIN, "most": u64::MAX, "odd": 9_007_199_254_740_993_i64,
        "model": {"id": "a \"model\"", "text": null, "list": [1, 2.5, "3", true, {}]}, "": [], "a.b[0]": "$.id",
        "id": 7, "kind": "of metrics", "text": "of metrics",
    });
    turn.metrics = metrics.as_object().cloned().unwrap();
    turn
}

fn call(id: &str, kind: Kind, text: &str, arguments: Option<&str>, output: Option<&str>) -> Turn {
    let call = Call {
        call_id: "call_1".to_owned(),
        name: "weather".to_owned(),
        arguments: arguments.map(str::to_owned),
        output: output.map(str::to_owned),
        is_error: output.map(|_| false),
    };
    Turn { call: Some(call), ..Turn::new(id, kind, Role::Agent, text) }
}

/// Turns of every kind.
fn told() -> Transcript {
    let turns = vec![
        message(),
        call("2", Kind::ToolCall, "", Some(r#"{"city":"Köln","at":1790000000123456789,"of":0.10}"#), None),
        call("2:result", Kind::ToolResult, "18 °C", None, Some("[18, \"°C\"]")),
        Turn::new("null", Kind::Handoff, Role::System, "null"),
        Turn::new("{}", Kind::Config, Role::System, r#"{"id":"other"}"#),
        Turn::new("", Kind::Marker, Role::Agent, "12"),
    ];
    let clock = [(i64::MIN, -7), (9_007_199_254_740_993, i64::MAX)];
    let clock = clock.map(|(from, offset)| ClockStep { from: WallTime::from_nanos(from), offset }).to_vec();
    let alignment = Alignment { method: Method::VoiceActivity, offset_ms: -120, confidence: 0.9, clock, version: 2 };
    Transcript { turns, alignment }
}

/// A publication of the next upload, with a transcript.
async fn wanted(world: &mut World, transcript: Transcript) -> Publication {
    let joined = world.upload(Some("AJ_1"), 0, 8).await;
    let wanted = world.publication(&joined.capture, &joined.body, (0, 8)).await;
    Publication { transcript: Some(transcript), ..wanted }
}

async fn a_transcript_comes_back_exactly(mut world: World) {
    let first = wanted(&mut world, told()).await;
    world.publish(TaskKind::Ingest, &first).await;
    let unread = world.upload(Some("AJ_1"), 0, 8).await;
    let mut reversed = told();
    reversed.turns.reverse();
    let second = wanted(&mut world, reversed.clone()).await;
    let claims = [world.task(TaskKind::Ingest).await, world.task(TaskKind::Ingest).await];
    world.store.publish(&second, &claims[1].lease).await.unwrap();
    let found = world.store.transcripts(first.recording).await.unwrap();
    assert_eq!(found, [(first.capture.id, told()), (second.capture.id, reversed)], "in the order of their attempts");

    let none = world.publication(&unread.capture, &unread.body, (0, 8)).await;
    world.store.publish(&Publication { transcript: None, ..none }, &claims[0].lease).await.unwrap();
    assert_eq!(world.store.transcripts(first.recording).await.unwrap(), found, "one without a transcript has none");
}

async fn a_transcript_is_replaced_as_a_whole(mut world: World) {
    let store = Arc::clone(&world.store);
    let first = wanted(&mut world, told()).await;
    world.publish(TaskKind::Ingest, &first).await;
    let rendered = world.rendered(first.recording).await;
    let mut shorter = told();
    shorter.turns.drain(..3);
    "other words".clone_into(&mut shorter.turns[1].text);
    shorter.alignment.version = 3;
    for transcript in [shorter, told(), Transcript::default()] {
        let payload = format!("{}/{}/1", mine(), first.recording);
        let task = NewTask { id: TaskId::new(world.uuid()), kind: TaskKind::Align, payload, run_at: at(14) };
        store.enqueue(&task).await.unwrap();
        let claim = world.task(TaskKind::Align).await;
        let transcripts = vec![(first.capture.id, transcript.clone())];
        let rendered = RenderedRevision { transcripts, now: at(14), ..rendered.clone() };
        store.finish_render(&rendered, &claim.lease).await.unwrap();
        assert_eq!(store.transcripts(first.recording).await.unwrap(), [(first.capture.id, transcript)]);
    }
}

async fn a_transcript_goes_with_its_capture(mut world: World) {
    let store = Arc::clone(&world.store);
    let cut = wanted(&mut world, told()).await;
    world.publish(TaskKind::Ingest, &cut).await;
    let mut whole = wanted(&mut world, told()).await;
    whole.supersedes = vec![cut.capture.id];
    world.publish(TaskKind::Ingest, &whole).await;
    assert_eq!(store.transcripts(cut.recording).await.unwrap(), [(whole.capture.id, told())]);

    let again = wanted(&mut world, told()).await;
    world.publish(TaskKind::Ingest, &Publication { content: None, ..again.clone() }).await;
    assert_eq!(store.transcripts(cut.recording).await.unwrap().len(), 2);
    store.drop_duplicate(again.capture.upload.unwrap(), at(20)).await.unwrap();
    assert_eq!(store.transcripts(cut.recording).await.unwrap(), [(whole.capture.id, told())]);

    world.deleted(cut.recording).await;
    assert!(store.transcripts(cut.recording).await.unwrap().is_empty());
}

async fn a_long_transcript_keeps_its_order(mut world: World) {
    let turn = |number: u32| Turn::new(format!("item_{number}"), Kind::Message, Role::User, "yes");
    let long = Transcript { turns: (0..2_345).map(turn).collect(), alignment: Alignment::reported(true) };
    let wanted = wanted(&mut world, long.clone()).await;
    world.publish(TaskKind::Ingest, &wanted).await;
    assert_eq!(world.store.transcripts(wanted.recording).await.unwrap(), [(wanted.capture.id, long)]);
}
