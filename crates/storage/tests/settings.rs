//! What the settings of a bucket do at a real server: a certificate authority, encryption, and the bucket's name in the host's.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Addressing, Bucket, Encryption, S3Store};
use echosphere_storage::{Error, ObjectStore, Result};
use echosphere_testkit::s3::{ACCESS_KEY, Nobody, S3Server, SECRET_KEY};
use echosphere_testkit::session::now;
use http::{HeaderMap, Method, StatusCode};

/// Longer than a part.
const LARGE: usize = 9_000_001;

fn key(text: &str) -> ObjectKey {
    ObjectKey::parse(text).unwrap()
}

fn owner() -> Arc<Provider> {
    Arc::new(Provider::fixed(Credentials::fixed(ACCESS_KEY, SECRET_KEY), now))
}

fn store(bucket: Bucket) -> S3Store {
    S3Store::open(bucket, owner(), Arc::new(Nobody)).unwrap()
}

/// What is read at the presigned URL of an object.
async fn presigned(bucket: &Bucket, key: &ObjectKey) -> (String, StatusCode, String) {
    let signing = Presigner::of_server(bucket, None, owner()).at("", now(), Duration::from_secs(60)).await.unwrap();
    let mut url = String::new();
    signing.get(key, &mut url);
    let answer = store(bucket.clone()).ask_anybody(Method::GET, &url, &[]).await.unwrap();
    (url, answer.status, answer.text)
}

#[tokio::test]
async fn a_certificate_is_trusted_when_its_authority_is_named() {
    let server = S3Server::minio_with_tls();
    let bucket = server.bucket("calls", Some("here"));
    let (there, k) = (store(bucket.clone()), key("recordings/x/1/a.ogg"));
    there.make_bucket().await.unwrap();
    there.put(&k, Bytes::from_static(b"OggS")).await.unwrap();
    assert_eq!(there.get(&k).await.unwrap(), "OggS");
    let (url, status, text) = presigned(&bucket, &k).await;
    assert!(url.starts_with(&format!("{}/calls/here/recordings/", server.endpoint())), "{url}");
    assert_eq!((status, text.as_str()), (StatusCode::OK, "OggS"));
    // Nobody vouches for it, or somebody else does.
    let other = S3Server::minio_with_tls().authority().unwrap().as_bytes().to_vec();
    for ca in [None, Some(other)] {
        let stranger = store(Bucket { ca, ..bucket.clone() });
        let failed: Vec<Result<()>> = vec![
            stranger.put(&k, Bytes::new()).await,
            stranger.put(&k, Bytes::from(vec![0; LARGE])).await,
            stranger.get(&k).await.map(|_| ()),
            stranger.list(&key("recordings")).await.map(|_| ()),
            stranger.ask(Method::GET, "?versioning", "").await.map(|_| ()),
        ];
        for failed in failed {
            let error = failed.unwrap_err();
            assert!(matches!(error, Error::Untrusted { .. }), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("storage.ca_file") && !text.contains("retries"), "at once: {text}");
        }
    }
    let nonsense = Bucket { ca: Some(b"no certificate".to_vec()), ..bucket };
    let opened = S3Store::open(nonsense, owner(), Arc::new(Nobody));
    assert!(matches!(opened, Err(Error::Settings { .. })), "{opened:?}");
}

async fn head(store: &S3Store, key: &ObjectKey) -> HeaderMap {
    let answer = store.ask(Method::HEAD, &format!("/{}", store.bucket().path(key)), "").await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    answer.headers
}

#[tokio::test]
async fn objects_are_encrypted_as_the_setting_says() {
    let server = S3Server::minio_with(&[("MINIO_KMS_SECRET_KEY", KMS_KEY)]);
    let bucket = server.bucket("calls", None);
    store(bucket.clone()).make_bucket().await.unwrap();
    let said = |headers: &HeaderMap, name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    for (encryption, algorithm, kms_key) in [
        (Encryption::Bucket, None, None),
        (Encryption::S3, Some("AES256"), None),
        (Encryption::Kms("calls-key".to_owned()), Some("aws:kms"), Some("calls-key")),
    ] {
        let store = store(Bucket { encryption: encryption.clone(), ..bucket.clone() });
        for (k, length) in [(key("small.ogg"), 4), (key("large.ogg"), LARGE)] {
            store.put(&k, Bytes::from(vec![7; length])).await.unwrap();
            assert_eq!(store.get(&k).await.unwrap().len(), length);
            let headers = head(&store, &k).await;
            let kept = said(&headers, "x-amz-server-side-encryption");
            assert_eq!(kept.as_deref(), algorithm, "{encryption:?} {k}");
            let with = said(&headers, "x-amz-server-side-encryption-aws-kms-key-id");
            assert_eq!(with.is_some(), kms_key.is_some(), "{encryption:?} {k}: {with:?}");
            assert!(with.unwrap_or_default().ends_with(kms_key.unwrap_or_default()));
        }
        let (_, status, text) = presigned(store.bucket(), &key("small.ogg")).await;
        assert_eq!((status, text.len()), (StatusCode::OK, 4), "{encryption:?}");
    }
    let unknown = store(Bucket { encryption: Encryption::Kms("another-key".to_owned()), ..bucket });
    assert!(unknown.put(&key("small.ogg"), Bytes::new()).await.is_err());
}

/// A key of the key management that MinIO has inside: its name, and 32 bytes.
const KMS_KEY: &str = "calls-key:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

#[tokio::test]
async fn the_buckets_name_may_be_a_part_of_the_hosts() {
    // The bucket 127 at the domain 0.0.1 is at the host 127.0.0.1, which needs no DNS.
    let server = S3Server::minio_with(&[("MINIO_DOMAIN", "0.0.1")]);
    let port = server.address().port();
    let endpoint = Some(format!("http://0.0.1:{port}"));
    let bucket = Bucket { endpoint, addressing: Addressing::VirtualHost, ..server.bucket("127", Some("here")) };
    let (there, k) = (store(bucket.clone()), key("recordings/x/1/a.ogg"));
    assert_eq!(bucket.address(), format!("http://127.0.0.1:{port}"));
    there.make_bucket().await.unwrap();
    there.make_bucket().await.unwrap();
    there.put(&k, Bytes::from_static(b"OggS")).await.unwrap();
    there.put(&key("recordings/x/1/b.ogg"), Bytes::from(vec![7; LARGE])).await.unwrap();
    assert_eq!(there.get_range(&k, 1..3).await.unwrap(), "gg");
    assert_eq!(there.list(&key("recordings/x")).await.unwrap().len(), 2);
    let (url, status, text) = presigned(&bucket, &k).await;
    assert!(url.starts_with(&format!("http://127.0.0.1:{port}/here/recordings/")), "{url}");
    assert_eq!((status, text.as_str()), (StatusCode::OK, "OggS"));
    let elsewhere = url.replace("a.ogg", "b.ogg");
    assert_eq!(there.ask_anybody(Method::GET, &elsewhere, &[]).await.unwrap().status, StatusCode::FORBIDDEN);
    there.delete_many(&[k.clone(), key("recordings/x/1/b.ogg")]).await.unwrap();
    assert_eq!(there.head(&k).await.unwrap(), None);
}
