//! Signed requests about the bucket itself, which `object_store` does not make.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use object_store::CredentialProvider as _;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};

use super::S3Store;
use super::answer::Refusal;
use crate::{Error, Result};

/// The most that is read of an answer, in bytes.
const LONGEST: usize = 4 << 20;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it did what it was asked to.
    pub status: StatusCode,
    /// What it said before the body.
    pub headers: HeaderMap,
    /// What it said.
    pub text: String,
}

impl Answer {
    /// Fails unless it did what it was asked to.
    ///
    /// # Errors
    ///
    /// What the server says.
    pub fn done(self, action: &'static str, store: &S3Store) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let source = format!("{}: {}", self.status, self.text).into();
        let refusal = Refusal::of(&object_store::Error::Generic { store: "S3", source });
        Err(refusal.into_error(action, store.bucket.name.clone(), &store.bucket.name))
    }
}

impl S3Store {
    /// Asks for something of the bucket: `rest` is what follows its address (`?versioning`, `/key?tagging`), encoded.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or there are no credentials. What it refuses is an answer.
    pub async fn ask(&self, method: Method, rest: &str, body: impl Into<Bytes> + Send) -> Result<Answer> {
        let target = format!("{}{rest}", self.bucket.address());
        let away = |why: String| Error::Away { action: "ask", target: target.clone(), why };
        let uri: Uri = target.parse().map_err(|error: http::uri::InvalidUri| away(error.to_string()))?;
        let mut request = HttpRequest::new(HttpRequestBody::from(body.into()));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let credentials = self.credentials.get_credential().await.map_err(|error| away(error.to_string()))?;
        request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/xml"));
        let authorizer = AwsAuthorizer::new(&credentials, "s3", &self.bucket.region);
        authorizer.try_authorize(&mut request, None).map_err(|error| away(error.to_string()))?;
        let answer = self.client.execute(request).await.map_err(|error| away(error.to_string()))?;
        let (head, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, LONGEST).collect().await;
        let text = String::from_utf8_lossy(&body.map_err(|error| away(error.to_string()))?.to_bytes()).into_owned();
        Ok(Answer { status: head.status, headers: head.headers, text })
    }

    /// Makes the bucket; one that is ours already is left as it is.
    ///
    /// # Errors
    ///
    /// It cannot be made, or is somebody else's.
    pub async fn make_bucket(&self) -> Result<()> {
        let region = &self.bucket.region;
        // The region without a name of its own may not be named.
        let body = match region.as_str() {
            "us-east-1" => String::new(),
            _ => format!(
                r#"<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"#
            ),
        };
        let answer = self.ask(Method::PUT, "", body).await?;
        if answer.text.contains("<Code>BucketAlreadyOwnedByYou</Code>") {
            return Ok(());
        }
        answer.done("make the bucket", self).map(|_| ())
    }
}
