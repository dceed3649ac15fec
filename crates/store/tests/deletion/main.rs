//! What belongs to a recording goes with it: each table, each column, each file of the database; and what was deleted stays so.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod refused;
mod version_before;

use std::collections::BTreeMap;
use std::path::Path;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::recording::Participant;
use echosphere_domain::session::Session;
use echosphere_domain::time::WallTime;
use echosphere_store::sqlite::{self, SqliteStore};
use echosphere_store::{
    BELONGS, Begun, Deletions, Erasure, Error, Gone, Inbox, Join, Joined, LeftOut, Live, NewLive, Objects, Once,
    People, Purpose, Recordings, Sealed, SessionFacts, SessionIds, TaskKind, Tasks, Telemetry, TelemetryRequest,
    Upload, UploadState, Uploads, Webhook,
};
use sqlx::{Connection, Row, SqliteConnection};
use uuid::Uuid;

/// What must be found in no file any more.
const WORDS: &[u8] = b"NAMES-AND-WORDS";

fn at(second: i64) -> WallTime {
    WallTime::from_millis(second * 1_000)
}

fn mine() -> ProjectId {
    ProjectId::default()
}

fn ids(job: Option<&str>, room: Option<&str>) -> SessionIds {
    SessionIds { job_id: job.map(str::to_owned), room_sid: room.map(str::to_owned), started_at: None }
}

struct World {
    store: SqliteStore,
    dir: tempfile::TempDir,
    next: u128,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { store: sqlite::open(&dir.path().join("db")).await.unwrap(), dir, next: 0 }
    }

    fn uuid(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    async fn received(&mut self, job: Option<&str>, room: &str) -> UploadId {
        let id = UploadId::new(self.uuid());
        let upload = Upload {
            job_id: job.map(str::to_owned),
            room_sid: Some(room.to_owned()),
            ..Upload::receiving(id, mine(), "multipart/form-data".to_owned(), at(1))
        };
        self.store.begin_upload(&upload).await.unwrap();
        let task = TaskId::new(self.uuid());
        self.store.seal_upload(id, Sealed { bytes: 1, complete: true }, task, at(1)).await.unwrap();
        id
    }

    async fn joined(&mut self, job: Option<&str>, room: &str) -> Option<Joined> {
        let join = Join {
            upload: self.received(job, room).await,
            project: mine(),
            room_sid: Some(room.to_owned()),
            job_id: job.map(str::to_owned),
            room_name: Some("NAMES-AND-WORDS of the room".to_owned()),
            session: Session { started_at: Some(at(10)), ended_at: Some(at(20)), received_at: at(21) },
            new_recording: RecordingId::new(self.uuid()),
            new_capture: CaptureId::new(self.uuid()),
            now: at(21),
        };
        self.store.join_upload(&join).await.unwrap()
    }

    async fn live(&mut self, room: &str) -> RecordingId {
        // Long enough for pages of its own, which become free.
        self.live_with(room, "NAMES-AND-WORDS in a label ".repeat(1_000)).await
    }

    async fn live_with(&mut self, room: &str, label: String) -> RecordingId {
        let new = NewLive {
            recording: RecordingId::new(self.uuid()),
            capture: CaptureId::new(self.uuid()),
            project: mine(),
            room_name: format!("NAMES-AND-WORDS of {room}"),
            session_id: Some("NAMES-AND-WORDS of the user".to_owned()),
            labels: BTreeMap::from([("phone".to_owned(), label)]),
            settings: r#"{"exclude":["NAMES-AND-WORDS left out"]}"#.to_owned(),
            paused: false,
            once: Some(Once { key: format!("NAMES-AND-WORDS {room}"), asked: "NAMES-AND-WORDS asked".to_owned() }),
            now: at(1),
        };
        let Begun::New(begun) = self.store.begin_live(&new).await.unwrap() else { panic!("it is new") };
        let id = begun.0.id;
        self.store.room_joined(id, room).await.unwrap();
        self.store.note_excluded(id, "NAMES-AND-WORDS excluded").await.unwrap();
        self.store.note_left_out(id, LeftOut { agent: false, from: None }).await.unwrap();
        id
    }

    /// False when it is not kept.
    async fn telemetry(&mut self, job: Option<&str>, room: Option<&str>) -> (bool, ObjectKey) {
        let id = UploadId::new(self.uuid());
        let key = key::telemetry(&mine(), job.or(room).unwrap_or("unknown"), "logs", id, "json");
        self.store.announce(&mine(), None, Purpose::Telemetry, std::slice::from_ref(&key), at(2)).await.unwrap();
        let request = TelemetryRequest {
            id,
            project: mine(),
            signal: "logs".to_owned(),
            job_id: job.map(str::to_owned),
            room_sid: room.map(str::to_owned),
            key: key.clone(),
            bytes: 1,
            received_at: at(2),
            facts: SessionFacts {
                agent_name: Some("NAMES-AND-WORDS of the agent".to_owned()),
                ..SessionFacts::default()
            },
        };
        (self.store.add_telemetry(&request).await.unwrap(), key)
    }

    async fn around(&mut self, room: &str) {
        let person = Participant {
            identity: "NAMES-AND-WORDS of somebody".to_owned(),
            name: None,
            kind: "STANDARD".to_owned(),
            attributes: BTreeMap::new(),
        };
        self.store.note_person(&mine(), room, &person, at(3)).await.unwrap();
        let webhook = Webhook {
            project: mine(),
            id: format!("EV_{}", self.uuid()),
            event: "participant_left".to_owned(),
            room_sid: room.to_owned(),
            room_name: "NAMES-AND-WORDS of the room".to_owned(),
            created_at: None,
            received_at: at(3),
            body: "NAMES-AND-WORDS in a body".to_owned(),
            attempts: 0,
        };
        assert!(self.store.receive_webhook(&webhook).await.unwrap());
    }

    /// What a server does with the bytes apart.
    async fn erased(&mut self) {
        while let Some(claim) = self.store.claim(&[TaskKind::Erase], at(1_000), at(2_000)).await.unwrap() {
            let what = Erasure::parse(&claim.payload).unwrap();
            let objects = self.store.belongings(what).await.unwrap().objects;
            self.store.forget_objects(&objects).await.unwrap();
            assert!(self.store.belongings(what).await.unwrap().objects.is_empty());
            self.store.erase_rows(what).await.unwrap();
            self.store.erase_rows(what).await.unwrap();
            self.store.scrub().await.unwrap();
            self.store.finish_erase(what, &claim.lease, at(1_000)).await.unwrap();
        }
    }

    async fn deleted(&mut self, id: RecordingId) {
        self.store.request_deletion(&mine(), id, at(100)).await.unwrap();
        self.erased().await;
        assert_eq!(self.state(id).await, Deletion::Done);
    }

    async fn state(&self, id: RecordingId) -> Deletion {
        self.store.recording(&mine(), id).await.unwrap().unwrap().0.state.deletion
    }

    /// The files that have the words.
    fn found(&self) -> Vec<String> {
        let has = |path: &Path| std::fs::read(path).unwrap().windows(WORDS.len()).any(|window| window == WORDS);
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| has(path)).map(|path| path.display().to_string()).collect()
    }
}

#[tokio::test]
async fn every_table_and_column_has_a_line_in_the_list() {
    let world = World::new().await;
    let url = format!("sqlite://{}", world.dir.path().join("db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let tables = sqlx::query_scalar::<_, String>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> '_sqlx_migrations'",
    );
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for table in tables.fetch_all(&mut connection).await.unwrap() {
        let rows = sqlx::query("SELECT name FROM pragma_table_info(?)").bind(&table).fetch_all(&mut connection).await;
        let mut names: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
        names.sort();
        columns.insert(table, names);
    }
    let listed = BELONGS.iter().map(|belongs| {
        let mut names: Vec<String> = belongs.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        (belongs.table.to_owned(), names)
    });
    assert_eq!(
        columns,
        listed.collect(),
        "a table or column is not in crates/store/src/sqlite/belongs.rs: say there what becomes of it when a recording is deleted"
    );
}

#[tokio::test]
async fn no_file_of_the_database_has_the_words_of_what_was_deleted() {
    let mut world = World::new().await;
    // Others', so that pages are shared and freed.
    let other = world.joined(Some("AJ_other"), "RM_other").await.unwrap().recording.id;
    let session = world.joined(Some("AJ_1"), "RM_1").await.unwrap().recording.id;
    let room = world.live("RM_2").await;
    for (job, room) in [(Some("AJ_1"), Some("RM_1")), (None, Some("RM_1")), (Some("AJ_1"), None), (None, Some("RM_2"))]
    {
        assert!(world.telemetry(job, room).await.0);
    }
    for room in ["RM_1", "RM_2"] {
        world.around(room).await;
    }
    world.joined(Some("AJ_2"), "RM_2").await.unwrap();
    assert!(!world.found().is_empty());
    for id in [session, room, other] {
        world.deleted(id).await;
    }
    assert_eq!(world.found(), Vec::<String>::new());
    // What comes later for the same.
    for (job, room) in
        [(Some("AJ_1"), Some("RM_1")), (Some("AJ_1"), None), (None, Some("RM_1")), (Some("AJ_3"), Some("RM_2"))]
    {
        let (kept, key) = world.telemetry(job, room).await;
        assert!(!kept, "{job:?} {room:?}");
        world.store.forget_objects(&[key]).await.unwrap();
    }
    world.around("RM_1").await;
    world.around("RM_2").await;
    assert!(world.joined(Some("AJ_1"), "RM_1").await.is_none() && world.joined(Some("AJ_2"), "RM_2").await.is_none());
    assert_eq!(world.found(), Vec::<String>::new());
    // A request that is sent again is known all the same.
    let once = Once { key: "NAMES-AND-WORDS RM_2".to_owned(), asked: "NAMES-AND-WORDS asked".to_owned() };
    assert!(world.store.repeated(&mine(), &once, at(2)).await.unwrap().is_some());
}

/// Rows grow, pages are split, and rows move: copies of them stay between the rows of the pages where they were.
#[tokio::test]
async fn copies_of_rows_that_moved_to_another_page_go_too() {
    let mut world = World::new().await;
    let mut seed = 5_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut rooms = Vec::new();
    for number in 0..300_u32 {
        // Ids in no order, so that rows come between others.
        world.next = u128::from(next(1 << 30)) << 64 | u128::from(number) << 8;
        rooms.push(world.live_with(&format!("RM_{number}"), "NAMES-AND-WORDS".repeat(1 + next(4) as usize)).await);
    }
    for _ in 0..3 {
        for id in &rooms {
            let track = echosphere_domain::recording::Track {
                id: "TR_1".to_owned(),
                participant: "NAMES-AND-WORDS of a participant".to_owned(),
                kind: "audio".to_owned(),
                source: "microphone".to_owned(),
                started_at: at(1),
                duration: echosphere_domain::time::MediaTime::ZERO,
            };
            world.store.note_tracks(*id, &vec![track; next(4) as usize]).await.unwrap();
        }
    }
    for id in &rooms {
        world.store.request_deletion(&mine(), *id, at(100)).await.unwrap();
        world.store.erase_rows(Erasure::Recording(*id)).await.unwrap();
    }
    world.store.scrub().await.unwrap();
    assert_eq!(world.found(), Vec::<String>::new());
    // And it is a database still.
    let url = format!("sqlite://{}", world.dir.path().join("db").display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    assert_eq!(verdict, "ok");
    connection.close().await.unwrap();
    // What is written from now on is written from what the file has, not from what the connection had in memory.
    for id in &rooms {
        world.store.room_over(*id).await.unwrap();
    }
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    assert_eq!(world.found(), Vec::<String>::new());
}

#[tokio::test]
async fn what_another_recording_of_the_room_holds_stays() {
    let mut world = World::new().await;
    let first = world.joined(Some("AJ_1"), "RM_1").await.unwrap().recording.id;
    let second = world.joined(Some("AJ_2"), "RM_1").await.unwrap().recording.id;
    for job in [Some("AJ_1"), Some("AJ_2"), None] {
        world.telemetry(job, Some("RM_1")).await;
    }
    world.around("RM_1").await;
    world.deleted(first).await;
    let kept = world.store.telemetry_of_recording(second).await.unwrap();
    assert_eq!(kept.iter().map(|request| request.job_id.as_deref()).collect::<Vec<_>>(), [Some("AJ_2"), None]);
    assert_eq!(world.store.people(&mine(), "RM_1").await.unwrap().len(), 1);
    assert!(world.telemetry(None, Some("RM_1")).await.0 && world.telemetry(Some("AJ_3"), Some("RM_1")).await.0);
    assert!(!world.telemetry(Some("AJ_1"), Some("RM_1")).await.0);
    world.deleted(second).await;
    let left = world.store.telemetry_of(&mine(), "AJ_3").await.unwrap();
    assert_eq!(left.len(), 1, "a session of the room that nobody deleted");
    assert!(world.store.people(&mine(), "RM_1").await.unwrap().is_empty());
    // The other project's room of that id is another room.
    let theirs = ProjectId::parse("acme").unwrap();
    assert_eq!(world.store.gone(&theirs, &ids(Some("AJ_1"), Some("RM_1"))).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_announced_for_what_is_being_deleted() {
    let mut world = World::new().await;
    let joined = world.joined(Some("AJ_1"), "RM_1").await.unwrap();
    let key = joined.recording.prefix.segment(1, "audio", 1, 0);
    let announce = |purpose| {
        let (store, key) = (world.store.clone(), key.clone());
        async move { store.announce(&mine(), Some(joined.recording.id), purpose, &[key], at(5)).await }
    };
    announce(Purpose::Segment).await.unwrap();
    world.store.request_deletion(&mine(), joined.recording.id, at(6)).await.unwrap();
    for purpose in [Purpose::Segment, Purpose::Log, Purpose::Analysis] {
        assert!(matches!(announce(purpose).await, Err(Error::Deleted(id)) if id == joined.recording.id));
    }
    let objects = world.store.belongings(Erasure::Recording(joined.recording.id)).await.unwrap().objects;
    assert!(objects.contains(&key), "announced before: it may come to lie there");
}

#[tokio::test]
async fn an_upload_that_is_coming_for_a_deleted_room_is_waited_for() {
    let mut world = World::new().await;
    let room = world.live("RM_1").await;
    let coming = world.received(Some("AJ_1"), "RM_1").await;
    world.received(Some("AJ_2"), "RM_2").await;
    let what = Erasure::Recording(room);
    world.store.request_deletion(&mine(), room, at(30)).await.unwrap();
    world.store.erase_rows(what).await.unwrap();
    assert!(world.store.belongings(what).await.unwrap().is_awaited);
    world.store.forget_upload(coming).await.unwrap();
    assert!(!world.store.belongings(what).await.unwrap().is_awaited);
    let session = world.joined(Some("AJ_3"), "RM_3").await.unwrap().recording.id;
    let second = world.received(Some("AJ_3"), "RM_3").await;
    world.store.request_deletion(&mine(), session, at(30)).await.unwrap();
    let found = world.store.belongings(Erasure::Recording(session)).await.unwrap();
    assert!(found.uploads.contains(&second) && !found.is_awaited, "of a session it is known whose it is");
}

#[tokio::test]
async fn a_session_that_was_in_a_room_while_it_was_deleted_does_not_come_back() {
    let mut world = World::new().await;
    let room = world.live("RM_1").await;
    world.store.heard(room, at(2)).await.unwrap();
    world.store.request_deletion(&mine(), room, at(30)).await.unwrap();
    world.erased().await;
    // From second 10 to second 20.
    assert!(world.joined(Some("AJ_1"), "RM_1").await.is_none());
    assert!(world.joined(Some("AJ_2"), "RM_2").await.is_some());
}
