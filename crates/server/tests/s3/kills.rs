//! A process that is killed again and again while it writes to a bucket: `ECHOSPHERE_TEST_S3_KILLS`. Of ten kills three come during uploads, three
//! while a room is recorded, one while that room's log is divided, three while uploads are. What is written is held by a proxy, before it arrives or
//! before its answer does; then the kill comes.

mod rooms;
mod uploads;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use echosphere_testkit::proxy::{FaultProxy, Hold};
use echosphere_testkit::s3::{Kind, S3Server, wait_for};
use echosphere_testkit::server::{Server, start_on};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::{PROGRAM, until};

const KILLS: usize = 10;
/// What others have in the bucket, between what is ours.
const FOREIGN: [&str; 3] =
    ["notes.txt", "recordings/somebody-else.bin", "recordings/AJ_000000000000/somebody-else.bin"];
/// How long the sweeper may take.
const PATIENCE: Duration = Duration::from_secs(60);
const MARKER: &str = "echosphere-store-id";

/// How many times ten kills there are.
fn tens() -> usize {
    std::env::var("ECHOSPHERE_TEST_S3_KILLS").map_or(KILLS, |text| text.parse().unwrap()).div_ceil(KILLS)
}

fn is_chunk(key: &str) -> bool {
    key.contains("/log/")
}

/// A request that is held before it arrives.
fn before(method: &'static str, target: &'static str) -> Hold {
    Hold { method, target, is_carried_out: false }
}

/// A request that is held when it was carried out, before its answer comes.
fn after(method: &'static str, target: &'static str) -> Hold {
    Hold { method, target, is_carried_out: true }
}

/// A server that reaches a bucket, in which others have something too, through a proxy.
struct Scene {
    server: Server,
    s3: S3Server,
    proxy: FaultProxy,
    dir: tempfile::TempDir,
}

impl Scene {
    fn start(others: &[(&str, &str)]) -> Self {
        let s3 = S3Server::start(Kind::Minio);
        s3.make_bucket("calls");
        let store = s3.store("calls");
        for key in FOREIGN {
            wait_for(store.put(&ObjectKey::parse(key).unwrap(), Bytes::from_static(b"not ours"))).unwrap();
        }
        let proxy = FaultProxy::start(s3.address());
        let dir = tempfile::tempdir().unwrap();
        let server = start_on(PROGRAM, dir.path(), &s3.settings_behind(&proxy.url(), "s3://calls"), others);
        Self { server, s3, proxy, dir }
    }

    /// Waits until such a request is held, and kills the process then.
    fn kill_at(&mut self, hold: Hold) {
        until(&format!("{hold:?}"), || self.proxy.is_holding().then_some(()));
        self.kill();
    }

    /// Kills the process, sees that each object of ours has a row, and starts it again.
    fn kill(&mut self) {
        self.server.kill9();
        let (ours, rows) = (self.ours(), self.rows());
        let without: Vec<_> = ours.iter().filter(|key| !rows.contains_key(*key)).collect();
        assert!(without.is_empty(), "objects without a row: {without:?}");
        self.proxy.hold(None);
        self.server.restart();
    }

    /// The keys of all objects in the bucket but those of others and the marker.
    fn ours(&self) -> Vec<String> {
        let mut keys = self.s3.keys("calls");
        keys.retain(|key| key != MARKER && !FOREIGN.contains(&key.as_str()));
        keys
    }

    /// The state of each object that has a row, by its key.
    fn rows(&self) -> BTreeMap<String, String> {
        let file = SqliteConnectOptions::new().filename(self.server.data().join("echosphere.db")).read_only(true);
        wait_for(async {
            let mut database = SqliteConnection::connect_with(&file).await?;
            let rows: Vec<(String, String)> =
                sqlx::query_as("SELECT key, state FROM objects").fetch_all(&mut database).await?;
            database.close().await?;
            Ok::<_, sqlx::Error>(rows.into_iter().collect())
        })
        .unwrap()
    }

    /// What of ours is in the bucket and not needed, or needed and not there; what was kept whole is in its parts.
    fn left_over(&self) -> Vec<String> {
        let (ours, mut rows) = (self.ours(), self.rows());
        let mut wrong = Vec::new();
        for key in ours {
            let state = rows.remove(&key);
            if state.as_deref() != Some("live") || key.ends_with("/upload.multipart") || is_chunk(&key) {
                wrong.push(format!("{key} is there: {state:?}"));
            }
        }
        // A room announces its chunks ahead; those that it never had keep their rows.
        rows.retain(|key, _| !is_chunk(key));
        wrong.extend(rows.into_iter().map(|(key, state)| format!("{key} is not there: {state}")));
        wrong
    }

    /// Lets the sweeper go through the bucket; then just that is there which a row says is needed, and what is not ours.
    fn end(self) {
        let Self { server, s3, proxy, dir } = self;
        drop(server);
        let sweeping = [("ECHOSPHERE_STORAGE_SWEEP_AFTER", "0s"), ("ECHOSPHERE_STORAGE_SWEEP_EVERY", "100ms")];
        let server = start_on(PROGRAM, dir.path(), &s3.settings_behind(&proxy.url(), "s3://calls"), &sweeping);
        server.settled_all();
        let scene = Self { server, s3, proxy, dir };
        let began = Instant::now();
        while !scene.left_over().is_empty() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(scene.left_over(), [""; 0], "what nobody needs is gone, and all else is there");
        for key in FOREIGN {
            let read = wait_for(scene.s3.store("calls").get(&ObjectKey::parse(key).unwrap()));
            assert_eq!(read.unwrap(), "not ours", "{key}");
        }
    }
}
