//! Keys that AWS's ways hand out for a while: what is written with them is written at a real server.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::credentials::{Error, Provider};
use echosphere_storage::s3::S3Store;
use echosphere_storage::{ObjectStore, Result};
use echosphere_testkit::aws::{Aws, ROLE, WEB_IDENTITY};
use echosphere_testkit::container::Container;
use echosphere_testkit::s3::{Kind, Nobody, S3Server};
use echosphere_testkit::session::now;

/// Longer than they are renewed before they expire, and shorter.
const LONG: i64 = 900;
const SHORT: i64 = 100;

/// A server with a bucket. The call blocks, so that it has a thread of its own.
fn server() -> S3Server {
    let start = || {
        let server = S3Server::start(Kind::Minio);
        server.make_bucket("calls");
        server
    };
    std::thread::scope(|scope| scope.spawn(start).join().unwrap())
}

/// Keys by these variables, and by a home that has no profile.
fn keys(home: &Path, variables: &[(&str, &str)]) -> Arc<Provider> {
    let home = ("HOME", home.to_str().unwrap());
    let all = variables.iter().chain([&home]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Arc::new(Provider::chain(all.collect::<HashMap<_, _>>(), now).unwrap())
}

/// Writes an object with them and reads it again.
async fn used(server: &S3Server, keys: &Arc<Provider>) -> Result<()> {
    let store = S3Store::open(server.bucket("calls", None), Arc::clone(keys), Arc::new(Nobody)).unwrap();
    let key = ObjectKey::parse("recordings/x/1/a.ogg").unwrap();
    store.put(&key, Bytes::from_static(b"OggS")).await?;
    assert_eq!(store.get(&key).await?, "OggS");
    store.delete(&key).await
}

async fn assert_temporary(keys: &Provider) {
    let known = keys.get().await.unwrap();
    assert!(known.session_token.is_some() && known.until.is_some_and(|until| until > now()), "{known:?}");
}

#[tokio::test]
async fn the_role_of_an_instance() {
    let (server, home) = (server(), tempfile::tempdir().unwrap());
    let aws = Aws::start(&server, LONG);
    let keys = keys(home.path(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &aws.url)]);
    used(&server, &keys).await.unwrap();
    assert_temporary(&keys).await;
}

#[tokio::test]
async fn the_role_of_a_container() {
    let (server, home) = (server(), tempfile::tempdir().unwrap());
    let container = Container::start(&server, LONG);
    let keys = keys(home.path(), &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &container.url)]);
    used(&server, &keys).await.unwrap();
    assert_temporary(&keys).await;
}

#[tokio::test]
async fn a_web_identity_whose_token_is_another_one_later() {
    let (server, home) = (server(), tempfile::tempdir().unwrap());
    let aws = Aws::start(&server, SHORT);
    let token = home.path().join("token");
    std::fs::write(&token, WEB_IDENTITY).unwrap();
    let variables = [
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ENDPOINT_URL_STS", &*aws.url),
        // What comes after it in the chain has none.
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let known = keys(home.path(), &variables);
    used(&server, &known).await.unwrap();
    assert_temporary(&known).await;
    let first = known.get().await.unwrap().access_key.clone();
    assert_ne!(known.get().await.unwrap().access_key, first, "they are renewed before they expire");
    std::fs::write(&token, "of-another-pod").unwrap();
    used(&server, &known).await.expect("what is known is still valid");
    let refused = keys(home.path(), &variables).get().await.unwrap_err();
    assert!(
        matches!(&refused, Error::None(why) if why.contains("a web identity: ") && why.contains("InvalidIdentityToken")),
        "{refused}"
    );
}

#[tokio::test]
async fn nobody_has_any() {
    let (server, home) = (server(), tempfile::tempdir().unwrap());
    let keys = keys(home.path(), &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let refused = used(&server, &keys).await.unwrap_err().to_string();
    assert!(refused.contains("there are no credentials for S3"), "{refused}");
    let wrong = HashMap::from([("AWS_ENDPOINT_URL_STS".to_owned(), "minio".to_owned())]);
    assert!(Provider::chain(wrong, now).unwrap_err().to_string().contains("AWS_ENDPOINT_URL_STS"));
}
