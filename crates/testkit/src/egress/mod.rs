//! A scripted egress worker: livekit-server finds it over Redis and gives it egresses; it joins their rooms, and instead of recording it plays what
//! LiveKit's own worker recorded (`testdata/egress`) into their buckets, over time, and reports as that one did. It can be told to fail.

mod bucket;
mod bus;
mod file;
mod life;
mod manifest;
mod output;
mod presence;
mod recorded;
mod reports;
mod script;
mod segments;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use echosphere_livekit::psrpc::egress::{self, StartEgressRequest};
use echosphere_livekit::psrpc::message::Refusal;
use echosphere_recorder::wire::Wire;
use echosphere_storage::s3::S3Store;
use livekit_protocol::EgressInfo;
use prost::Message as _;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::bucket::Bucket;
use self::bus::{Asked, Bus};
use self::life::Means;
use self::output::Output;
pub use self::recorded::{Recorded, Segment};
pub use self::script::{Fault, Script};
use crate::session;

/// What a worker is given.
pub struct Settings {
    /// Where Redis is: `ADDRESS:PORT`.
    pub redis: String,
    /// LiveKit's URL.
    pub livekit: String,
    /// What it plays in each room. When that is over it writes nothing more, and waits.
    pub recorded: Recorded,
    /// How much faster than it was recorded: 1.0 is as it was.
    pub speed: f64,
    /// Where it writes when a request names no bucket.
    pub own_bucket: Option<S3Store>,
    /// What goes wrong.
    pub script: Script,
}

/// A worker that waits for egresses, and has them. When it is dropped, it and all of them vanish without a word.
pub struct EgressWorker {
    runtime: Option<Runtime>,
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    recorded: Arc<Recorded>,
    own_bucket: Option<Bucket>,
    script: Mutex<Script>,
    egresses: Mutex<BTreeMap<String, Arc<Seen>>>,
}

/// An egress as it was last reported; `None` until it has been.
type Seen = watch::Sender<Option<EgressInfo>>;

/// Nanoseconds since 1970.
pub(crate) fn nanos() -> i64 {
    session::now().as_nanos()
}

impl EgressWorker {
    /// Starts one; returns when it can be found.
    pub fn start(mut settings: Settings) -> Self {
        Wire::new(None).unwrap().install();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared {
            recorded: Arc::new(settings.recorded.clone()),
            own_bucket: settings.own_bucket.take().map(Bucket::own),
            script: Mutex::new(settings.script.clone()),
            egresses: Mutex::default(),
            settings,
        });
        let (theirs, (is_ready, ready)) = (Arc::clone(&shared), std::sync::mpsc::channel());
        runtime.spawn(async move {
            let bus = Bus::connect(&theirs.settings.redis).await;
            let affinity = {
                let theirs = Arc::clone(&theirs);
                move || theirs.affinity()
            };
            let mut served = bus.serve(egress::START, "", false, affinity).await;
            is_ready.send(()).unwrap();
            let mut lives = JoinSet::new();
            while let Some(asked) = served.asked.recv().await {
                lives.spawn(Arc::clone(&theirs).begin(bus.clone(), asked));
            }
        });
        ready.recv().unwrap_or_else(|_| panic!("the egress worker does not reach Redis"));
        Self { runtime: Some(runtime), shared }
    }

    /// What goes wrong with the egresses that begin from now on.
    pub fn follow(&self, script: Script) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = script;
    }

    /// Its egresses, as it has reported them last, by their ids.
    pub fn egresses(&self) -> Vec<EgressInfo> {
        let egresses = self.shared.egresses.lock().unwrap_or_else(PoisonError::into_inner);
        egresses.values().filter_map(|seen| seen.borrow().clone()).collect()
    }

    /// Waits until one of its egresses is so; panics with what they are when none is.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&EgressInfo) -> bool) -> EgressInfo {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(90) {
            if let Some(found) = self.egresses().into_iter().find(&is_it) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no egress is {what}: {:?}", self.egresses());
    }
}

impl Drop for EgressWorker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test may itself be in a runtime, where waiting for another one is refused.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// As LiveKit's own worker offers: one that is idle leaves it to one that has something already.
    fn affinity(&self) -> Option<f32> {
        let refuses = self.script.lock().unwrap_or_else(PoisonError::into_inner).refuses();
        let is_idle = self.egresses.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        (!refuses).then_some(if is_idle { 0.5 } else { 1.0 })
    }

    async fn begin(self: Arc<Self>, bus: Bus, asked: Asked) {
        let request = StartEgressRequest::decode(&*asked.raw).unwrap();
        let (seen, is_new) = self.seen(&request.egress_id);
        if !is_new {
            // LiveKit asks again when the first answer takes too long: it is the same egress.
            let begun = seen.subscribe().wait_for(Option::is_some).await.map(|info| info.clone());
            if let Ok(Some(info)) = begun {
                asked.answer(Ok(info.encode_to_vec())).await;
            }
            return;
        }
        let output = Output::new(&request, &request.begun(nanos()), self.own_bucket.as_ref());
        let Some(output) = output else {
            let message = "this worker writes segments or a file, into an S3 bucket".to_owned();
            let code = "invalid_argument".to_owned();
            return asked.answer(Err(Refusal { code, message })).await;
        };
        let script = self.script.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let recorded = Arc::clone(&self.recorded);
        let (livekit, speed) = (self.settings.livekit.clone(), self.settings.speed);
        life::live(Means { bus, livekit, recorded, speed, script, seen }, request, asked, output).await;
    }

    /// What is seen of an egress, and whether it is a new one.
    fn seen(&self, egress_id: &str) -> (Arc<Seen>, bool) {
        let mut egresses = self.egresses.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !egresses.contains_key(egress_id);
        let seen = egresses.entry(egress_id.to_owned()).or_insert_with(|| Arc::new(watch::channel(None).0));
        (Arc::clone(seen), is_new)
    }
}
