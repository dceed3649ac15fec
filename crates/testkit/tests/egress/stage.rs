//! A livekit-server over Redis, a worker, a bucket, and two people who talk in a room.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_testkit::egress::{EgressWorker, Recorded, Script, Settings};
use echosphere_testkit::http::Answer;
use echosphere_testkit::livekit::LiveKit;
use echosphere_testkit::publishers::{Plan, Publishers, token};
use echosphere_testkit::redis_server::RedisServer;
use echosphere_testkit::s3::{self, ACCESS_KEY, S3Server, SECRET_KEY, SHARED_BUCKET};
use echosphere_testkit::webhooks::Receiver;
use serde_json::{Value, json};

/// The room's name.
pub const ROOM: &str = "support-call";

/// Everything that is there.
pub struct Stage {
    /// What a test's egress writes is in a folder of this name.
    pub folder: &'static str,
    pub livekit: LiveKit,
    pub webhooks: Receiver,
    pub bucket: &'static S3Server,
    pub worker: EgressWorker,
    _redis: RedisServer,
}

impl Stage {
    /// Everything, and a worker with this script that plays `stopped`.
    pub fn new(folder: &'static str, script: Script) -> Self {
        Self::playing(folder, "stopped", script)
    }

    /// The same, with a worker that plays this folder of `testdata/egress`.
    pub fn playing(folder: &'static str, played: &str, script: Script) -> Self {
        let (redis, webhooks) = (RedisServer::start(), Receiver::start());
        let livekit = LiveKit::start_with_redis(&redis.address(), &[&webhooks.url()]);
        let settings = Settings {
            redis: redis.address(),
            livekit: livekit.url(),
            recorded: Recorded::load(played),
            speed: 20.0,
            own_bucket: None,
            script,
        };
        Self { folder, worker: EgressWorker::start(settings), livekit, webhooks, bucket: s3::shared(), _redis: redis }
    }

    /// Two people talk in the room.
    pub fn talk(&self) -> Publishers {
        let (url, frames) = (self.livekit.url(), Arc::new(tones()));
        Publishers::start(&Plan { url, token, rooms: vec![ROOM.to_owned()], per_room: 2, frames })
    }

    /// Asks for an egress of the room, with these keys of the bucket.
    pub fn ask_with(&self, secret: &str) -> Answer {
        let folder = self.folder;
        let request = json!({
            "room_name": ROOM,
            "audio_only": true,
            "audio_mixing": "DUAL_CHANNEL_AGENT",
            "segment_outputs": [{
                "filename_prefix": format!("recordings/{folder}/segment"),
                "playlist_name": "playlist.m3u8",
                "live_playlist_name": "live.m3u8",
                "segment_duration": 4,
                "s3": {
                    "access_key": ACCESS_KEY,
                    "secret": secret,
                    "region": "ap-northeast-1",
                    "endpoint": self.bucket.endpoint(),
                    "bucket": SHARED_BUCKET,
                    "force_path_style": true,
                },
            }],
        });
        self.livekit.call("Egress/StartRoomCompositeEgress", ROOM, &request)
    }

    /// Begins an egress of the room; returns its id.
    pub fn begin(&self) -> String {
        let answer = self.ask_with(SECRET_KEY);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["egress_id"].as_str().unwrap().to_owned()
    }

    /// Asks for the end of an egress.
    pub fn stop(&self, egress: &str) -> Answer {
        self.livekit.call("Egress/StopEgress", ROOM, &json!({ "egress_id": egress }))
    }

    /// An egress as LiveKit lists it.
    pub fn listed(&self, egress: &str) -> Value {
        let answer = self.livekit.call("Egress/ListEgress", ROOM, &json!({ "egress_id": egress }));
        answer.json()["items"][0].clone()
    }

    /// Everybody in the room: identity and kind.
    pub fn people(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.participants().iter().map(|person| (text(&person["identity"]), text(&person["kind"]))).collect()
    }

    /// Everybody in the room, as LiveKit lists them.
    pub fn participants(&self) -> Vec<Value> {
        let answer = self.livekit.call("RoomService/ListParticipants", ROOM, &json!({ "room": ROOM })).json();
        answer["participants"].as_array().cloned().unwrap_or_default()
    }

    /// Waits for a webhook about an egress.
    pub fn told(&self, event: &str, status: &str) -> Value {
        let is_it = |body: &Value| {
            body["event"] == event && body["egressInfo"]["status"].as_str().unwrap_or("EGRESS_STARTING") == status
        };
        self.webhooks.wait_for(&format!("{event} {status}"), is_it).body["egressInfo"].clone()
    }

    /// The names of the objects in the test's folder.
    pub fn objects(&self) -> Vec<String> {
        let folder = format!("recordings/{}/", self.folder);
        let keys = self.bucket.keys(SHARED_BUCKET);
        keys.iter().filter_map(|key| key.strip_prefix(&folder)).map(str::to_owned).collect()
    }

    /// An object in the test's folder.
    pub fn object(&self, name: &str) -> Vec<u8> {
        use echosphere_storage::ObjectStore as _;
        let key = format!("recordings/{}/{name}", self.folder).parse().unwrap();
        s3::wait_for(self.bucket.store(SHARED_BUCKET).get(&key)).unwrap().to_vec()
    }

    /// The same, as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.object(name)).unwrap()
    }
}

/// Waits until something is so.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(90), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tones() -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
    let tone = |n: usize| ((n as f64 * 0.05).sin() * 8_000.0) as i16;
    let frames = (0..250).map(|frame| (0..960).map(|n| tone(frame * 960 + n)).collect::<Vec<i16>>());
    frames.map(|frame| encoder.encode_vec(&frame, 1_500).unwrap()).collect()
}
