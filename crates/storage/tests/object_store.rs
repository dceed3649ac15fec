//! What every object store does, over a directory, MinIO and SeaweedFS.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::local::LocalStore;
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Bucket, S3Store};
use echosphere_storage::{Error, ObjectStore, Result, content_type, pieces};
use echosphere_testkit::proxy::{Fault, FaultProxy};
use echosphere_testkit::s3::{ACCESS_KEY, Kind, Nobody, S3Server, SECRET_KEY};
use echosphere_testkit::session::now;
use futures_util::{StreamExt, TryStreamExt, stream};

/// A part of a large object, and a bit.
const LARGE: usize = 21_000_001;

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn store(bucket: Bucket, secret: &str) -> S3Store {
    let credentials = Provider::fixed(Credentials::fixed(ACCESS_KEY, secret), now);
    S3Store::open(bucket, Arc::new(credentials), Arc::new(Nobody)).unwrap()
}

/// Bytes that tell where they are.
fn sample(length: usize) -> Bytes {
    (0..length).map(|at| (at / 251 + at) as u8).collect()
}

async fn what_is_put_can_be_read_replaced_and_deleted(store: &dyn ObjectStore) {
    let k = key("recordings/a=b/c_d-e.f/1/x.ts");
    assert_eq!(store.head(&k).await.unwrap(), None);
    assert!(matches!(store.get(&k).await, Err(Error::NotFound(missing)) if missing == k));
    assert!(matches!(store.get_range(&k, 0..1).await, Err(Error::NotFound(_))));
    store.put(&k, Bytes::from_static(b"one")).await.unwrap();
    let first = store.head(&k).await.unwrap().unwrap();
    assert_eq!(first.size, 3);
    let age = SystemTime::now().duration_since(first.modified).unwrap_or_default();
    assert!(age < Duration::from_secs(60), "{age:?}");
    store.put(&k, Bytes::from_static(b"twice")).await.unwrap();
    assert_ne!(first.etag, store.head(&k).await.unwrap().unwrap().etag);
    assert_eq!(store.get(&k).await.unwrap(), "twice");
    assert_eq!(store.get_range(&k, 1..100).await.unwrap(), "wice");
    assert_eq!(store.get_range(&k, 1..3).await.unwrap(), "wi");
    assert_eq!(store.get_range(&k, 5..10).await.unwrap(), "");
    assert_eq!(store.get_range(&k, 9..u64::MAX).await.unwrap(), "");
    assert_eq!(store.get_range(&k, 2..2).await.unwrap(), "");
    store.delete(&k).await.unwrap();
    store.delete(&k).await.unwrap();
    assert_eq!(store.head(&k).await.unwrap(), None);
    store.put(&k, Bytes::new()).await.unwrap();
    assert_eq!(store.get(&k).await.unwrap(), "");
    assert_eq!(store.get_range(&k, 0..10).await.unwrap(), "");
    store.delete_many(&[k]).await.unwrap();
}

async fn folders_are_listed_whole_and_nothing_else(store: &dyn ObjectStore) {
    let keys = ["list/b/1/x.ts", "list/b/1/log/y.esc", "list/bc/1/x.ts", "list/b.ts"].map(key);
    for key in &keys {
        store.put(key, Bytes::from_static(b"x")).await.unwrap();
    }
    let mut listed = store.list(&key("list/b")).await.unwrap();
    listed.sort();
    assert_eq!(listed, [key("list/b/1/log/y.esc"), key("list/b/1/x.ts")]);
    assert!(store.list(&key("nothing")).await.unwrap().is_empty());
    assert!(store.list(&key("list/b.ts")).await.unwrap().is_empty());
    store.delete_many(&[keys[0].clone(), keys[2].clone(), key("list/never")]).await.unwrap();
    let mut listed = store.list(&key("list")).await.unwrap();
    listed.sort();
    assert_eq!(listed, [key("list/b.ts"), key("list/b/1/log/y.esc")]);
    store.delete_many(&keys).await.unwrap();
    assert!(store.list(&key("list")).await.unwrap().is_empty());
}

/// S3 lists and deletes a thousand at a time.
async fn more_than_a_thousand_are_listed_and_deleted(store: &dyn ObjectStore) {
    let keys: Vec<ObjectKey> = (0..1_030).map(|number| key(&format!("many/{number:04}.esc"))).collect();
    let put = |key| async move { store.put(key, Bytes::from_static(b"x")).await };
    stream::iter(&keys).map(put).buffer_unordered(32).try_collect::<Vec<()>>().await.unwrap();
    let mut listed = store.list(&key("many")).await.unwrap();
    listed.sort();
    assert_eq!(listed, keys);
    store.delete_many(&keys).await.unwrap();
    assert!(store.list(&key("many")).await.unwrap().is_empty());
}

async fn large_ones_are_whole_or_not_there(store: &Arc<dyn ObjectStore>) {
    let (k, bytes) = (key("large/x.ogg"), sample(LARGE));
    let cut = |size: usize| {
        let bytes = bytes.clone();
        let pieces = (0..LARGE.div_ceil(size)).map(move |at| bytes.slice(at * size..LARGE.min((at + 1) * size)));
        stream::iter(pieces).map(Ok)
    };
    for size in [70_001, 9 << 20] {
        store.put_pieces(&k, cut(size).boxed()).await.unwrap();
        let read: Vec<Bytes> = pieces(Arc::clone(store), k.clone(), 0..u64::MAX).try_collect().await.unwrap();
        assert!(read.concat() == bytes, "{size}");
    }
    assert_eq!(store.head(&k).await.unwrap().unwrap().size, LARGE as u64);
    assert_eq!(store.get_range(&k, 8_388_600..8_388_620).await.unwrap(), bytes.slice(8_388_600..8_388_620));
    let broken = cut(1 << 20).take(15).chain(stream::iter([Err(Error::NotFound(k.clone()))]));
    assert!(matches!(store.put_pieces(&key("large/y.ogg"), broken.boxed()).await, Err(Error::NotFound(_))));
    assert_eq!(store.head(&key("large/y.ogg")).await.unwrap(), None);
    let file = tempfile::NamedTempFile::new().unwrap();
    for size in [0, 3, LARGE] {
        std::fs::write(file.path(), &bytes[..size]).unwrap();
        store.put_file(&k, file.path()).await.unwrap();
        assert!(store.get(&k).await.unwrap() == bytes[..size], "a file of {size} bytes");
    }
    store.put(&k, bytes.clone()).await.unwrap();
    assert!(store.get(&k).await.unwrap() == bytes);
    assert!(store.put_file(&k, &file.path().with_extension("gone")).await.is_err());
    store.delete(&k).await.unwrap();
}

async fn a_marker_says_which_store_it_is(store: &dyn ObjectStore) {
    assert_eq!(store.marker().await.unwrap(), None);
    store.mark("first").await.unwrap();
    assert_eq!(store.marker().await.unwrap().as_deref(), Some("first"));
    store.check().await.unwrap();
    assert_eq!(store.marker().await.unwrap().as_deref(), Some("first"));
}

async fn suite(store: Arc<dyn ObjectStore>) {
    what_is_put_can_be_read_replaced_and_deleted(store.as_ref()).await;
    folders_are_listed_whole_and_nothing_else(store.as_ref()).await;
    more_than_a_thousand_are_listed_and_deleted(store.as_ref()).await;
    large_ones_are_whole_or_not_there(&store).await;
    a_marker_says_which_store_it_is(store.as_ref()).await;
}

/// What only a server shows: types, other prefixes, other keys, other buckets.
async fn of_servers(server: &mut S3Server) {
    let store = store(server.bucket("calls", Some("deep/er")), SECRET_KEY);
    let k = key("recordings/x/1/a.ogg");
    let mut missing = vec![store.get(&k).await.map(|_| ()), store.list(&key("recordings")).await.map(|_| ())];
    if server.kind() == Kind::Minio {
        // SeaweedFS makes a bucket for whoever may.
        missing.push(store.put(&k, Bytes::new()).await);
    }
    for missing in missing {
        assert!(matches!(&missing, Err(Error::NoBucket { bucket }) if bucket == "calls"), "{missing:?}");
    }
    store.make_bucket().await.unwrap();
    store.make_bucket().await.unwrap();
    suite(Arc::new(store.clone())).await;
    suite(Arc::new(self::store(server.bucket("calls", None), SECRET_KEY))).await;
    store.put(&k, Bytes::from_static(b"OggS")).await.unwrap();
    let whole = self::store(server.bucket("calls", None), SECRET_KEY);
    assert_eq!(whole.get(&key("deep/er/recordings/x/1/a.ogg")).await.unwrap(), "OggS");
    let answer = whole.ask(http::Method::HEAD, "/deep/er/recordings/x/1/a.ogg", "").await.unwrap();
    assert_eq!(answer.headers["content-type"], content_type(k.as_str()));
    presigned_urls_open_what_they_name_for_as_long_as_they_say(server, &store, &k).await;
    parts_that_were_never_put_together_are_removed(server, &whole).await;
    nothing_is_deleted_by_a_wrong_clock(server, &k).await;
    refused(&self::store(server.bucket("calls", None), "another secret"), &k).await;
    server.stop();
    let away: Result<()> = store.put(&k, Bytes::new()).await;
    assert!(matches!(away, Err(Error::Away { .. })), "{away:?}");
    server.start_again();
    // SeaweedFS answers before all of its parts have found one another.
    let began = Instant::now();
    let read = loop {
        match store.get(&k).await {
            Err(Error::Away { .. }) if began.elapsed() < Duration::from_secs(60) => {}
            read => break read,
        }
    };
    assert_eq!(read.unwrap(), "OggS");
}

/// What servers themselves make of presigned URLs.
async fn presigned_urls_open_what_they_name_for_as_long_as_they_say(server: &S3Server, store: &S3Store, k: &ObjectKey) {
    let presigner = |keys: Credentials| {
        let keys = Arc::new(Provider::fixed(keys, now));
        Presigner::of_server(store.bucket(), None, keys)
    };
    let url = async |presigner: Presigner, age: i64, life: u64| {
        let at = WallTime::from_nanos(now().as_nanos() - age * 1_000_000_000);
        let mut url = String::new();
        presigner.at("", at, Duration::from_secs(life)).await.unwrap().get(k, &mut url);
        url
    };
    let good = url(presigner(Credentials::fixed(ACCESS_KEY, SECRET_KEY)), 0, 60).await;
    let asked = async |url: &str, range: Option<&str>| {
        let range = range.map(|range| (http::header::RANGE, range));
        store.ask_anybody(http::Method::GET, url, range.as_slice()).await.unwrap()
    };
    let whole = asked(&good, None).await;
    assert_eq!((whole.status.as_u16(), whole.text.as_str()), (200, "OggS"));
    let part = asked(&good, Some("bytes=1-2")).await;
    assert_eq!((part.status.as_u16(), part.text.as_str()), (206, "gg"));
    let old = url(presigner(Credentials::fixed(ACCESS_KEY, SECRET_KEY)), 100, 60).await;
    let of_another = url(presigner(Credentials::fixed(ACCESS_KEY, "another secret")), 0, 60).await;
    let tampered = good.replace("X-Amz-Expires=60", "X-Amz-Expires=600");
    let elsewhere = good.replace(k.as_str(), "recordings/x/1/b.ogg");
    for (what, url) in [("old", old), ("of another key", of_another), ("tampered", tampered), ("elsewhere", elsewhere)]
    {
        assert_eq!(asked(&url, None).await.status.as_u16(), 403, "{:?}: {what}", server.kind());
    }
}

/// Where the clocks are far apart nothing is deleted, and all else goes on.
async fn nothing_is_deleted_by_a_wrong_clock(server: &S3Server, k: &ObjectKey) {
    let late = || WallTime::from_nanos(now().as_nanos() - 301_000_000_000);
    let credentials = Provider::fixed(Credentials::fixed(ACCESS_KEY, SECRET_KEY), late);
    let bucket = server.bucket("calls", Some("deep/er"));
    let store = S3Store::open(bucket, Arc::new(credentials), Arc::new(Nobody)).unwrap();
    store.put(k, Bytes::from_static(b"OggS")).await.unwrap();
    for deleted in [store.delete(k).await, store.delete_many(std::slice::from_ref(k)).await, store.check().await] {
        assert!(matches!(deleted, Err(Error::Clocks { seconds: 299..=303 })), "{deleted:?}");
    }
    assert_eq!(store.get(k).await.unwrap(), "OggS");
}

/// Answers break off in the middle, more often than a request is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_is_read_on_from_there() {
    let server = S3Server::start(Kind::Minio);
    let whole = store(server.bucket("calls", None), SECRET_KEY);
    whole.make_bucket().await.unwrap();
    let (k, bytes) = (key("large/x.ogg"), sample(LARGE));
    whole.put(&k, bytes.clone()).await.unwrap();
    let proxy = FaultProxy::start(server.address());
    let store = store(Bucket { endpoint: Some(proxy.url()), ..server.bucket("calls", None) }, SECRET_KEY);
    proxy.set(Some(Fault::Half), 1);
    let (mut pieces, mut read, mut faults) = (store.get_pieces(&k, 1..u64::MAX).await.unwrap(), Vec::new(), 0);
    while let Some(piece) = pieces.try_next().await.unwrap() {
        read.extend_from_slice(&piece);
        faults = faults.max(proxy.faults());
        if faults > 8 {
            proxy.set(None, 1);
        }
    }
    assert!(faults > 8 && read == bytes[1..], "{faults} faults, {} bytes", read.len());
}

/// Wrong keys are an error at once.
/// A process has died while it wrote an object in parts.
async fn parts_that_were_never_put_together_are_removed(server: &S3Server, store: &S3Store) {
    let left = async |of: &str| {
        let answer = store.ask(http::Method::GET, &format!("?prefix={of}&uploads="), "").await.unwrap();
        answer.text.matches("<UploadId>").count()
    };
    for name in ["cut/off/big.bin", "cut/offers.bin"] {
        assert_eq!(store.ask(http::Method::POST, &format!("/{name}?uploads="), "").await.unwrap().status, 200);
    }
    assert_eq!((left("cut/off/big.bin").await, left("cut/offers.bin").await), (1, 1));
    // MinIO finds them by the whole key alone.
    let folder = if server.kind() == Kind::Minio { "cut/off/big.bin" } else { "cut/off" };
    assert_eq!(store.abort_unfinished(&key(folder)).await.unwrap(), 1);
    assert_eq!((left("cut/off/big.bin").await, left("cut/offers.bin").await), (0, 1), "and no other");
    assert_eq!(store.abort_unfinished(&key(folder)).await.unwrap(), 0);
}

async fn refused(stranger: &S3Store, k: &ObjectKey) {
    let began = Instant::now();
    for refused in [
        stranger.put(k, Bytes::new()).await,
        stranger.get(k).await.map(|_| ()),
        stranger.head(k).await.map(|_| ()),
        stranger.list(&key("recordings")).await.map(|_| ()),
        stranger.delete(k).await,
        stranger.put(k, sample(LARGE)).await,
    ] {
        assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(60), "it was tried again and again");
}

#[tokio::test]
async fn a_directory() {
    let dir = tempfile::tempdir().unwrap();
    suite(Arc::new(LocalStore::open(dir.path(), "bucket").unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio() {
    of_servers(&mut S3Server::start(Kind::Minio)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seaweedfs() {
    of_servers(&mut S3Server::start(Kind::Seaweedfs)).await;
}
