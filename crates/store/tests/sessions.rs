//! Sessions of rooms: which recording an upload joins, and sessions that have recordings of their own.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeMap;
use std::sync::Arc;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Content, Deletion, Reason, Status};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Recording};
use echosphere_domain::segment::{AUDIO_RENDITION, Location, Segment};
use echosphere_domain::session::Session;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;
use echosphere_store::{
    Begun, Claim, Erasure, Error, Filter, Gone, Join, Joined, NewLive, Own, Part, Publication, Purpose,
    RenderedRevision, Sealed, SessionFacts, SessionIds, Store, TaskKind, Upload, sqlite,
};
use uuid::Uuid;

struct World {
    store: Arc<dyn Store>,
    _dir: tempfile::TempDir,
    next: u128,
    now: i64,
}

fn at(second: i64) -> WallTime {
    WallTime::from_millis(second * 1000)
}

fn mine() -> ProjectId {
    ProjectId::default()
}

fn audio(key: &ObjectKey) -> Audio {
    Audio {
        key: key.clone(),
        chunks: 0,
        offset: 1,
        length: 2,
        samples: 192_000,
        segment_ms: 4_000,
        is_gone: false,
        fills: Vec::new(),
    }
}

fn segment(capture: CaptureId, index: u32) -> Segment {
    Segment {
        capture,
        capture_index: index,
        index,
        discontinuity: 0,
        media_start: MediaTime::from_millis(i64::from(index) * 4_000),
        duration: MediaTime::from_millis(4_000),
        wall_start: at(i64::from(index) * 4),
        codecs: "mp4a.40.2".to_owned(),
        location: Location::Renderable,
    }
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(sqlite::open(&dir.path().join("db")).await.unwrap());
        Self { store, _dir: dir, next: 1, now: 1_000_000 }
    }

    fn uuid(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    fn later(&mut self) -> WallTime {
        self.now += 1;
        at(self.now)
    }

    /// An upload of a session that lasted from one second to another, and came right after it.
    async fn upload(&mut self, job: Option<&str>, from: i64, to: i64) -> Joined {
        self.try_upload(job, from, to).await.expect("it is kept")
    }

    /// The same; `None` when nothing is kept of it.
    async fn try_upload(&mut self, job: Option<&str>, from: i64, to: i64) -> Option<Joined> {
        let id = UploadId::new(self.uuid());
        let upload = Upload::receiving(id, mine(), "multipart/form-data".to_owned(), at(to + 1));
        self.store.begin_upload(&upload).await.unwrap();
        let task = TaskId::new(self.uuid());
        self.store.seal_upload(id, Sealed { bytes: 7, complete: true }, task, at(to + 1)).await.unwrap();
        let join = Join {
            upload: id,
            project: mine(),
            room_sid: Some("RM_1".to_owned()),
            job_id: job.map(str::to_owned),
            room_name: Some("lobby".to_owned()),
            session: Session { started_at: Some(at(from)), ended_at: Some(at(to)), received_at: at(to + 1) },
            new_recording: RecordingId::new(self.uuid()),
            new_capture: CaptureId::new(self.uuid()),
            now: at(to + 1),
        };
        let joined = self.store.join_upload(&join).await.unwrap();
        let again = self.store.join_upload(&join).await.unwrap();
        let body = |joined: Option<Joined>| joined.map(|joined| joined.body);
        assert_eq!(body(again), body(joined.clone()), "joining twice is joining once");
        joined
    }

    async fn claim(&mut self, kind: TaskKind) -> Option<Claim> {
        let now = self.later();
        self.store.claim(&[kind], now, now.plus_nanos(60_000_000_000)).await.unwrap()
    }

    /// Publishes a capture that was read, with its segments or into a room that goes on.
    async fn publish(&mut self, capture: &Capture, body: &ObjectKey, span: (i64, i64), is_live: bool) -> Recording {
        let claim = self.claim(TaskKind::Ingest).await.expect("an upload is to be read");
        self.publish_under(&claim, capture, body, span, is_live).await
    }

    async fn publish_under(
        &mut self,
        claim: &Claim,
        capture: &Capture,
        body: &ObjectKey,
        (from, to): (i64, i64),
        is_live: bool,
    ) -> Recording {
        let (recording, captures) = self.store.recording(&mine(), capture.recording).await.unwrap().unwrap();
        let beside = captures.iter().filter(|other| other.id != capture.id).map(|other| (other.id, other.status));
        let publication = Publication {
            recording: recording.id,
            based_on: recording.state.revision,
            beside: beside.collect(),
            capture: Capture {
                status: CaptureStatus::Complete,
                started_at: Some(at(from)),
                ended_at: Some(at(to)),
                audio: Some(audio(body)),
                ..capture.clone()
            },
            audio_index: Some(vec![1]),
            transcript: Some(Transcript::default()),
            supersedes: Vec::new(),
            filled: Vec::new(),
            content: (!is_live).then_some(Content::Playable { partial: false }),
            segments: vec![segment(capture.id, 0)],
            gaps: Vec::new(),
            duration: MediaTime::from_millis(4_000),
            started_at: Some(at(from)),
            ended_at: Some(at(to)),
            facts: SessionFacts::default(),
            participants: Vec::new(),
            now: self.later(),
        };
        self.store.publish(&publication, &claim.lease).await.unwrap()
    }

    async fn uploaded(&mut self, job: Option<&str>, from: i64, to: i64) -> Joined {
        let joined = self.upload(job, from, to).await;
        self.publish(&joined.capture, &joined.body, (from, to), false).await;
        joined
    }

    /// A room that a recorder records from then on.
    async fn room(&mut self, from: i64) -> (Recording, Capture) {
        let new = NewLive {
            recording: RecordingId::new(self.uuid()),
            capture: CaptureId::new(self.uuid()),
            project: mine(),
            room_name: format!("lobby {from}"),
            session_id: None,
            labels: BTreeMap::new(),
            settings: "{}".to_owned(),
            paused: false,
            once: None,
            now: at(from),
        };
        let Begun::New(begun) = self.store.begin_live(&new).await.unwrap() else { panic!("it begins") };
        assert_eq!(self.store.room_joined(begun.0.id, "RM_1").await.unwrap(), None);
        self.store.heard(begun.0.id, at(from)).await.unwrap();
        *begun
    }

    /// The end of a recorded room, which is rendered then.
    async fn settled(&mut self, (recording, capture): &(Recording, Capture), from: i64, to: i64) {
        self.store.room_ended(recording.id, at(to)).await.unwrap();
        let claim = self.claim(TaskKind::Settle).await.expect("a room is to be settled");
        let key = recording.prefix.log_chunk(1, 0);
        self.publish_under(&claim, capture, &key, (from, to), false).await;
        self.rendered(recording.id).await;
    }

    async fn rendered(&mut self, recording: RecordingId) {
        let claim = self.claim(TaskKind::Render).await.expect("a revision is to be rendered");
        let analysis = ObjectKey::parse(format!("a/{}", self.next)).unwrap();
        let now = self.later();
        let keys = std::slice::from_ref(&analysis);
        self.store.announce(&mine(), Some(recording), Purpose::Analysis, keys, now).await.unwrap();
        let revision = self.recording(recording).await.0.state.revision;
        let rendered = RenderedRevision { recording, revision, analysis, transcripts: Vec::new(), now };
        self.store.finish_render(&rendered, &claim.lease).await.unwrap();
    }

    async fn recording(&self, id: RecordingId) -> (Recording, Vec<Capture>) {
        self.store.recording(&mine(), id).await.unwrap().unwrap()
    }

    async fn own(&mut self, room: RecordingId, capture: CaptureId) -> Option<echosphere_store::OwnRecording> {
        let (new_recording, new_capture) = (RecordingId::new(self.uuid()), CaptureId::new(self.uuid()));
        let own = Own { room, capture, new_recording, new_capture, now: self.later() };
        self.store.own_recording(&own).await.unwrap()
    }

    async fn objects_of(&self, recording: RecordingId) -> Vec<echosphere_domain::key::ObjectKey> {
        self.store.belongings(Erasure::Recording(recording)).await.unwrap().objects
    }

    async fn erased(&mut self) {
        while let Some(claim) = self.claim(TaskKind::Erase).await {
            let now = self.later();
            let what = Erasure::parse(&claim.payload).unwrap();
            self.store.erase_rows(what).await.unwrap();
            self.store.finish_erase(what, &claim.lease, now).await.unwrap();
        }
    }

    async fn of_session(&self, session: &str) -> Vec<RecordingId> {
        let filter = Filter { session_id: Some(session.to_owned()), ..Filter::default() };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&mine(), &filter, after, 1).await.unwrap();
            found.extend(page.items.iter().map(|(recording, _)| recording.id));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_a_capture_of_the_recording_that_had_its_room_then() {
    let mut world = World::new().await;
    let early = world.uploaded(Some("AJ_0"), 0, 50).await;
    let first = world.room(100).await;
    let live = world.upload(Some("AJ_1"), 90, 300).await;
    assert_eq!((live.recording.id, live.recording.state.status), (first.0.id, Status::Active));
    world.publish(&live.capture, &live.body, (90, 300), true).await;
    world.settled(&first, 100, 400).await;
    // Stopped, and started again.
    let second = world.room(700).await;
    let late = world.upload(Some("AJ_0b"), 405, 690).await;
    assert!(![first.0.id, second.0.id, early.recording.id].contains(&late.recording.id), "between the two");
    assert_eq!(late.recording.state.status, Status::Processing, "there is one live recording of a room");
    world.publish(&late.capture, &late.body, (405, 690), false).await;
    world.settled(&second, 700, 1_300).await;
    let long = world.upload(Some("AJ_2"), 110, 1_300).await;
    assert_eq!(long.recording.id, second.0.id, "with that one it shares more");
    let again = world.upload(Some("AJ_1"), 90, 300).await;
    assert_eq!((again.recording.id, again.capture.attempt), (first.0.id, 3));
    assert_eq!(world.of_session("AJ_1").await, [first.0.id]);
    assert_eq!(world.of_session("AJ_0").await, [early.recording.id]);
    let others = world.store.same_room(first.0.id, 10).await.unwrap();
    let others: Vec<_> = others.iter().map(|other| other.id).collect();
    assert_eq!(others, [early.recording.id, late.recording.id, second.0.id], "in the order in which they began");
    assert_eq!(world.store.same_room(first.0.id, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_recorder_that_kept_nothing_has_the_first_session_of_its_room_instead() {
    let mut world = World::new().await;
    let (recording, capture) = world.room(100).await;
    world.store.room_ended(recording.id, at(130)).await.unwrap();
    let claim = world.claim(TaskKind::Settle).await.unwrap();
    let lost = Publication {
        recording: recording.id,
        based_on: world.recording(recording.id).await.0.state.revision,
        beside: Vec::new(),
        capture: Capture { status: CaptureStatus::Failed, ended_at: Some(at(130)), ..capture },
        audio_index: None,
        transcript: None,
        supersedes: Vec::new(),
        filled: Vec::new(),
        content: Some(Content::Silent { reason: Reason::ConnectionLost, partial: true }),
        segments: Vec::new(),
        gaps: Vec::new(),
        duration: MediaTime::ZERO,
        started_at: None,
        ended_at: Some(at(130)),
        facts: SessionFacts::default(),
        participants: Vec::new(),
        now: at(131),
    };
    assert_eq!(world.store.publish(&lost, &claim.lease).await.unwrap().state.status, Status::Failed);
    let first = world.upload(Some("AJ_1"), 200, 300).await;
    assert_eq!((first.recording.id, first.recording.state.status), (recording.id, Status::Processing));
    world.publish(&first.capture, &first.body, (200, 300), false).await;
    assert_eq!(world.recording(recording.id).await.0.state.status, Status::Completed);
    let second = world.upload(Some("AJ_2"), 900, 990).await;
    assert_ne!(second.recording.id, recording.id);
}

#[tokio::test]
async fn without_a_job_the_same_start_in_the_same_room_is_the_same_session() {
    let mut world = World::new().await;
    let first = world.uploaded(None, 100, 200).await;
    let again = world.upload(None, 100, 250).await;
    let other = world.upload(None, 101, 250).await;
    assert_eq!(first.recording.id, again.recording.id);
    assert_ne!(first.recording.id, other.recording.id);
}

#[tokio::test]
async fn what_was_deleted_does_not_come_back() {
    let mut world = World::new().await;
    for job in [Some("AJ_1"), None] {
        let alone = world.uploaded(job, 100, 200).await;
        world.store.request_deletion(&mine(), alone.recording.id, at(300)).await.unwrap();
        world.erased().await;
        assert_eq!(world.try_upload(job, 100, 200).await, None);
        assert_eq!(world.recording(alone.recording.id).await.0.state.deletion, Deletion::Done);
    }
    let room = world.room(1_000).await;
    world.settled(&room, 1_000, 2_000).await;
    world.store.request_deletion(&mine(), room.0.id, at(2_100)).await.unwrap();
    world.erased().await;
    assert_eq!(world.try_upload(Some("AJ_2"), 1_100, 1_900).await, None);
    let of_it = SessionIds { job_id: Some("AJ_2".to_owned()), ..SessionIds::default() };
    assert_eq!(world.store.gone(&mine(), &of_it).await.unwrap(), Some(Gone::Deleted), "from now on by its job, too");
    let after_it = world.upload(Some("AJ_3"), 2_500, 2_900).await;
    assert_eq!((after_it.recording.id == room.0.id, after_it.recording.state.deletion), (false, Deletion::None));
}

/// A room's recording with a session that sticks out of it, and that session's own recording.
async fn with_its_own(world: &mut World) -> ((Recording, Capture), Joined, Recording, Capture) {
    let room = world.room(100).await;
    let session = world.upload(Some("AJ_1"), 50, 390).await;
    world.publish(&session.capture, &session.body, (50, 390), true).await;
    world.settled(&room, 100, 400).await;
    let claim = world.claim(TaskKind::Separate).await.expect("the session is looked at");
    assert_eq!(claim.payload, format!("default/{}/{}", room.0.id, session.capture.id));
    let own = world.own(room.0.id, session.capture.id).await.unwrap();
    let again = world.own(room.0.id, session.capture.id).await.unwrap();
    assert_eq!((again.recording.id, again.capture.id), (own.recording.id, own.capture.id));
    assert_eq!((own.recording.session_id.as_deref(), own.recording.created_at), (Some("AJ_1"), at(391)));
    world.publish_under(&claim, &own.capture, &session.body, (50, 390), false).await;
    world.rendered(own.recording.id).await;
    assert!(world.claim(TaskKind::Separate).await.is_none(), "only a room's recording has sessions to look at");
    (room, session, own.recording, own.capture)
}

#[tokio::test]
async fn a_session_that_its_room_does_not_hold_whole_has_two_recordings_and_one_body() {
    let mut world = World::new().await;
    let (room, session, own, capture) = with_its_own(&mut world).await;
    let mut found = world.of_session("AJ_1").await;
    found.sort();
    let mut both = [room.0.id, own.id];
    both.sort();
    assert_eq!(found, both);
    assert_eq!(world.store.upload_body(capture.id).await.unwrap(), Some(session.body.clone()));
    // The same job once more: the room's recording has it, not the other one.
    let whole = world.upload(Some("AJ_1"), 50, 390).await;
    assert_eq!(whole.recording.id, room.0.id);
    let claim = world.claim(TaskKind::Ingest).await.unwrap();
    let (recording, captures) = world.recording(room.0.id).await;
    let beside = captures.iter().filter(|other| other.id != whole.capture.id).map(|other| (other.id, other.status));
    let publication = Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: beside.collect(),
        capture: Capture { status: CaptureStatus::Complete, ..whole.capture.clone() },
        audio_index: None,
        transcript: None,
        supersedes: vec![session.capture.id],
        filled: Vec::new(),
        content: Some(Content::Playable { partial: false }),
        segments: vec![segment(room.1.id, 0)],
        gaps: Vec::new(),
        duration: MediaTime::from_millis(4_000),
        started_at: None,
        ended_at: None,
        facts: SessionFacts::default(),
        participants: Vec::new(),
        now: world.later(),
    };
    world.store.publish(&publication, &claim.lease).await.unwrap();
    let condemned = world.store.sweepable(at(9_999_999), at(0), 10).await.unwrap();
    assert!(condemned.iter().all(|object| object.key != session.body), "its own recording needs it still");
    world.rendered(room.0.id).await;
    let claim = world.claim(TaskKind::Separate).await.unwrap();
    let newer = world.own(room.0.id, whole.capture.id).await.unwrap();
    assert_eq!((newer.recording.id, newer.supersedes.clone()), (own.id, vec![capture.id]));
    let (recording, _) = world.recording(own.id).await;
    let publication = Publication {
        recording: own.id,
        based_on: recording.state.revision,
        beside: vec![(capture.id, CaptureStatus::Complete)],
        capture: Capture { status: CaptureStatus::Complete, ..newer.capture.clone() },
        supersedes: newer.supersedes,
        segments: vec![segment(newer.capture.id, 0)],
        ..publication
    };
    world.store.publish(&publication, &claim.lease).await.unwrap();
    let condemned = world.store.sweepable(at(9_999_999), at(0), 10).await.unwrap();
    assert!(condemned.iter().any(|object| object.key == session.body), "now nothing does");
}

#[tokio::test]
async fn a_deleted_room_takes_its_sessions_with_it() {
    let mut world = World::new().await;
    let (room, session, own, _) = with_its_own(&mut world).await;
    world.store.request_deletion(&mine(), room.0.id, at(500)).await.unwrap();
    assert_eq!(world.recording(own.id).await.0.state.deletion, Deletion::Pending);
    assert!(world.objects_of(room.0.id).await.contains(&session.body));
    world.erased().await;
    for id in [room.0.id, own.id] {
        let (recording, captures) = world.recording(id).await;
        assert_eq!((recording.state.deletion, captures.len()), (Deletion::Done, 0));
    }
    assert_eq!(world.own(room.0.id, session.capture.id).await, None);
    assert_eq!(world.try_upload(Some("AJ_1"), 50, 390).await, None);
}

#[tokio::test]
async fn a_deleted_session_leaves_its_room_too() {
    let mut world = World::new().await;
    let (room, session, own, _) = with_its_own(&mut world).await;
    world.store.request_deletion(&mine(), own.id, at(500)).await.unwrap();
    let (recording, captures) = world.recording(room.0.id).await;
    assert_eq!(recording.state.deletion, Deletion::None);
    let given_up = captures.iter().find(|capture| capture.id == session.capture.id).unwrap();
    assert_eq!((given_up.status, &given_up.audio), (CaptureStatus::Superseded, &None));
    assert!(world.store.transcripts(room.0.id).await.unwrap().iter().all(|(id, _)| *id != session.capture.id));
    assert!(world.claim(TaskKind::Compose).await.is_some(), "the room is composed without it");
    // Its bytes are gone before the deletion is done.
    assert!(world.objects_of(own.id).await.contains(&session.body));
    assert!(!world.objects_of(room.0.id).await.contains(&session.body));
    world.erased().await;
    assert!(world.of_session("AJ_1").await.is_empty());
    assert_eq!(world.try_upload(Some("AJ_1"), 50, 390).await, None);
}

#[tokio::test]
async fn sessions_that_were_put_into_one_recording_are_taken_apart_in_one_step() {
    let mut world = World::new().await;
    let first = world.uploaded(Some("AJ_1"), 100, 104).await;
    let second = world.upload(Some("AJ_1"), 500, 504).await;
    world.publish(&second.capture, &second.body, (500, 504), false).await;
    assert!(world.store.mixed(None, 10).await.unwrap().is_empty(), "one job");
    // As once was done: one recording, two jobs. The job is told with the capture, so that it can be made here.
    let third = world.uploaded(Some("AJ_3"), 900, 904).await;
    let (old, new) = (first.recording.id, RecordingId::new(world.uuid()));
    let part = |captures: Vec<CaptureId>, recording, job: &str| Part {
        captures,
        recording,
        session_id: Some(job.to_owned()),
        facts: SessionFacts { agent_name: Some("nova".to_owned()), ..SessionFacts::default() },
        created_at: at(505),
    };
    let stale = part(vec![second.capture.id, third.capture.id], new, "AJ_2");
    let refused = world.store.split(old, Some("AJ_1".to_owned()), &[stale], at(1_000)).await;
    assert!(matches!(refused, Err(Error::Conflict(_))));
    assert_eq!(world.recording(old).await.1.len(), 2, "nothing of it was done");
    let parts = [part(vec![second.capture.id], new, "AJ_2")];
    world.store.split(old, Some("AJ_1".to_owned()), &parts, at(1_000)).await.unwrap();
    let (kept, captures) = world.recording(old).await;
    assert_eq!(captures.iter().map(|capture| capture.id).collect::<Vec<_>>(), [first.capture.id]);
    assert_eq!((kept.session_id.as_deref(), kept.state.status), (Some("AJ_1"), Status::Completed));
    let (own, captures) = world.recording(new).await;
    assert_eq!((captures[0].id, captures[0].attempt), (second.capture.id, 1));
    assert_eq!((own.room_sid.as_deref(), own.agent_name.as_deref()), (Some("RM_1"), Some("nova")));
    assert_eq!(own.state.status, Status::Processing);
    assert_eq!(world.store.upload_body(second.capture.id).await.unwrap(), Some(second.body.clone()), "its key stays");
    assert!(world.objects_of(new).await.contains(&second.body));
    assert!(!world.objects_of(old).await.contains(&second.body));
    let index = world.store.segments(old, AUDIO_RENDITION).await.unwrap();
    assert!(index.iter().all(|segment| segment.capture == first.capture.id));
    let composed = [world.claim(TaskKind::Compose).await.unwrap(), world.claim(TaskKind::Compose).await.unwrap()];
    let mut composed = composed.map(|claim| claim.payload);
    composed.sort();
    let mut both = [format!("default/{old}"), format!("default/{new}")];
    both.sort();
    assert_eq!(composed, both);
}
