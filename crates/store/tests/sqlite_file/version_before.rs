//! What earlier versions left in a database is found: what their deletions left goes, and their rooms and webhooks go on.

use std::path::Path;

use echosphere_domain::id::RecordingId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::State;
use echosphere_domain::options::{ChannelLayout, RecordingOptions};
use echosphere_domain::time::WallTime;
use echosphere_store::{Applied, Erasure, Event, EventId, Gone, Once, Origin, SessionIds, What};
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::open;
use crate::words::found;
use crate::world::{at, ids, mine, node, owned};

/// A new database with the migrations before a number.
async fn before(number: i64, path: &Path) -> SqliteConnection {
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
