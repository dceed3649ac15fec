//! What the tests of the store have in common: a database, ids and times that go on, and what comes from outside.
//!
//! Two test programs include this file, and each needs all of it: the story, and what only a file of SQLite's has.

use std::collections::BTreeMap;
use std::sync::Arc;

use echosphere_domain::id::{CaptureId, NodeId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_domain::lifecycle::Deletion;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Capture, Participant, Recording};
use echosphere_domain::session::Session;
use echosphere_domain::time::WallTime;
use echosphere_store::{
    Applied, Begun, Command, Erasure, Event, EventId, Join, Joined, LeftOut, NewLive, Once, Origin, OwnedRoom, Purpose,
    Sealed, SessionFacts, SessionIds, Store, TaskKind, TelemetryRequest, Upload, What,
};
use tempfile::TempDir;
use uuid::Uuid;

/// A minute, in nanoseconds: how long a task or a room is leased.
pub const MINUTE: i64 = 60_000_000_000;

pub fn at(second: i64) -> WallTime {
    WallTime::from_millis(second * 1_000)
}

pub fn mine() -> ProjectId {
    ProjectId::default()
}

/// The node that records the rooms.
pub fn node() -> NodeId {
    NodeId::new(Uuid::from_u128(0xa))
}

/// The room of a recording, as that node has it.
pub fn owned(recording: RecordingId) -> OwnedRoom {
    OwnedRoom { recording, owner: node() }
}

pub fn ids(job: Option<&str>, room: Option<&str>) -> SessionIds {
    SessionIds { job_id: job.map(str::to_owned), room_sid: room.map(str::to_owned), started_at: None }
}

/// A session that lasted from one second to another, and whose upload came right after it.
pub fn spanning(from: i64, to: i64) -> Session {
    Session { started_at: Some(at(from)), ended_at: Some(at(to)), received_at: at(to + 1) }
}

pub fn person(identity: &str, name: &str) -> Participant {
    let (identity, kind) = (identity.to_owned(), "STANDARD".to_owned());
    Participant { identity, name: Some(name.to_owned()), kind, attributes: BTreeMap::new() }
}

/// A database that was opened, and the folder that it needs for as long as it is open.
pub type Opened = (Arc<dyn Store>, Option<TempDir>);

/// A database, and what comes to it. All that a deletion must leave nothing of has the words `NAMES-AND-WORDS`.
pub struct World {
    pub store: Arc<dyn Store>,
    /// The project of all that comes.
    pub project: ProjectId,
    /// The last id.
    pub next: u128,
    now: i64,
    _folder: Option<TempDir>,
}

impl World {
    pub async fn new<F: Future<Output = Opened>>(open: impl FnOnce() -> F) -> Self {
        let (store, folder) = open().await;
        Self { store, project: mine(), next: 0, now: 1_000_000, _folder: folder }
    }

    pub fn uuid(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    /// The next second. All that comes has come long before.
    pub fn later(&mut self) -> WallTime {
        self.now += 1;
        at(self.now)
    }

    /// An upload that has come as a whole.
    pub async fn received(&mut self, session: &SessionIds, now: WallTime) -> UploadId {
        let id = UploadId::new(self.uuid());
        let upload = Upload {
            job_id: session.job_id.clone(),
            room_sid: session.room_sid.clone(),
            ..Upload::receiving(id, self.project.clone(), "multipart/form-data".to_owned(), now)
        };
        self.store.begin_upload(&upload).await.unwrap();
        let task = TaskId::new(self.uuid());
        self.store.seal_upload(id, Sealed { bytes: 7, complete: true }, task, now).await.unwrap();
        id
    }

    /// An upload that has joined a recording; `None` when nothing is kept of it.
    pub async fn joined(&mut self, ids: &SessionIds, session: Session) -> Option<Joined> {
        let now = session.received_at;
        let join = Join {
            upload: self.received(ids, now).await,
            project: self.project.clone(),
            room_sid: ids.room_sid.clone(),
            job_id: ids.job_id.clone(),
            room_name: Some("NAMES-AND-WORDS of the room".to_owned()),
            session,
            new_recording: RecordingId::new(self.uuid()),
            new_capture: CaptureId::new(self.uuid()),
            now,
        };
        let joined = self.store.join_upload(&join).await.unwrap();
        let again = self.store.join_upload(&join).await.unwrap();
        let place = |joined: Option<Joined>| joined.map(|joined| (joined.capture.id, joined.body));
        assert_eq!(place(again), place(joined.clone()), "joining twice is joining once");
        joined
    }

    /// What is asked of a recorder that is to go to a room.
    pub fn asked(&mut self, room: &str) -> NewLive {
        NewLive {
            recording: RecordingId::new(self.uuid()),
            capture: CaptureId::new(self.uuid()),
            project: self.project.clone(),
            room_name: format!("NAMES-AND-WORDS of {room}"),
            session_id: Some("NAMES-AND-WORDS of the user".to_owned()),
            // Long enough for pages of its own, which become free.
            labels: BTreeMap::from([("phone".to_owned(), "NAMES-AND-WORDS in a label ".repeat(1_000))]),
            options: RecordingOptions {
                exclude: vec!["NAMES-AND-WORDS left out".to_owned()],
                ..RecordingOptions::default()
            },
            once: Some(Once { key: format!("NAMES-AND-WORDS {room}"), asked: "NAMES-AND-WORDS asked".to_owned() }),
            owner: node(),
            lease_until: at(61),
            now: at(1),
        }
    }

    /// A recorder has gone to a room.
    pub async fn begun(&self, new: &NewLive, room: &str) -> (Recording, Capture) {
        let Begun::New(begun) = self.store.begin_live(new).await.unwrap() else { panic!("it is new") };
        assert_eq!(self.store.room_joined(owned(begun.0.id), room).await.unwrap(), None);
        *begun
    }

    /// A recorder has gone to a room, and leaves somebody out.
    pub async fn live_as(&mut self, new: &NewLive, room: &str) -> RecordingId {
        let id = self.begun(new, room).await.0.id;
        let exclude = Command::Exclude("NAMES-AND-WORDS excluded".to_owned());
        let event = self.asks(id, exclude, 2);
        assert_eq!(self.store.apply(&event, at(2)).await.unwrap(), Applied::Stored);
        self.store.note_left_out(owned(id), LeftOut { agent: false, from: None }).await.unwrap();
        id
    }

    pub async fn live(&mut self, room: &str) -> RecordingId {
        let new = self.asked(room);
        self.live_as(&new, room).await
    }

    /// An OTLP request whose bytes are stored.
    pub async fn request(&mut self, session: &SessionIds) -> TelemetryRequest {
        let id = UploadId::new(self.uuid());
        let folder = session.job_id.as_deref().or(session.room_sid.as_deref()).unwrap_or("unknown");
        let key = key::telemetry(&self.project, folder, "logs", id, "json");
        let keys = std::slice::from_ref(&key);
        self.store.announce(&self.project, None, Purpose::Telemetry, keys, at(2)).await.unwrap();
        TelemetryRequest {
            id,
            project: self.project.clone(),
            signal: "logs".to_owned(),
            job_id: session.job_id.clone(),
            room_sid: session.room_sid.clone(),
            key,
            bytes: 1,
            received_at: at(2),
            facts: SessionFacts {
                agent_name: Some("NAMES-AND-WORDS of the agent".to_owned()),
                ..SessionFacts::default()
            },
        }
    }

    /// Telemetry of a session, and where it lies; false when it is not kept.
    pub async fn telemetry(&mut self, session: &SessionIds) -> (bool, ObjectKey) {
        let request = self.request(session).await;
        (self.store.add_telemetry(&request).await.unwrap(), request.key)
    }

    /// An event of no room or recording.
    fn event(&mut self, origin: Origin, what: What, second: i64) -> Event {
        Event {
            id: EventId { project: self.project.clone(), origin, id: self.uuid().to_string() },
            what,
            recording: None,
            room_sid: String::new(),
            room_name: String::new(),
            asked_by: None,
            created_at: None,
            received_at: at(second),
            attempts: 0,
        }
    }

    /// What a user asks of a room that is being recorded.
    pub fn asks(&mut self, recording: RecordingId, command: Command, second: i64) -> Event {
        let event = self.event(Origin::Api, What::Asked(command), second);
        Event { recording: Some(recording), asked_by: Some("key".to_owned()), ..event }
    }

    pub fn webhook(&mut self, room: &str) -> Event {
        let (event, body) = ("participant_left".to_owned(), "NAMES-AND-WORDS in a body".to_owned());
        let event = self.event(Origin::Webhook, What::Livekit { event, body }, 3);
        Event { room_sid: room.to_owned(), room_name: "NAMES-AND-WORDS of the room".to_owned(), ..event }
    }

    /// What LiveKit tells of a room.
    pub async fn around(&mut self, room: &str) {
        let somebody = person("NAMES-AND-WORDS of somebody", "");
        self.store.note_person(&self.project, room, &somebody, at(3)).await.unwrap();
        let webhook = self.webhook(room);
        assert_eq!(self.store.apply(&webhook, at(3)).await.unwrap(), Applied::Stored);
    }

    /// Ends all deletions, as a server does it, but for the bytes.
    pub async fn erased(&mut self) {
        loop {
            let now = self.later();
            let claim = self.store.claim(&[TaskKind::Erase], node(), now, now.plus_nanos(MINUTE)).await.unwrap();
            let Some(claim) = claim else { return };
            let what = Erasure::parse(&claim.payload).unwrap();
            let objects = self.store.belongings(what).await.unwrap().objects;
            self.store.forget_objects(&objects).await.unwrap();
            assert!(self.store.belongings(what).await.unwrap().objects.is_empty());
            self.store.erase_rows(what).await.unwrap();
            self.store.erase_rows(what).await.unwrap();
            self.store.scrub().await.unwrap();
            self.store.finish_erase(what, &claim.lease, now).await.unwrap();
        }
    }

    pub async fn deleted(&mut self, id: RecordingId) {
        self.store.request_deletion(&self.project, id, at(100)).await.unwrap();
        self.erased().await;
        assert_eq!(self.deletion(id).await, Deletion::Done);
    }

    pub async fn row(&self, id: RecordingId) -> (Recording, Vec<Capture>) {
        self.store.recording(&self.project, id).await.unwrap().unwrap()
    }

    pub async fn deletion(&self, id: RecordingId) -> Deletion {
        self.row(id).await.0.state.deletion
    }
}
