//! What earlier versions left in a database is found: what their deletions left goes, their rooms and webhooks go on, and their
//! transcripts are read as they were.

use std::path::Path;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::State;
use echosphere_domain::options::{ChannelLayout, RecordingOptions};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Transcript;
use echosphere_store::{Applied, Erasure, Error, Event, EventId, Gone, Once, Origin, SessionIds, What};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::words::found;
use crate::world::{at, ids, mine, node, owned};
use crate::{connection, open};

/// A new database with the migrations before a number.
pub async fn before(number: i64, path: &Path) -> SqliteConnection {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut before = sqlx::migrate::Migrator::new(folder).await.unwrap();
    before.migrations = before.migrations.iter().filter(|migration| migration.version < number).cloned().collect();
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    before.run(&mut connection).await.unwrap();
    connection
}

/// A database as the version left it that did not erase rows, with what its deletions left in it.
async fn of_the_version_before(path: &Path) {
    let mut connection = before(12, path).await;
    let recording = |id: u8, session: &str, sid: &str, reason: &str, deletion: &str| {
        format!(
            "INSERT INTO recordings (id, project, session_id, room_sid, prefix, status, partial, reason, revision, deletion, tier,
                 created_at, started_at, duration, gaps, tags, labels, participants)
             VALUES ('00000000-0000-0000-0000-0000000000{id:02}', 'default', {session}, {sid}, 'recordings/NAMES-AND-WORDS/{id}',
                 'COMPLETED', 0, {reason}, 1, '{deletion}', 'hot', 1, 7, 0, '[]', '[]', '{{}}', '[]')"
        )
    };
    let live = |id: u8| {
        format!(
            "INSERT INTO live (recording, capture, settings, paused, pauses, excluded) VALUES
             ('00000000-0000-0000-0000-0000000000{id:02}', 'c', '{{\"exclude\":[\"NAMES-AND-WORDS\"]}}', 0, '[]', '[\"NAMES-AND-WORDS\"]')"
        )
    };
    let telemetry = |id: u8, job: &str, sid: &str| {
        format!(
            "INSERT INTO telemetry (id, project, signal, job_id, room_sid, key, bytes, received_at, facts) VALUES
             ('00000000-0000-0000-0000-0000000000{id:02}', 'default', 'logs', {job}, {sid}, 'telemetry/x/{id}', 1, 1,
              '{{\"room_name\":\"NAMES-AND-WORDS\",\"agent_name\":null,\"tags\":[],\"sdk_version\":null}}')"
        )
    };
    let statements = [
        recording(1, "'AJ_1'", "'RM_1'", "NULL", "done"),
        recording(2, "NULL", "'RM_2'", "NULL", "done"),
        recording(3, "'NAMES-AND-WORDS'", "'RM_3'", "NULL", "done"),
        live(3),
        recording(4, "NULL", "'RM_4'", "'nobody_came'", "done"),
        live(4),
        recording(5, "'AJ_5'", "'RM_5'", "NULL", "none"),
        telemetry(1, "'AJ_1'", "NULL"),
        telemetry(2, "NULL", "'RM_2'"),
        telemetry(3, "'AJ_of_room'", "'RM_3'"),
        telemetry(4, "'AJ_4'", "'RM_4'"),
        telemetry(5, "'AJ_5'", "'RM_5'"),
        "INSERT INTO idempotency VALUES ('default', 'NAMES-AND-WORDS', 'NAMES-AND-WORDS',
             '00000000-0000-0000-0000-000000000003', 1)"
            .to_owned(),
    ];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_deletions_of_the_version_before_left_is_found_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    of_the_version_before(&folder.path().join("db")).await;
    let store = open(&folder).await;
    let mut left = Vec::new();
    for id in store.deleted(None, 10).await.unwrap() {
        let what = Erasure::Recording(id);
        let belongings = store.belongings(what).await.unwrap();
        assert!(
            belongings.folders[0].as_str().starts_with("recordings/NAMES-AND-WORDS/"),
            "what lies there without a row is ours"
        );
        left.extend(belongings.objects.iter().map(|key| key.as_str().to_owned()));
        store.forget_objects(&belongings.objects).await.unwrap();
        store.erase_rows(what).await.unwrap();
    }
    assert_eq!(left, ["telemetry/x/1", "telemetry/x/2", "telemetry/x/3"]);
    // Of the others everything is as it was; so the words are still there, but not where they should be gone.
    for job in ["AJ_4", "AJ_5"] {
        assert_eq!(store.telemetry_of(&mine(), job).await.unwrap().len(), 1);
        assert_eq!(store.upload_gone(&mine(), &ids(Some(job), None)).await.unwrap(), None);
    }
    for session in
        [ids(Some("AJ_1"), None), SessionIds { started_at: Some(WallTime::from_nanos(7)), ..ids(None, Some("RM_2")) }]
    {
        assert_eq!(store.upload_gone(&mine(), &session).await.unwrap(), Some(Gone::Deleted), "{session:?}");
    }
    store.forget_objects(&["telemetry/x/4", "telemetry/x/5"].map(|key| ObjectKey::parse(key).unwrap())).await.unwrap();
    let kept = RecordingId::new(Uuid::from_u128(5));
    store.request_deletion(&mine(), kept, at(1)).await.unwrap();
    store.erase_rows(Erasure::Recording(kept)).await.unwrap();
    assert!(!found(&folder).is_empty(), "free pages and keys of requests have them still");
    store.rewrite().await.unwrap();
    store.scrub().await.unwrap();
    assert_eq!(found(&folder), Vec::<String>::new());
    let once = Once { key: "NAMES-AND-WORDS".to_owned(), asked: "NAMES-AND-WORDS".to_owned() };
    assert!(store.repeated(&mine(), &once, WallTime::from_nanos(2)).await.unwrap().is_some());
}

/// A database as the version left it that knew one process alone: two rooms that go on, and webhooks.
async fn of_one_process(path: &Path) {
    let mut connection = before(15, path).await;
    let rooms = [
        (1, r#"{"layout":"mix","exclude":["bob"],"paused":true}"#, 1, r#"[{"from":7,"to":null}]"#),
        (2, "not JSON", 0, "[]"),
    ];
    for (id, settings, paused, pauses) in rooms {
        for statement in [
            format!(
                "INSERT INTO recordings (id, project, room_sid, prefix, status, partial, revision, deletion, tier, created_at,
                     duration, gaps, tags, labels, participants)
                 VALUES ('00000000-0000-0000-0000-0000000000{id:02}', 'default', 'RM_{id}', 'recordings/x/{id}', 'STARTING', 0, 0,
                     'none', 'hot', {id}, 0, '[]', '[]', '{{}}', '[]')"
            ),
            format!(
                "INSERT INTO captures (id, recording, project, attempt, source, status) VALUES
                 ('00000000-0000-0000-0000-0000000001{id:02}', '00000000-0000-0000-0000-0000000000{id:02}', 'default', 1,
                  'recorder', 'processing')"
            ),
            format!(
                "INSERT INTO live (recording, capture, settings, paused, pauses, excluded, left_out) VALUES
                 ('00000000-0000-0000-0000-0000000000{id:02}', '00000000-0000-0000-0000-0000000001{id:02}', '{settings}', {paused},
                  '{pauses}', '[\"amy\"]', '[]')"
            ),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    }
    let webhooks =
        "INSERT INTO webhooks (project, id, event, room_sid, room_name, created_at, received_at, body, attempts, due)
        VALUES ('default', 'EV_1', 'room_started', 'RM_1', 'lobby', 3, 4, 'a body', 2, 5),
               ('default', 'EV_2', 'room_finished', 'RM_0', 'lobby', NULL, 2, '', 0, NULL)";
    sqlx::query(webhooks).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn rooms_and_webhooks_of_the_version_before_go_on() {
    let folder = tempfile::tempdir().unwrap();
    of_one_process(&folder.path().join("db")).await;
    let store = open(&folder).await;
    let rooms = store.claim_rooms(node(), at(1), at(61)).await.unwrap();
    let ids: Vec<_> = rooms.iter().map(|row| (row.recording.id.as_uuid().as_u128(), row.previous_owner)).collect();
    assert_eq!(ids, [(1, None), (2, None)]);
    let options = RecordingOptions {
        layout: Some(ChannelLayout::Mix),
        exclude: vec!["bob".to_owned()],
        paused: true,
        ..RecordingOptions::default()
    };
    assert_eq!((&rooms[0].options, rooms[0].paused), (&options, true));
    assert_eq!((&rooms[1].options, rooms[1].paused), (&RecordingOptions::default(), false), "they cannot be read");
    assert_eq!(rooms[0].recording.state, State::starting());
    let first = rooms[0].recording.id;
    assert_eq!(store.redactions(first).await.unwrap().pauses[0].from, WallTime::from_nanos(7));
    assert_eq!(store.excluded(first).await.unwrap(), ["amy"]);
    store.heard(owned(first), at(2)).await.unwrap();

    let id = |id: &str| EventId { project: mine(), origin: Origin::Webhook, id: id.to_owned() };
    let (event, body) = ("room_started".to_owned(), "a body".to_owned());
    let open = Event {
        id: id("EV_1"),
        what: What::Livekit { event, body },
        recording: None,
        room_sid: "RM_1".to_owned(),
        room_name: "lobby".to_owned(),
        asked_by: None,
        created_at: Some(WallTime::from_nanos(3)),
        received_at: WallTime::from_nanos(4),
        attempts: 2,
    };
    assert!(store.due_events(WallTime::from_nanos(4), 10).await.unwrap().is_empty());
    assert_eq!(store.due_events(at(1), 10).await.unwrap(), std::slice::from_ref(&open));
    for known in [open.clone(), Event { id: id("EV_2"), ..open }] {
        assert_eq!(store.apply(&known, at(3)).await.unwrap(), Applied::Known);
    }
}

/// A transcript as versions wrote it that did not know yet all that is known of one now.
const WITHOUT_LATER_FIELDS: &str = r#"{"turns":[{"id":"item_1","kind":"message","role":"user","speaker":null,"text":"",
    "reported":{"start":1790000000123456789,"end":null,"created":-9223372036854775808},"refined":null,"interrupted":false,
    "typed":false,"confidence":null,"metrics":{},"call":null}],
    "alignment":{"method":"reported","offset_ms":0,"confidence":0.5}}"#;

/// A transcript as the version before wrote it, with every field and more turns than one digit counts.
fn with_every_field() -> String {
    let first = r#"{"id":"item_1","kind":"tool_call","role":"agent","speaker":"nova","text":"\"Grüß\" 👋\n\u0000\\u0041\u001f",
        "reported":{"start":1790000000123456789,"end":9007199254740993,"created":null,"last_text":-1},
        "refined":{"start":9223372036854775807,"end":-9223372036854775808,"approximate":true},"interrupted":true,"typed":true,
        "confidence":0.30000000000000004,"metrics":{"least":5e-324,"tiny":1e-7,"whole":1.0,"minus":-0.0,"most":18446744073709551615,
        "more":36893488147419103232,"":[],"a.b[0]":{"id":"7","text":null},"id":7,"text":"of metrics"},
        "call":{"call_id":"c","name":"weather","arguments":"{\"at\":0.10}","output":"[\"\\u00b0C\"]","is_error":false},
        "earlier":true,"of_a_later_version":{"kept":[1.10]}}"#;
    let another = |number: u32| first.replace("item_1", &format!("item_{number}"));
    let turns: Vec<String> = (1..=12).map(another).collect();
    let alignment = r#"{"method":"voice_activity","offset_ms":-120,"confidence":0.30000000000000004,
        "clock":[{"from":-9223372036854775808,"offset":-7},{"from":9007199254740993,"offset":1}],"version":2}"#;
    format!(r#"{{"turns":[{}],"alignment":{alignment}}}"#, turns.join(","))
}

/// A database as the version left it that kept a transcript as one text: a recording with a capture for each of these.
async fn with_transcripts(path: &Path, transcripts: &[Option<&str>]) {
    let mut connection = before(15, path).await;
    let recording = "INSERT INTO recordings (id, project, room_sid, prefix, status, partial, revision, deletion, tier, created_at,
             duration, gaps, tags, labels, participants)
         VALUES ('00000000-0000-0000-0000-000000000001', 'default', 'RM_1', 'recordings/x/1', 'COMPLETED', 0, 1, 'none', 'hot', 1, 0,
             '[]', '[]', '{}', '[]')";
    sqlx::query(recording).execute(&mut connection).await.unwrap();
    for (transcript, attempt) in transcripts.iter().zip(1_u32..) {
        // Their ids are in another order than their attempts.
        let capture = sqlx::query(
            "INSERT INTO captures (id, recording, project, attempt, source, status, transcript)
             VALUES (?, '00000000-0000-0000-0000-000000000001', 'default', ?, 'upload', 'complete', ?)",
        );
        let capture = capture.bind(Uuid::from_u128(u128::from(1_000 - attempt)).to_string());
        capture.bind(attempt).bind(transcript).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn transcripts_of_the_version_before_are_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let every = with_every_field();
    let empty = r#"{"turns":[],"alignment":{"method":"none","offset_ms":0,"confidence":0.0,"clock":[],"version":0}}"#;
    let texts = [Some(every.as_str()), None, Some(WITHOUT_LATER_FIELDS), Some(empty), Some(&every)];
    with_transcripts(&folder.path().join("db"), &texts).await;
    let store = open(&folder).await;
    let recording = RecordingId::new(Uuid::from_u128(1));
    let read = |(text, attempt): (Option<&str>, u128)| {
        let transcript: Transcript = serde_json::from_str(text?).unwrap();
        Some((CaptureId::new(Uuid::from_u128(1_000 - attempt)), transcript))
    };
    let before: Vec<_> = texts.into_iter().zip(1..).filter_map(read).collect();
    assert_eq!(store.transcripts(recording).await.unwrap(), before);

    // Nothing of it was read and written anew: numbers stand as they stood, and what this version does not know is there.
    let mut connection = connection(&folder).await;
    let row = "SELECT turn FROM turns WHERE id = 'item_12' LIMIT 1";
    let turn: String = sqlx::query_scalar(row).fetch_one(&mut connection).await.unwrap();
    for kept in
        ["0.30000000000000004", "5e-324", "1e-7", ":1.0,", "-0.0", "18446744073709551615", "36893488147419103232"]
    {
        assert!(turn.contains(kept), "{kept} in {turn}");
    }
    assert!(turn.contains(r#""of_a_later_version":{"kept":[1.10]}"#), "{turn}");
    let left = "SELECT count(*) FROM captures WHERE json_type(transcript, '$.turns') IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);
}

#[tokio::test]
async fn a_transcript_that_could_not_be_read_stays_so_and_keeps_no_other_from_being_read() {
    let folder = tempfile::tempdir().unwrap();
    with_transcripts(&folder.path().join("db"), &[Some("not JSON")]).await;
    let store = open(&folder).await;
    let read = store.transcripts(RecordingId::new(Uuid::from_u128(1))).await;
    assert!(matches!(read, Err(Error::Corrupt { .. })), "{read:?}");
    assert!(store.transcripts(RecordingId::new(Uuid::from_u128(2))).await.unwrap().is_empty());
}
