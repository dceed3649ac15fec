//! Objects in a bucket of an S3 server: AWS, MinIO, SeaweedFS, Garage.
//!
//! Every write is whole or not there (S3 makes an object visible when all of it has come), and says the checksum of what it sends. A request that
//! fails because the server is away or busy is tried again for a few seconds; who needs it done tries again after that, and knows why.

mod answer;
mod certificate;
mod clocks;
mod connection;
mod parts;
mod pieces;
mod request;
mod unfinished;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::client::{HttpClient, HttpConnector as _};
use object_store::path::Path as ObjectPath;
use object_store::{
    Attribute, Attributes, BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, ObjectStore as _,
    ObjectStoreExt as _, PutOptions, RetryConfig,
};

pub use self::answer::element;
use self::answer::{Meaning, Refusal};
use self::clocks::Clocks;
pub use self::clocks::FAR_APART;
use self::connection::Connector;
pub use self::connection::{Observer, Request};
pub use self::request::{Answer, encoded};
use crate::credentials::Provider;
use crate::{Error, MAX_READ, ObjectMeta, ObjectStore, Pieces, Result, content_type, marked};

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a request is tried again while the server is away or busy, and for how long.
const RETRIES: usize = 5;
const RETRY_FOR: Duration = Duration::from_secs(15);
/// The first pause before that, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often a call is made again whose bytes arrived garbled, or whose credentials had expired.
const AGAIN: usize = 3;

/// How the bucket's name is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Addressing {
    /// As the first segment of the path: what servers of one's own understand.
    #[default]
    Path,
    /// As a part of the host's name.
    VirtualHost,
}

/// How the server encrypts what it keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Encryption {
    /// As the bucket's own setting says.
    #[default]
    Bucket,
    /// With keys of S3 (SSE-S3).
    S3,
    /// With this key of KMS (SSE-KMS).
    Kms(String),
}

/// A bucket, and how it is reached.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The folder in it in which everything lies, if there is one.
    pub prefix: Option<ObjectKey>,
    /// Its region.
    pub region: String,
    /// `http://` or `https://`, a host, and maybe a port; `None` for AWS's own in the region.
    pub endpoint: Option<String>,
    /// How its name is said.
    pub addressing: Addressing,
    /// How it encrypts.
    pub encryption: Encryption,
    /// Certificates (PEM) of who may vouch for the endpoint, beside those that the system trusts.
    pub ca: Option<Vec<u8>>,
}

impl Bucket {
    /// Where an object is in it.
    pub fn path(&self, key: &ObjectKey) -> String {
        self.prefix.as_ref().map_or_else(|| key.to_string(), |prefix| format!("{prefix}/{key}"))
    }

    /// Its address: where its objects are, without a slash at the end.
    pub fn address(&self) -> String {
        let endpoint = match &self.endpoint {
            Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
            None => format!("https://s3.{}.amazonaws.com", self.region),
        };
        match (self.addressing, endpoint.split_once("://")) {
            (Addressing::VirtualHost, Some((scheme, host))) => format!("{scheme}://{}.{host}", self.name),
            _ => format!("{endpoint}/{}", self.name),
        }
    }
}

/// The objects of a bucket, or of a folder in it.
#[derive(Debug, Clone)]
pub struct S3Store {
    inner: AmazonS3,
    /// For what `inner` cannot be asked.
    client: HttpClient,
    bucket: Arc<Bucket>,
    credentials: Arc<Provider>,
    clocks: Arc<Clocks>,
}

impl S3Store {
    /// A store in a bucket. Nothing is asked of the server.
    ///
    /// # Errors
    ///
    /// Settings that cannot be.
    pub fn open(bucket: Bucket, credentials: Arc<Provider>, observer: Arc<dyn Observer>) -> Result<Self> {
        let failed =
            |error: object_store::Error| Error::Settings { bucket: bucket.name.clone(), why: error.to_string() };
        let mut options = ClientOptions::new().with_connect_timeout(CONNECT).with_timeout_disabled();
        options = options.with_read_timeout_disabled().with_allow_http(true);
        if let Some(ca) = &bucket.ca {
            let certificates = Certificate::from_pem_bundle(ca).map_err(failed)?;
            if certificates.is_empty() {
                let why = "there is no certificate (PEM) in the file of the authority".to_owned();
                return Err(Error::Settings { bucket: bucket.name.clone(), why });
            }
            options = certificates.into_iter().fold(options, ClientOptions::with_root_certificate);
        }
        let clocks = Arc::new(Clocks::new(credentials.clock()));
        let connector = Connector { observer, clocks: Arc::clone(&clocks) };
        let client = connector.connect(&options).map_err(failed)?;
        let backoff =
            BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, ..BackoffConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_virtual_hosted_style_request(bucket.addressing == Addressing::VirtualHost)
            .with_credentials(Arc::clone(&credentials) as _)
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRY_FOR })
            .with_client_options(options)
            .with_http_connector(connector);
        if let Some(endpoint) = &bucket.endpoint {
            // With the bucket's name where that is a part of the host's.
            let is_in_host = bucket.addressing == Addressing::VirtualHost;
            builder = builder.with_endpoint(if is_in_host { bucket.address() } else { endpoint.clone() });
        }
        builder = match &bucket.encryption {
            Encryption::Bucket => builder,
            Encryption::S3 => builder.with_config("aws_server_side_encryption".parse().map_err(failed)?, "AES256"),
            Encryption::Kms(key) => builder.with_sse_kms_encryption(key),
        };
        let inner = builder.build().map_err(failed)?;
        Ok(Self { inner, client, bucket: Arc::new(bucket), credentials, clocks })
    }

    /// The bucket, and how it is reached.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Makes a call, and makes it again when what arrived was garbled or the credentials had just expired.
    async fn call<T, F>(
        &self,
        action: &'static str,
        key: &ObjectKey,
        call: impl Fn(AmazonS3, ObjectPath) -> F + Send + Sync,
    ) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>> + Send,
    {
        for again in (0..AGAIN).rev() {
            let known = self.credentials.get().await.map(|known| known.access_key.clone());
            let error = match call(self.inner.clone(), self.path(key)).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let refusal = Refusal::of(&error);
            match (refusal.meaning, again) {
                (Meaning::NoObject, _) => return Err(Error::NotFound(key.clone())),
                (Meaning::Garbled, 1..) => {}
                (Meaning::Expired, 1..) => self.credentials.give_up(&known.unwrap_or_default()).await,
                _ => return Err(refusal.into_error(action, key.to_string(), &self.bucket.name)),
            }
        }
        Err(Error::Interrupted { action, target: key.to_string() })
    }

    fn path(&self, key: &ObjectKey) -> ObjectPath {
        // A key has none of the characters that a path would encode, and no empty segment.
        ObjectPath::from(self.bucket.path(key))
    }

    /// The key of an object; `None` for one that lies outside, or that no key of ours could be.
    fn key(&self, path: &ObjectPath) -> Option<ObjectKey> {
        let path = path.as_ref();
        let key = match &self.bucket.prefix {
            Some(prefix) => path.strip_prefix(prefix.as_str())?.strip_prefix('/')?,
            None => path,
        };
        ObjectKey::parse(key).ok()
    }
}

/// What is said of an object beside its bytes.
fn attributes(key: &ObjectKey) -> Attributes {
    Attributes::from_iter([(Attribute::ContentType, content_type(key.as_str()))])
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        if bytes.len() > parts::PART {
            return self.put_pieces(key, stream::once(async { Ok(bytes) }).boxed()).await;
        }
        let put = |inner: AmazonS3, path| {
            let options = PutOptions { attributes: attributes(key), ..PutOptions::default() };
            let payload = bytes.clone().into();
            async move { inner.put_opts(&path, payload, options).await }
        };
        self.call("store", key, put).await.map(|_| ())
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        self.put_pieces(key, parts::of_file(file)).await
    }

    async fn put_pieces(&self, key: &ObjectKey, pieces: Pieces) -> Result<()> {
        parts::put(self, key, pieces).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        match self.call("look at", key, |inner, path| async move { inner.head(&path).await }).await {
            Ok(meta) => Ok(Some(ObjectMeta {
                size: meta.size,
                modified: SystemTime::from(meta.last_modified),
                etag: meta.e_tag.unwrap_or_default().trim_matches('"').to_owned(),
            })),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        self.call("read", key, |inner, path| async move { inner.get(&path).await?.bytes().await }).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        let end = range.end.min(range.start.saturating_add(MAX_READ));
        if range.start >= end {
            return Ok(Bytes::new());
        }
        let get = |inner: AmazonS3, path| async move {
            let range = Some(GetRange::Bounded(range.start..end));
            let got = match inner.get_opts(&path, GetOptions { range, ..GetOptions::default() }).await {
                Err(error) if Refusal::of(&error).meaning == Meaning::NoRange => return Ok(Bytes::new()),
                got => got?,
            };
            got.bytes().await
        };
        self.call("read", key, get).await
    }

    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
        pieces::read(self, key, range).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.clocks.check()?;
        match self.call("delete", key, |inner, path| async move { inner.delete(&path).await }).await {
            Err(Error::NotFound(_)) => Ok(()),
            deleted => deleted,
        }
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        let Some(first) = keys.first() else { return Ok(()) };
        self.clocks.check()?;
        let paths: Vec<ObjectPath> = keys.iter().map(|key| self.path(key)).collect();
        let delete = |inner: AmazonS3, _| {
            let mut deleted = inner.delete_stream(stream::iter(paths.clone()).map(Ok).boxed());
            async move {
                while let Some(deleted) = deleted.next().await {
                    match deleted {
                        Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        };
        self.call("delete", first, delete).await
    }

    async fn abort_unfinished(&self, folder: &ObjectKey) -> Result<u64> {
        unfinished::abort(self, folder).await
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        let list =
            |inner: AmazonS3, path: ObjectPath| async move { inner.list(Some(&path)).try_collect::<Vec<_>>().await };
        let found = self.call("list", folder, list).await?;
        Ok(found.iter().filter_map(|meta| self.key(&meta.location)).collect())
    }

    async fn check(&self) -> Result<()> {
        // The marker is written once more as it is: that shows whether objects can be.
        let marker = marked::key()?;
        let bytes = self.get(&marker).await?;
        self.put(&marker, bytes).await?;
        self.clocks.check()
    }
}
