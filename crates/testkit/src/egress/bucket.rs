//! Where an egress writes.

use std::sync::Arc;

use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore as _;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::s3::{self, S3Store};
use livekit_protocol as proto;

use crate::s3::Nobody;
use crate::session;

/// A bucket, with the keys to it.
#[derive(Clone)]
pub struct Bucket(Arc<S3Store>);

impl Bucket {
    /// One that a worker has of its own.
    pub fn own(store: S3Store) -> Self {
        Self(Arc::new(store))
    }

    /// The one that a request names, with its keys.
    pub fn named(s3: &proto::S3Upload) -> Self {
        let bucket = s3::Bucket {
            name: s3.bucket.clone(),
            region: if s3.region.is_empty() { "us-east-1".to_owned() } else { s3.region.clone() },
            endpoint: (!s3.endpoint.is_empty()).then(|| s3.endpoint.clone()),
            ..s3::Bucket::default()
        };
        let keys = Provider::fixed(Credentials::fixed(s3.access_key.as_str(), s3.secret.as_str()), session::now);
        Self::own(S3Store::open(bucket, Arc::new(keys), Arc::new(Nobody)).unwrap())
    }

    /// Where an object is. LiveKit's worker says `https` of any server.
    pub fn location(&self, key: &str) -> String {
        format!("{}/{key}", self.0.bucket().address().replacen("http://", "https://", 1))
    }

    /// Writes an object, or says why not as LiveKit's worker does.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), String> {
        let key = ObjectKey::parse(key).map_err(|error| error.to_string())?;
        self.0.put(&key, bytes).await.map_err(|error| format!("S3 upload failed: err: {error}"))
    }
}
