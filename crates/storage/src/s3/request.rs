//! Signed requests about the bucket itself, which `object_store` does not make.

use std::time::Instant;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use object_store::CredentialProvider as _;
use object_store::aws::AwsAuthorizer;
use object_store::client::{HttpRequest, HttpRequestBody};

use super::answer::Refusal;
use super::certificate::untrusted;
use super::{FIRST_PAUSE, LONGEST_PAUSE, RETRY_FOR, S3Store};
use crate::{Error, Result, sigv4};

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

fn request(method: Method, target: &str, body: Bytes) -> Result<HttpRequest> {
    let mut request = HttpRequest::new(HttpRequestBody::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = target.parse::<Uri>().map_err(away(target))?;
    Ok(request)
}

fn away<E: ToString>(target: &str) -> impl Fn(E) -> Error + '_ {
    move |error| Error::Away { action: "ask", target: target.to_owned(), why: error.to_string() }
}

/// A text as a part of a path or of a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::new();
    sigv4::push_encoded(text, &mut out);
    out
}

impl S3Store {
    /// Asks for something of the bucket: `rest` is what follows its address (`?versioning`, `/key?tagging`), encoded. A server that is busy, or not
    /// ready yet, is asked again for a while, as for objects.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or there are no credentials. What it refuses is an answer.
    pub async fn ask(&self, method: Method, rest: &str, body: impl Into<Bytes> + Send) -> Result<Answer> {
        let (body, began, mut pause) = (body.into(), Instant::now(), FIRST_PAUSE);
        loop {
            let answer = self.ask_once(method.clone(), rest, body.clone()).await?;
            let is_busy = answer.status.is_server_error() && answer.status != StatusCode::NOT_IMPLEMENTED;
            if !is_busy || began.elapsed() > RETRY_FOR {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn ask_once(&self, method: Method, rest: &str, body: Bytes) -> Result<Answer> {
        let target = format!("{}{rest}", self.bucket.address());
        let mut request = request(method, &target, body.clone())?;
        let credentials = self.credentials.get_credential().await.map_err(away(&target))?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
        if !body.is_empty() {
            // AWS asks for one where a setting of a bucket is written.
            let sum = base64::engine::general_purpose::STANDARD.encode(sigv4::digest(&body));
            let sum = HeaderValue::from_str(&sum).map_err(away(&target))?;
            request.headers_mut().insert("x-amz-checksum-sha256", sum);
        }
        let authorizer = AwsAuthorizer::new(&credentials, "s3", &self.bucket.region);
        authorizer.try_authorize(&mut request, None).map_err(away(&target))?;
        self.answer(request, &target).await
    }

    /// Asks for something at this address without keys, as a browser does.
    ///
    /// # Errors
    ///
    /// The server cannot be reached.
    pub async fn ask_anybody(&self, method: Method, url: &str, headers: &[(HeaderName, &str)]) -> Result<Answer> {
        let mut request = request(method, url, Bytes::new())?;
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(away(url))?;
            request.headers_mut().insert(name, value);
        }
        // What follows the address is its signature.
        self.answer(request, url.split('?').next().unwrap_or(url)).await
    }

    async fn answer(&self, request: HttpRequest, target: &str) -> Result<Answer> {
        let answer = self.client.execute(request).await.map_err(|error| match untrusted(&error) {
            Some(why) => Error::Untrusted { action: "ask", target: target.to_owned(), why: why.to_owned() },
            None => away(target)(error),
        })?;
        let (head, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, LONGEST).collect().await;
        let text = String::from_utf8_lossy(&body.map_err(away(target))?.to_bytes()).into_owned();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_encoding_stays_as_it_is() {
        assert_eq!(encoded("x+/="), "x%2B%2F%3D");
    }
}
