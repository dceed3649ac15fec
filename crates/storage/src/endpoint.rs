//! The embedded S3 endpoint: serves presigned URLs out of an object store, such as a local directory.
//!
//! The wire protocol and signature verification are s3s's; for expiry it reads the system clock, which cannot be passed in. Objects
//! can be fetched (GET, HEAD, ranges); every other operation is answered with `NotImplemented`.

use std::ops::Range;
use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use futures_util::TryStreamExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use s3s::auth::SimpleAuth;
use s3s::dto::{ETag, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, StreamingBlob, Timestamp};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use secrecy::ExposeSecret;

use crate::credentials::Credentials;
use crate::{Error, ObjectMeta, ObjectStore, content_type, pieces};

/// The body of a response.
pub use s3s::Body;

/// The endpoint.
#[derive(Clone)]
pub struct Endpoint {
    service: S3Service,
}

impl Endpoint {
    /// An endpoint that serves one bucket of a store, to requests signed with these credentials.
    pub fn new(store: Arc<dyn ObjectStore>, bucket: String, credentials: &Credentials) -> Self {
        let mut builder = S3ServiceBuilder::new(Objects { store, bucket });
        let secret = credentials.secret_key.expose_secret();
        builder.set_auth(SimpleAuth::from_single(&credentials.access_key, secret));
        Self { service: builder.build() }
    }

    /// Answers a request. Its body is ignored.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            return with_headers(preflight());
        }
        // No operation here takes a body, and a form would be read before its signature is checked.
        let request = without_body(request);
        let answer = if let Ok(answer) = self.service.call(request).await {
            answer
        } else {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            answer
        };
        with_headers(answer)
    }
}

/// The same request without a body, and without the headers that describe one; a Content-Type other than multipart may be signed
/// and stays.
fn without_body<B>(request: Request<B>) -> Request<Body> {
    let (mut head, _) = request.into_parts();
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::EXPECT);
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.trim_ascii_start().get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/")) {
        head.headers.remove(header::CONTENT_TYPE);
    }
    if head.method != Method::GET && head.method != Method::HEAD {
        head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Request::from_parts(head, Body::empty())
}

fn preflight() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("range, if-none-match"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}

/// Stored content may come from anyone, so no browser may treat it as a page. And as the signature in the URL is the only
/// credential, any page that has the URL may fetch it (a redirect sends `Origin: null`).
fn with_headers(mut answer: Response<Body>) -> Response<Body> {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "content-length, content-range, etag"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

struct Objects {
    store: Arc<dyn ObjectStore>,
    bucket: String,
}

impl Objects {
    async fn find(&self, bucket: &str, key: &str) -> S3Result<(ObjectKey, ObjectMeta)> {
        if bucket != self.bucket {
            return Err(s3_error!(NoSuchBucket));
        }
        let key = ObjectKey::parse(key).map_err(|_| s3_error!(NoSuchKey))?;
        let meta = self.store.head(&key).await.map_err(to_s3)?;
        meta.map(|meta| (key, meta)).ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn stream(&self, key: ObjectKey, range: Range<u64>) -> StreamingBlob {
        // If the object is shorter by now than its length said, the connection ends before the answer does.
        let pieces = pieces(Arc::clone(&self.store), key, range);
        let pieces = pieces.map_ok(http_body::Frame::data).map_err(std::io::Error::other);
        StreamingBlob::from(Body::http_body_unsync(http_body_util::StreamBody::new(pieces)))
    }
}

fn to_s3(error: Error) -> s3s::S3Error {
    match error {
        Error::NotFound(_) => s3_error!(NoSuchKey),
        _ => s3_error!(ServiceUnavailable),
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let (key, meta) = self.find(&input.bucket, &input.key).await?;
        let range = match input.range {
            Some(range) => Some(range.check(meta.size).map_err(|_| s3_error!(InvalidRange))?),
            None => None,
        };
        // The URL's `response-` parameters are ignored: an object's type follows from its key.
        let content_range =
            range.as_ref().map(|range| format!("bytes {}-{}/{}", range.start, range.end - 1, meta.size));
        let range = range.unwrap_or(0..meta.size);
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: Some("private, max-age=3600".to_owned()),
            content_length: Some((range.end - range.start) as i64),
            content_range,
            content_type: Some(content_type(key.as_str()).to_owned()),
            e_tag: Some(ETag::Strong(meta.etag)),
            last_modified: Some(Timestamp::from(meta.modified)),
            body: Some(self.stream(key, range)),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let (key, meta) = self.find(&input.bucket, &input.key).await?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(meta.size as i64),
            content_type: Some(content_type(key.as_str()).to_owned()),
            e_tag: Some(ETag::Strong(meta.etag)),
            last_modified: Some(Timestamp::from(meta.modified)),
            ..HeadObjectOutput::default()
        }))
    }
}
