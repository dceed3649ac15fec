//! The parts of a server for tests: over a temporary folder, objects in memory, and a clock that the test sets. Nothing listens, and no
//! task runs but when the test says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::body::Body as HttpBody;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::WallTime;
use echosphere_recorder::log::journal::Recovered;
use echosphere_recorder::log::{Body, Ended, Joined, Packet, Participant, Stream, Track};
use echosphere_store::{Begun, Filter, NewLive, OwnedRoom, sqlite};
use echosphere_testkit::objects::MemoryObjects;
use echosphere_testkit::session::Session;
use opus::{Application, Channels, Encoder};
use tempfile::TempDir;

use crate::clock::Clock;
use crate::config;
use crate::data_dir::DataDir;
use crate::http::state::SharedApp;
use crate::jobs;
use crate::project_rules::ProjectRules;
use crate::startup::{assemble_over, embedded};
use crate::uploads::receive::{self, Refusal};

/// When tests take place, unless they say otherwise: after everything that was recorded.
const NOW: i64 = 1_795_600_000_000_000_000;

/// A server in pieces.
pub struct House {
    folder: TempDir,
    environment: BTreeMap<String, String>,
    pub app: SharedApp,
    pub bytes: MemoryObjects,
    now: Arc<AtomicI64>,
}

impl House {
    /// A new one.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A new one with these settings.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::over(tempfile::tempdir().unwrap(), environment, MemoryObjects::default(), NOW).await.0
    }

    /// The next process on the same data, with what this one left in its journals.
    pub async fn restart(self) -> (Self, Recovered) {
        let Self { folder, environment, app, bytes, now } = self;
        app.stop.cancel();
        app.store.close().await;
        let app = Arc::into_inner(app).expect("nothing of it is at work any more");
        drop(app);
        Self::over(folder, environment, bytes, now.load(Ordering::Relaxed)).await
    }

    async fn over(
        folder: TempDir,
        mut environment: BTreeMap<String, String>,
        bytes: MemoryObjects,
        at: i64,
    ) -> (Self, Recovered) {
        environment.insert("ECHOSPHERE_DATA_DIR".to_owned(), folder.path().display().to_string());
        // Tests look for stored segments; what is rendered when it is asked for has tests of its own.
        environment.entry("ECHOSPHERE_RENDERING_WHEN".to_owned()).or_insert_with(|| "always".to_owned());
        let config = config::load(None, &environment).unwrap();
        let data = DataDir::open(&config.data_dir).unwrap();
        let store = Arc::new(sqlite::open(&data.database()).await.unwrap());
        let now = Arc::new(AtomicI64::new(at));
        let shown = Arc::clone(&now);
        let clock = Clock::new(move || WallTime::from_nanos(shown.load(Ordering::Relaxed)));
        let rules = ProjectRules::load(store.as_ref(), &config).await.unwrap();
        let stored = embedded(Arc::new(bytes.clone()), &config, &data).unwrap();
        let (app, recovered) = assemble_over(config, data, store, stored, rules, clock).unwrap();
        (Self { folder, environment, app, bytes, now }, recovered)
    }

    /// Another process over the same rows and objects, with a data directory of its own: another node.
    pub fn another_node(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = self.environment.clone();
        environment.insert("ECHOSPHERE_DATA_DIR".to_owned(), folder.path().display().to_string());
        let config = config::load(None, &environment).unwrap();
        let data = DataDir::open(&config.data_dir).unwrap();
        let (store, bytes) = (Arc::clone(&self.app.store), self.bytes.clone());
        let clock = self.app.recorder.clock.clone();
        let rules = self.app.uploads.exclusion.rules.clone();
        let stored = embedded(Arc::new(bytes.clone()), &config, &data).unwrap();
        let (app, _) = assemble_over(config, data, store, stored, rules, clock).unwrap();
        Self { folder, environment, app, bytes, now: Arc::clone(&self.now) }
    }

    /// A room that this process records, by its recording.
    pub fn room(&self, recording: RecordingId) -> OwnedRoom {
        OwnedRoom { recording, owner: self.app.recorder.node }
    }

    /// The project of everything here.
    pub fn project(&self) -> ProjectId {
        self.app.config.projects[0].id.clone()
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.now.fetch_add(i64::try_from(time.as_nanos()).unwrap(), Ordering::Relaxed);
    }

    /// Uploads a body as the agents SDK does.
    pub async fn upload(&self, content_type: &str, body: &[u8]) -> Result<UploadId, Refusal> {
        let body = HttpBody::from(body.to_vec());
        receive::receive(Arc::clone(&self.app.uploads), self.project(), content_type.to_owned(), body).await
    }

    /// Uploads a recorded session.
    pub async fn upload_session(&self, name: &str) -> UploadId {
        let session = Session::load(name);
        self.upload(&session.content_type, &session.body).await.unwrap()
    }

    /// Does all background work that is due, and returns how many tasks ran.
    pub async fn work(&self) -> usize {
        jobs::work_off(&self.app.jobs).await
    }

    /// How many tasks are open, and how many were given up.
    pub async fn tasks(&self) -> (u64, u64) {
        let counts = self.app.store.task_counts().await.unwrap();
        counts.iter().fold((0, 0), |(open, dead), counts| (open + counts.open, dead + counts.dead))
    }

    /// All recordings, newest first.
    pub async fn recordings(&self) -> Vec<(Recording, Vec<Capture>)> {
        let page = self.app.store.list(&self.project(), &Filter::default(), None, 200).await.unwrap();
        page.items
    }

    /// The only recording.
    pub async fn recording(&self) -> (Recording, Vec<Capture>) {
        let mut all = self.recordings().await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// The segments of a recording.
    pub async fn segments(&self, recording: RecordingId) -> Vec<Segment> {
        self.app.store.segment_index(recording).await.unwrap()
    }

    /// The keys of all objects but the notes that something was deleted.
    pub fn left(&self) -> Vec<ObjectKey> {
        self.bytes.keys().into_iter().filter(|key| !key.as_str().starts_with("deleted/")).collect()
    }

    /// The keys of stored objects with this ending.
    pub fn stored(&self, ending: &str) -> Vec<ObjectKey> {
        self.bytes.keys().into_iter().filter(|key| key.as_str().ends_with(ending)).collect()
    }

    /// The rows of a room that begins to be recorded now.
    pub async fn begin_room(&self, name: &str) -> (Recording, Capture) {
        let now = self.app.jobs.clock.now();
        let new = NewLive {
            recording: RecordingId::new(crate::entropy::uuid(now)),
            capture: CaptureId::new(crate::entropy::uuid(now)),
            project: self.project(),
            room_name: name.to_owned(),
            session_id: None,
            labels: BTreeMap::new(),
            options: RecordingOptions::default(),
            once: None,
            owner: self.app.recorder.node,
            lease_until: now.after(Duration::from_secs(60)),
            now,
        };
        match self.app.store.begin_live(&new).await.unwrap() {
            Begun::New(begun) => *begun,
            other => panic!("{other:?}"),
        }
    }
}

/// What a room says of itself before anybody speaks: that we joined, who is there, and a track of theirs.
pub fn room_begins(name: &str, identity: &str, kind: &str) -> Vec<Body> {
    let sid = format!("PA_{identity}");
    let track = Track {
        sid: format!("TR_{identity}"),
        kind: "AUDIO".to_owned(),
        source: "MICROPHONE".to_owned(),
        muted: false,
    };
    let participant = Participant {
        sid: sid.clone(),
        identity: identity.to_owned(),
        kind: kind.to_owned(),
        tracks: vec![track.clone()],
        ..Participant::default()
    };
    let stream = Stream {
        stream: 0,
        ssrc: 7,
        track_sid: track.sid,
        participant_sid: sid,
        kind: "audio".to_owned(),
        mime_type: "audio/opus".to_owned(),
        clock_rate: 48_000,
        ..Stream::default()
    };
    let joined = Joined { room_sid: format!("RM_{name}"), room_name: name.to_owned(), resumed: false };
    vec![Body::Joined(joined), Body::Participant(participant), Body::Stream(stream)]
}

/// A tone of this many seconds, as packets of 20 ms, each with the time from the first packet until it is received.
pub fn tone(seconds: u64) -> Vec<(Duration, Body)> {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).unwrap();
    let sample = |n: u64| ((n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin() * 8_000.0) as i16;
    let packet = |number: u64| {
        let pcm: Vec<i16> = (number * 960..(number + 1) * 960).map(sample).collect();
        let payload = encoder.encode_vec(&pcm, 1_000).unwrap();
        let body = Body::Packet(Packet { stream: 0, sequence: number, rtp: number * 960, payload: payload.into() });
        (Duration::from_millis(number * 20), body)
    };
    (0..seconds * 50).map(packet).collect()
}

/// The log of a room in which somebody speaks for this long: one chunk.
pub fn room_chunk(capture: CaptureId, name: &str, began: WallTime, seconds: u64, end: Option<&str>) -> Vec<u8> {
    use echosphere_recorder::log::{Entry, chunk};
    let begins = room_begins(name, "helper", "AGENT").into_iter().map(|body| (Duration::ZERO, body));
    let ended = end.map(|reason| (Duration::from_secs(seconds), Body::Ended(Ended { reason: reason.to_owned() })));
    let mut out = chunk::begin(capture.as_uuid(), 0, 0);
    for (number, (at, body)) in begins.chain(tone(seconds)).chain(ended).enumerate() {
        let entry = Entry { number: number as u64, at: began.after(at).as_nanos(), body: Some(body) };
        chunk::append(&mut out, &entry);
    }
    out
}
