//! What a server does with what has come: it reads uploads, settles rooms and renders revisions.

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::Content;
use echosphere_domain::location::Location;
use echosphere_domain::master::{self, Master, Part};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Recording, Source, Track};
use echosphere_domain::rendition::{Container, Rendition, RenditionId};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::session::Session;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;
use echosphere_store::{
    Changed, Claim, Erasure, Filter, Joined, NewLive, Publication, Purpose, RenderedRevision, SessionFacts, TaskKind,
};

use crate::world::{MINUTE, World, at, ids, node, owned, spanning};

pub fn other() -> ProjectId {
    ProjectId::parse("other").unwrap()
}

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

/// A session whose header tells no times.
pub fn untimed(received_at: WallTime) -> Session {
    Session { started_at: None, ended_at: None, received_at }
}

pub fn segment(capture: CaptureId, index: u32) -> Segment {
    Segment {
        capture,
        capture_index: index,
        index,
        discontinuity: 0,
        media_start: MediaTime::from_millis(i64::from(index) * 4_000),
        duration: MediaTime::from_millis(4_000),
        wall_start: at(i64::from(index) * 4),
        codecs: "mp4a.40.2".to_owned(),
        state: SegmentState::Renderable,
    }
}

/// What the segments of these stories are of.
pub fn aac() -> Rendition {
    Rendition {
        id: RenditionId::parse("audio").unwrap(),
        codecs: "mp4a.40.2".to_owned(),
        bandwidth: 80_000,
        container: Container::MpegTs,
        init: None,
    }
}

pub fn track() -> Track {
    Track {
        id: "TR_1".to_owned(),
        participant: "bob".to_owned(),
        kind: "audio".to_owned(),
        source: "microphone".to_owned(),
        started_at: at(1),
        duration: MediaTime::ZERO,
    }
}

/// Whether somebody who watches a recording is told now, without a wait.
pub async fn is_told(changed: &mut Changed) -> bool {
    tokio::select! {
        biased;
        () = changed.next() => true,
        () = std::future::ready(()) => false,
    }
}

fn audio(key: &ObjectKey, source: Source) -> Audio {
    let key = key.clone();
    let master = if source == Source::Recorder {
        Master::Log { at: Location::whole(key), is_joined: false, chunks: 1, length: 2, is_gone: false }
    } else {
        Master::Ogg(Location::part(key, 1, 2))
    };
    Audio { master, samples: 384_000, segment_ms: 4_000, fills: Vec::new() }
}

impl World {
    /// The object that the whole master of a capture is in, or begins in.
    pub async fn whole(&self, capture: CaptureId) -> Option<ObjectKey> {
        let masters = self.store.masters(capture).await.unwrap();
        master::of(&masters, Part::Whole).and_then(Master::own).cloned()
    }

    /// Claims a task that is due; `None` when no task of that kind is.
    pub async fn maybe_task(&mut self, kind: TaskKind) -> Option<Claim> {
        let now = self.later();
        self.store.claim(&[kind], node(), now, now.plus_nanos(MINUTE)).await.unwrap()
    }

    pub async fn task(&mut self, kind: TaskKind) -> Claim {
        self.maybe_task(kind).await.expect("a task of that kind is due")
    }

    /// An upload of a session in the room `RM_1`; `None` when nothing is kept of it.
    pub async fn try_upload(&mut self, job: Option<&str>, from: i64, to: i64) -> Option<Joined> {
        self.joined(&ids(job, Some("RM_1")), spanning(from, to)).await
    }

    pub async fn upload(&mut self, job: Option<&str>, from: i64, to: i64) -> Joined {
        self.try_upload(job, from, to).await.expect("it is kept")
    }

    /// What reading a capture yields: two segments of sound, from one second to another.
    pub async fn publication(&mut self, capture: &Capture, body: &ObjectKey, span: (i64, i64)) -> Publication {
        let (recording, captures) = self.row(capture.recording).await;
        let beside = captures.iter().filter(|other| other.id != capture.id).map(|other| (other.id, other.status));
        let (started_at, ended_at) = (Some(at(span.0)), Some(at(span.1)));
        Publication {
            recording: recording.id,
            based_on: recording.state.revision,
            beside: beside.collect(),
            capture: Capture {
                status: CaptureStatus::Complete,
                started_at,
                ended_at,
                audio: Some(audio(body, capture.source)),
                ..capture.clone()
            },
            audio_index: Some(vec![1, 2, 3]),
            log: None,
            transcript: Some(Transcript::default()),
            supersedes: Vec::new(),
            filled: Vec::new(),
            content: Some(Content::Playable { partial: false }),
            rendition: aac(),
            segments: vec![segment(capture.id, 0), segment(capture.id, 1)],
            gaps: Vec::new(),
            duration: MediaTime::from_millis(8_000),
            started_at,
            ended_at,
            facts: SessionFacts { agent_name: Some("nova".to_owned()), ..SessionFacts::default() },
            participants: Vec::new(),
            now: self.later(),
        }
    }

    /// Publishes under the lease of a task of that kind.
    pub async fn publish(&mut self, kind: TaskKind, publication: &Publication) -> Recording {
        let claim = self.task(kind).await;
        self.store.publish(publication, &claim.lease).await.unwrap()
    }

    /// An upload is read.
    pub async fn read(&mut self, joined: &Joined, span: (i64, i64)) -> Recording {
        let publication = self.publication(&joined.capture, &joined.body, span).await;
        self.publish(TaskKind::Ingest, &publication).await
    }

    /// An upload is read while its room is still being recorded.
    pub async fn read_live(&mut self, joined: &Joined, span: (i64, i64)) -> Recording {
        let publication = self.publication(&joined.capture, &joined.body, span).await;
        self.publish(TaskKind::Ingest, &Publication { content: None, ..publication }).await
    }

    pub async fn uploaded(&mut self, job: Option<&str>, from: i64, to: i64) -> Joined {
        let joined = self.upload(job, from, to).await;
        self.read(&joined, (from, to)).await;
        joined
    }

    /// The room `RM_1`, in which a recorder hears something from a second on.
    pub async fn room(&mut self, from: i64) -> (Recording, Capture) {
        let asked = self.asked("RM_1");
        let new = NewLive { room_name: format!("lobby {from}"), session_id: None, once: None, now: at(from), ..asked };
        let begun = self.begun(&new, "RM_1").await;
        self.store.heard(owned(begun.0.id), at(from)).await.unwrap();
        begun
    }

    /// The end of a recorded room, which is rendered then.
    pub async fn settled(&mut self, (recording, capture): &(Recording, Capture), from: i64, to: i64) {
        self.store.room_ended(owned(recording.id), at(to)).await.unwrap();
        let log = recording.prefix.log_chunk(1, 0);
        let publication = self.publication(capture, &log, (from, to)).await;
        self.publish(TaskKind::Finalize, &publication).await;
        self.rendered(recording.id).await;
    }

    /// Ends the rendering of a recording's current revision.
    pub async fn rendered(&mut self, recording: RecordingId) -> RenderedRevision {
        let claim = self.task(TaskKind::Render).await;
        let row = self.row(recording).await.0;
        let (revision, now) = (row.state.revision, self.later());
        let analysis = row.prefix.analysis(1, revision);
        let keys = std::slice::from_ref(&analysis);
        self.store.announce(&self.project, Some(recording), Purpose::Analysis, keys, now).await.unwrap();
        let rendered = RenderedRevision { recording, revision, analysis, transcripts: Vec::new(), now };
        self.store.finish_render(&rendered, &claim.lease).await.unwrap();
        rendered
    }

    pub async fn objects_of(&self, recording: RecordingId) -> Vec<ObjectKey> {
        self.store.belongings(Erasure::Recording(recording)).await.unwrap().objects
    }

    /// The condemned objects, in the order of their keys.
    pub async fn condemned(&self) -> Vec<ObjectKey> {
        self.sweepable(at(0)).await
    }

    /// The objects that are condemned or were announced and never stored, in the order of their keys.
    pub async fn unneeded(&self) -> Vec<ObjectKey> {
        self.sweepable(at(9_999_999)).await
    }

    async fn sweepable(&self, announced: WallTime) -> Vec<ObjectKey> {
        let found = self.store.sweepable(at(9_999_999), announced, 100).await.unwrap();
        let mut keys: Vec<_> = found.into_iter().map(|object| object.key).collect();
        keys.sort();
        keys
    }

    /// The recordings that are listed with a session's id.
    pub async fn of_session(&self, session: &str) -> Vec<RecordingId> {
        let filter = Filter { session_id: Some(session.to_owned()), ..Filter::default() };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.list(&self.project, &filter, after, 1).await.unwrap();
            found.extend(page.items.iter().map(|(recording, _)| recording.id));
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }

    /// How many tasks of a kind are open.
    pub async fn open_tasks(&self, kind: TaskKind) -> u64 {
        let counts = self.store.task_counts().await.unwrap();
        counts.iter().find(|counts| counts.kind == kind).unwrap().open
    }
}
