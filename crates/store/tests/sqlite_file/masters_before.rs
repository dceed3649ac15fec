//! What earlier versions kept of captures is found where it is.

use std::path::Path;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::Location;
use echosphere_domain::master::{Master, Part};
use echosphere_store::TaskKind;
use uuid::Uuid;

use crate::open;
use crate::version_before::before;
use crate::world::{at, mine};

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// A capture's row: what its sound is, as versions before wrote it, and where its body is.
struct Row {
    source: &'static str,
    status: &'static str,
    audio: Option<&'static str>,
    body: Option<&'static str>,
    copy_of: Option<u128>,
}

const ROWS: [Row; 8] = [
    // An upload; one of which only a redacted sound was kept; one without sound; one that was superseded.
    Row {
        source: "upload",
        status: "complete",
        audio: Some(
            r#"{"key":"a/1/upload.multipart","chunks":0,"offset":7,"length":9,"samples":480,"segment_ms":4000}"#,
        ),
        body: Some("a/1/upload.multipart"),
        copy_of: None,
    },
    Row {
        source: "upload",
        status: "complete",
        audio: Some(
            r#"{"key":"a/2/upload.multipart","offset":0,"length":9,"samples":480,"segment_ms":4000,"fills":[{"start":1,"samples":2,"agent":true,"from":"00000000-0000-0000-0000-000000000001","at":3}]}"#,
        ),
        body: Some("a/2/upload.multipart"),
        copy_of: None,
    },
    Row { source: "upload", status: "complete", audio: None, body: Some("a/3/upload.multipart"), copy_of: None },
    Row { source: "upload", status: "superseded", audio: None, body: Some("a/4/upload.multipart"), copy_of: None },
    // The session of the first in a recording of its own.
    Row {
        source: "upload",
        status: "complete",
        audio: Some(
            r#"{"key":"a/1/upload.multipart","chunks":0,"offset":7,"length":9,"samples":480,"segment_ms":4000}"#,
        ),
        body: Some("a/1/upload.multipart"),
        copy_of: Some(1),
    },
    // A room; one whose log was given up; one that goes on.
    Row {
        source: "recorder",
        status: "complete",
        audio: Some(
            r#"{"key":"a/6/log/000000.esc","chunks":3,"offset":0,"length":99,"samples":480,"segment_ms":4000}"#,
        ),
        body: None,
        copy_of: None,
    },
    Row {
        source: "recorder",
        status: "complete",
        audio: Some(
            r#"{"key":"a/7/log/000000.esc","chunks":2,"offset":0,"length":88,"samples":480,"segment_ms":4000,"is_gone":true}"#,
        ),
        body: None,
        copy_of: None,
    },
    Row { source: "recorder", status: "processing", audio: None, body: None, copy_of: None },
];

fn id(number: usize) -> String {
    Uuid::from_u128(number as u128 + 1).to_string()
}

/// A database as the version before left it.
async fn of_the_version_before(path: &Path) {
    let mut connection = before(16, path).await;
    sqlx::query(
        "INSERT INTO recordings (id, project, prefix, status, partial, revision, deletion, tier, created_at, duration, gaps, tags,
             labels, participants)
         VALUES (?, 'default', 'a', 'COMPLETED', 0, 1, 'none', 'hot', 1, 0, '[]', '[]', '{}', '[]')",
    )
    .bind(id(98))
    .execute(&mut connection)
    .await
    .unwrap();
    for (number, row) in ROWS.iter().enumerate() {
        let inserted = sqlx::query(
            "INSERT INTO captures (id, recording, project, attempt, source, status, audio, body, copy_of)
             VALUES (?, ?, 'default', ?, ?, ?, ?, ?, ?)",
        );
        let inserted = inserted.bind(id(number)).bind(id(98)).bind(number as i64 + 1).bind(row.source).bind(row.status);
        let inserted = inserted.bind(row.audio).bind(row.body);
        inserted.bind(row.copy_of.map(|of| Uuid::from_u128(of).to_string())).execute(&mut connection).await.unwrap();
    }
    // One recording's composition was given up; of another there is a new one as well.
    for (number, recording, dead) in [(1, 98, 1), (2, 97, 1), (3, 97, 0)] {
        let task = sqlx::query(
            "INSERT INTO tasks (id, kind, urgency, payload, run_at, generation, attempts, dead)
             VALUES (?, 'compose', 4, ?, 0, 1, 40, ?)",
        );
        let task = task.bind(id(number)).bind(format!("default/{}", id(recording))).bind(dead);
        task.execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_given_up_and_a_deletion_may_wait_for_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    of_the_version_before(&folder.path().join("db")).await;
    let store = open(&folder).await;
    let mut found = Vec::new();
    while let Some(claim) = store.claim(&[TaskKind::Compose], crate::world::node(), at(2), at(60)).await.unwrap() {
        found.push((claim.payload, claim.attempts));
    }
    found.sort();
    assert_eq!(found, [(format!("default/{}", id(97)), 41), (format!("default/{}", id(98)), 1)]);
    let counts = store.task_counts().await.unwrap();
    assert!(counts.iter().all(|counts| counts.dead == 0), "{counts:?}");
}

#[tokio::test]
async fn what_earlier_versions_kept_of_captures_is_found_and_divided() {
    let folder = tempfile::tempdir().unwrap();
    of_the_version_before(&folder.path().join("db")).await;
    let store = open(&folder).await;
    let of = |number: u128| CaptureId::new(Uuid::from_u128(number));
    let body =
        |attempt: u32| (Part::Whole, Master::File(Location::whole(key(&format!("a/{attempt}/upload.multipart")))));
    let ogg = |attempt: u32, offset: u64| {
        (Part::Sound, Master::Ogg(Location::part(key(&format!("a/{attempt}/upload.multipart")), offset, 9)))
    };
    let log = |attempt: u32, chunks: u32, length: u64, is_gone: bool| {
        let at = Location::whole(key(&format!("a/{attempt}/log/000000.esc")));
        (Part::Whole, Master::Log { at, is_joined: false, chunks, length, is_gone })
    };
    for (number, expected) in [
        (1, vec![ogg(1, 7), body(1)]),
        (2, vec![ogg(2, 0), body(2)]),
        (3, vec![body(3)]),
        (4, vec![body(4)]),
        (5, vec![ogg(1, 7), body(1)]),
        (6, vec![log(6, 3, 99, false)]),
        (7, vec![log(7, 2, 88, true)]),
        (8, Vec::new()),
    ] {
        assert_eq!(store.masters(of(number)).await.unwrap(), expected, "{number}");
    }
    let recording = RecordingId::new(Uuid::from_u128(99));
    let (_, captures) = store.recording(&mine(), recording).await.unwrap().unwrap();
    let audio = |number: usize| captures[number - 1].audio.clone();
    assert_eq!(audio(1).unwrap().extent().unwrap().offset, 7);
    let filled = audio(2).unwrap();
    assert_eq!((filled.samples, filled.segment_ms, filled.fills.len()), (480, 4_000, 1));
    assert!(audio(6).unwrap().has_log() && audio(7).unwrap().is_gone());
    assert_eq!([audio(3), audio(4), audio(8)], [None, None, None]);
    // What is superseded, gone, under way or a copy is not divided by itself.
    store.divide_all(None, 100, at(1)).await.unwrap();
    let mut divided = Vec::new();
    while let Some(claim) = store.claim(&[TaskKind::Divide], crate::world::node(), at(2), at(60)).await.unwrap() {
        divided.push(claim.payload.rsplit('/').next().unwrap().to_owned());
    }
    divided.sort();
    assert_eq!(divided, [id(0), id(1), id(2), id(5)]);
}
