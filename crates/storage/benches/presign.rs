//! 900 presigned URLs, as an hour's playlist has: ours against `object_store`'s signer, in one run.
//!
//! `cargo bench --package echosphere-storage`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::presign::Presigner;
use object_store::aws::AmazonS3Builder;
use object_store::signer::Signer;

const URLS: u32 = 900;
const ROUNDS: u32 = 20;

fn main() {
    let keys: Vec<String> = (0..URLS)
        .map(|n| format!("recordings/AJ_cEzv5TDXsvVt/01a20a52-f041-783d-8c4d-9b6c3d024c84/1/audio/r1/{n:05}.ts"))
        .collect();
    let (access_key, secret) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

    let credentials = Credentials::fixed(access_key, secret);
    let presigner = Presigner::embedded(
        "bucket",
        "us-east-1".to_owned(),
        Arc::new(Provider::fixed(credentials.clone(), || WallTime::from_millis(0))),
    );
    let ours: Vec<_> = keys.iter().map(|key| ObjectKey::parse(key.as_str()).unwrap()).collect();
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let signing = presigner.with(
            &credentials,
            "http://127.0.0.1:9000",
            WallTime::from_millis(1_795_439_500_000),
            Duration::from_secs(3600),
        );
        let (signing, mut out) = (signing.unwrap(), String::new());
        for key in &ours {
            signing.get(key, &mut out);
        }
        std::hint::black_box(out);
    }
    let ours = began.elapsed() / ROUNDS;

    let store = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_region("us-east-1")
        .with_endpoint("http://127.0.0.1:9000")
        .with_allow_http(true)
        .with_access_key_id(access_key)
        .with_secret_access_key(secret)
        .build()
        .unwrap();
    let paths: Vec<_> = keys.iter().map(|key| object_store::path::Path::from(key.as_str())).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let urls = runtime.block_on(store.signed_urls(http::Method::GET, &paths, Duration::from_secs(3600)));
        std::hint::black_box(urls.unwrap());
    }
    let theirs = began.elapsed() / ROUNDS;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(URLS);
    println!("EchoSphere:   {:7.2} us a URL, {:6.2} ms for {URLS}", each(ours), ours.as_secs_f64() * 1e3);
    println!("object_store: {:7.2} us a URL, {:6.2} ms for {URLS}", each(theirs), theirs.as_secs_f64() * 1e3);
    println!("ratio:        {:7.1} x", theirs.as_secs_f64() / ours.as_secs_f64());
}
