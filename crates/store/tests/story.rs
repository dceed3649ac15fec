//! One story of every database: a session comes in, is published, rendered, listed, deleted.
//!
//! Written against `dyn Store`, so that each back end tells the same story.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::sync::Arc;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, TaskId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::{Content, Deletion, Status};
use echosphere_domain::recording::{Audio, CaptureStatus};
use echosphere_domain::segment::{AUDIO_RENDITION, Location, Segment};
use echosphere_domain::session::Session;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;
use echosphere_store::{
    Erasure, Error, Failure, Filter, Join, Joined, Lease, NewTask, Publication, Purpose, RenderedRevision, Sealed,
    SessionFacts, Store, StoredSegment, TaskKind, TelemetryRequest, Upload, sqlite,
};
use uuid::Uuid;

struct World {
    store: Arc<dyn Store>,
    dir: tempfile::TempDir,
    next: u128,
}

fn at(seconds: i64) -> WallTime {
    WallTime::from_millis(seconds * 1000)
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(sqlite::open(&dir.path().join("db")).await.unwrap());
        Self { store, dir, next: 1 }
    }

    fn uuid(&mut self) -> Uuid {
        self.next += 1;
        Uuid::from_u128(self.next)
    }

    async fn received(&mut self, project: &ProjectId, now: WallTime) -> UploadId {
        let id = UploadId::new(self.uuid());
        let upload = Upload::receiving(id, project.clone(), "multipart/form-data".to_owned(), now);
        self.store.begin_upload(&upload).await.unwrap();
        let task = TaskId::new(self.uuid());
        self.store.seal_upload(id, Sealed { bytes: 7, complete: true }, task, now).await.unwrap();
        id
    }

    async fn joined(&mut self, project: &ProjectId, room: Option<&str>, job: Option<&str>, now: WallTime) -> Joined {
        let session = Session { started_at: None, ended_at: None, received_at: now };
        self.joined_at(project, room, job, session).await
    }

    async fn joined_at(
        &mut self,
        project: &ProjectId,
        room: Option<&str>,
        job: Option<&str>,
        session: Session,
    ) -> Joined {
        let now = session.received_at;
        let upload = self.received(project, now).await;
        let join = Join {
            upload,
            project: project.clone(),
            room_sid: room.map(str::to_owned),
            job_id: job.map(str::to_owned),
            room_name: Some("lobby".to_owned()),
            session,
            new_recording: RecordingId::new(self.uuid()),
            new_capture: CaptureId::new(self.uuid()),
            now,
        };
        let joined = self.store.join_upload(&join).await.unwrap().unwrap();
        assert_eq!(
            self.store.join_upload(&join).await.unwrap().unwrap().capture.id,
            joined.capture.id,
            "joining twice is joining once"
        );
        joined
    }

    async fn lease(&self, kind: TaskKind, now: WallTime) -> Lease {
        self.store.claim(&[kind], now, now.plus_nanos(60_000_000_000)).await.unwrap().expect("a task is due").lease
    }

    async fn published(&mut self, joined: &Joined, now: WallTime) -> echosphere_domain::recording::Recording {
        let lease = self.lease(TaskKind::Ingest, now).await;
        self.store.publish(&publication(joined, now), &lease).await.unwrap()
    }
}

fn publication(joined: &Joined, now: WallTime) -> Publication {
    let mut capture = joined.capture.clone();
    capture.status = CaptureStatus::Complete;
    let audio = Audio {
        key: joined.body.clone(),
        chunks: 0,
        offset: 1,
        length: 2,
        samples: 384_000,
        segment_ms: 4_000,
        is_gone: false,
        fills: Vec::new(),
    };
    capture.audio = Some(audio);
    let segment = |index: u32| Segment {
        capture: capture.id,
        capture_index: index,
        index,
        discontinuity: 0,
        media_start: MediaTime::from_millis(i64::from(index) * 4_000),
        duration: MediaTime::from_millis(4_000),
        wall_start: at(i64::from(index) * 4),
        codecs: "mp4a.40.2".to_owned(),
        location: Location::Renderable,
    };
    Publication {
        recording: joined.recording.id,
        based_on: joined.recording.state.revision,
        beside: Vec::new(),
        segments: vec![segment(0), segment(1)],
        capture,
        audio_index: Some(vec![1, 2, 3]),
        transcript: Some(Transcript::default()),
        supersedes: Vec::new(),
        filled: Vec::new(),
        content: Some(Content::Playable { partial: false }),
        gaps: Vec::new(),
        duration: MediaTime::from_millis(8_000),
        started_at: Some(at(0)),
        ended_at: Some(at(8)),
        facts: SessionFacts { agent_name: Some("nova".to_owned()), ..SessionFacts::default() },
        participants: Vec::new(),
        now,
    }
}

async fn aligned_before(store: &dyn Store, version: u32, after: Option<RecordingId>) -> Vec<RecordingId> {
    store.aligned_before(version, after, 10).await.unwrap().into_iter().map(|recording| recording.id).collect()
}

#[tokio::test]
async fn a_session_comes_in_is_rendered_and_goes() {
    let mut world = World::new().await;
    let project = ProjectId::default();
    let joined = world.joined(&project, Some("RM_1"), Some("AJ_1"), at(10)).await;
    assert_eq!(joined.recording.state.status, Status::Processing);
    let recording = world.published(&joined, at(11)).await;
    assert_eq!((recording.state.status, recording.state.revision), (Status::Completed, 1));
    assert_eq!(recording.agent_name.as_deref(), Some("nova"));

    let store = Arc::clone(&world.store);
    let lease = world.lease(TaskKind::Render, at(12)).await;
    let segment = key("recordings/x/0.ts");
    let announced = std::slice::from_ref(&segment);
    store.announce(&project, Some(recording.id), Purpose::Segment, announced, at(12)).await.unwrap();
    let stored = StoredSegment { index: 1, key: segment.clone(), offset: 0, length: 99 };
    assert!(
        store.segments_stored(recording.id, AUDIO_RENDITION, 1, std::slice::from_ref(&stored), at(12)).await.unwrap()
    );
    assert!(store.segments_stored(recording.id, AUDIO_RENDITION, 1, &[stored], at(12)).await.unwrap());
    let index = store.segments(recording.id, AUDIO_RENDITION).await.unwrap();
    assert_eq!(index[0].location, Location::Renderable);
    assert_eq!(index[1].location, Location::Stored { key: segment.clone(), offset: 0, length: 99 });
    assert!(store.sweepable(at(9_999), at(9_999), 10).await.unwrap().is_empty(), "nothing that is needed is swept");

    let analysis = key("recordings/x/analysis");
    let announced = std::slice::from_ref(&analysis);
    store.announce(&project, Some(recording.id), Purpose::Analysis, announced, at(13)).await.unwrap();
    let rendered = RenderedRevision {
        recording: recording.id,
        revision: 1,
        analysis: analysis.clone(),
        transcripts: vec![],
        now: at(13),
    };
    store.finish_render(&rendered, &lease).await.unwrap();
    assert!(matches!(store.finish_render(&rendered, &lease).await, Err(Error::LeaseLost(_))));
    assert_eq!(store.analysis(recording.id).await.unwrap(), Some(analysis.clone()));

    // Its transcript was aligned by no version; then by one, in the transaction that ends the task.
    let old = async |version, after| aligned_before(store.as_ref(), version, after).await;
    assert_eq!((old(1, None).await, old(0, None).await), (vec![recording.id], vec![]));
    assert!(old(1, Some(recording.id)).await.is_empty());
    let payload = format!("{project}/{}/1", recording.id);
    let task = NewTask { id: TaskId::new(Uuid::from_u128(77)), kind: TaskKind::Align, payload, run_at: at(14) };
    store.enqueue(&task).await.unwrap();
    let mut aligned = Transcript::default();
    aligned.alignment.version = 1;
    let transcripts = vec![(joined.capture.id, aligned)];
    let lease = world.lease(TaskKind::Align, at(14)).await;
    store.finish_render(&RenderedRevision { transcripts, now: at(14), ..rendered }, &lease).await.unwrap();
    assert!(old(1, None).await.is_empty() && old(2, None).await == [recording.id]);

    let deleted = store.request_deletion(&project, recording.id, at(14)).await.unwrap().unwrap();
    assert_eq!(deleted.state.deletion, Deletion::Pending);
    let what = Erasure::Recording(recording.id);
    let objects = store.belongings(what).await.unwrap().objects;
    assert!([&segment, &analysis, &joined.body].iter().all(|key| objects.contains(key)), "{objects:?}");
    let lease = world.lease(TaskKind::Erase, at(15)).await;
    store.erase_rows(what).await.unwrap();
    store.scrub().await.unwrap();
    store.finish_erase(what, &lease, at(15)).await.unwrap();
    let (gone, captures) = store.recording(&project, recording.id).await.unwrap().unwrap();
    assert_eq!((gone.state.deletion, gone.room_name, captures.len()), (Deletion::Done, None, 0));
    assert!(store.list(&project, &Filter::default(), None, 10).await.unwrap().items.is_empty());
    assert!(store.task_counts().await.unwrap().iter().all(|counts| counts.open == 0));
}

#[tokio::test]
async fn sessions_join_by_job_and_never_by_room_or_name() {
    let mut world = World::new().await;
    let (mine, other) = (ProjectId::default(), ProjectId::parse("other").unwrap());
    let first = world.joined(&mine, Some("RM_1"), Some("AJ_1"), at(1)).await;
    let same_room = world.joined(&mine, Some("RM_1"), Some("AJ_2"), at(2)).await;
    let same_job = world.joined(&mine, None, Some("AJ_1"), at(3)).await;
    let same_name = world.joined(&mine, Some("RM_2"), Some("AJ_3"), at(4)).await;
    let others = world.joined(&other, Some("RM_1"), Some("AJ_1"), at(5)).await;
    assert_eq!(first.recording.id, same_job.recording.id);
    assert_eq!([first.capture.attempt, same_job.capture.attempt, same_room.capture.attempt], [1, 2, 1]);
    assert_eq!(same_room.recording.session_id.as_deref(), Some("AJ_2"));
    let ids = [&first, &same_room, &same_name, &others].map(|joined| joined.recording.id);
    assert_eq!(BTreeSet::from(ids).len(), 4);
    assert_eq!(world.store.recording(&other, first.recording.id).await.unwrap(), None);
    let room = world.store.same_room(first.recording.id, 10).await.unwrap();
    assert_eq!(room.iter().map(|other| other.id).collect::<Vec<_>>(), [same_room.recording.id]);
    assert_eq!(room[0].session_id.as_deref(), Some("AJ_2"));
}

#[tokio::test]
async fn a_whole_upload_takes_the_place_of_a_cut_one() {
    let mut world = World::new().await;
    let project = ProjectId::default();
    let cut = world.joined(&project, Some("RM_1"), Some("AJ_1"), at(1)).await;
    world.published(&cut, at(2)).await;
    let whole = world.joined(&project, Some("RM_1"), Some("AJ_1"), at(3)).await;
    let lease = world.lease(TaskKind::Ingest, at(4)).await;
    let mut wanted = publication(&whole, at(4));
    wanted.supersedes = vec![cut.capture.id];
    // What was decided without the other capture, or when it was not read yet, is decided anew.
    for beside in [vec![], vec![(cut.capture.id, CaptureStatus::Processing)]] {
        let stale = Publication { beside, ..wanted.clone() };
        assert!(matches!(world.store.publish(&stale, &lease).await, Err(Error::Conflict(_))));
    }
    wanted.beside = vec![(cut.capture.id, CaptureStatus::Complete)];
    let stale = Publication { based_on: 0, ..wanted.clone() };
    assert!(matches!(world.store.publish(&stale, &lease).await, Err(Error::Conflict(_))));
    let recording = world.store.publish(&wanted, &lease).await.unwrap();
    assert_eq!(recording.state.revision, 2);
    let (_, captures) = world.store.recording(&project, recording.id).await.unwrap().unwrap();
    assert_eq!(
        captures.iter().map(|c| c.status).collect::<Vec<_>>(),
        [CaptureStatus::Superseded, CaptureStatus::Complete]
    );
    let sweepable = world.store.sweepable(at(100), at(0), 10).await.unwrap();
    assert_eq!(sweepable.iter().map(|c| &c.key).collect::<Vec<_>>(), [&cut.body]);
    assert_eq!(
        world.store.swept(&[cut.body.clone(), whole.body.clone()]).await.unwrap(),
        [cut.body],
        "what is live stays"
    );
}

#[tokio::test]
async fn a_stale_worker_is_refused() {
    let mut world = World::new().await;
    let joined = world.joined(&ProjectId::default(), None, Some("AJ_1"), at(1)).await;
    let old = world.lease(TaskKind::Ingest, at(1)).await;
    assert!(world.store.claim(&[TaskKind::Ingest], at(2), at(60)).await.unwrap().is_none(), "it is taken");
    let new = world.lease(TaskKind::Ingest, at(100)).await;
    assert_eq!((old.task, old.generation + 1), (new.task, new.generation));
    assert!(matches!(world.store.publish(&publication(&joined, at(3)), &old).await, Err(Error::LeaseLost(_))));
    assert!(matches!(world.store.heartbeat(&old, at(200)).await, Err(Error::LeaseLost(_))));
    world.store.fail(&new, &Failure { reason: "x".to_owned(), retry_at: Some(at(300)) }).await.unwrap();
    assert!(world.store.claim(&[TaskKind::Ingest], at(299), at(400)).await.unwrap().is_none());
    let third = world.lease(TaskKind::Ingest, at(300)).await;
    world.store.fail(&third, &Failure { reason: "y".to_owned(), retry_at: None }).await.unwrap();
    let counts = world.store.task_counts().await.unwrap();
    assert_eq!(counts.iter().map(|c| (c.open, c.dead)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1)), (0, 1));
}

#[tokio::test]
async fn pages_do_not_overlap_even_when_times_are_equal() {
    let mut world = World::new().await;
    let project = ProjectId::default();
    for n in 0..7 {
        world.joined(&project, Some(&format!("RM_{n}")), None, at(1)).await;
    }
    let (mut seen, mut cursor) = (BTreeSet::new(), None);
    loop {
        let page = world.store.list(&project, &Filter::default(), cursor, 3).await.unwrap();
        for (recording, _) in page.items {
            assert!(seen.insert(recording.id));
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    let none = Filter { status: Some(Status::Failed), ..Filter::default() };
    assert!(world.store.list(&project, &none, None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn telemetry_before_and_after_fills_what_is_not_known() {
    let mut world = World::new().await;
    let project = ProjectId::default();
    let send = async |world: &mut World, agent: &str| {
        let id = UploadId::new(world.uuid());
        let object = key(&format!("telemetry/{id}"));
        world.store.announce(&project, None, Purpose::Telemetry, std::slice::from_ref(&object), at(1)).await.unwrap();
        let request = TelemetryRequest {
            id,
            project: project.clone(),
            signal: "logs".to_owned(),
            job_id: Some("AJ_1".to_owned()),
            room_sid: None,
            key: object,
            bytes: 1,
            received_at: at(1),
            facts: SessionFacts { agent_name: Some(agent.to_owned()), ..SessionFacts::default() },
        };
        world.store.add_telemetry(&request).await.unwrap();
    };
    send(&mut world, "first").await;
    assert_eq!(world.store.session_facts(&project, "AJ_1").await.unwrap().agent_name.as_deref(), Some("first"));
    let joined = world.joined(&project, None, Some("AJ_1"), at(2)).await;
    send(&mut world, "second").await;
    let (recording, _) = world.store.recording(&project, joined.recording.id).await.unwrap().unwrap();
    assert_eq!(recording.agent_name.as_deref(), Some("second"));
    let published = world.published(&joined, at(3)).await;
    assert_eq!(published.agent_name.as_deref(), Some("second"), "what is known stays");
    world.store.request_deletion(&project, published.id, at(9)).await.unwrap();
    assert_eq!(world.store.belongings(Erasure::Recording(published.id)).await.unwrap().objects.len(), 3);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_crash() {
    let mut world = World::new().await;
    let joined = world.joined(&ProjectId::default(), Some("RM_1"), None, at(1)).await;
    let path = world.dir.path().join("db");
    // Not closed: the write-ahead log is all that there is.
    let reopened = sqlite::open(&path).await.unwrap();
    use echosphere_store::Recordings;
    assert!(reopened.recording(&ProjectId::default(), joined.recording.id).await.unwrap().is_some());
}
