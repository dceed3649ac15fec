//! Hands out keys for a while, as the endpoint of a container's role does: real ones, of MinIO's own token service.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::{HeaderValue, Method, header};
use echosphere_domain::time::WallTime;
use echosphere_storage::s3::element;
use futures_util::TryStreamExt as _;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};

use crate::http::{self, Request};
use crate::s3::{ACCESS_KEY, S3Server, SECRET_KEY, wait_for};
use crate::session;

/// An endpoint that hands out keys, until the test ends.
pub struct Container {
    /// Its address: `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub url: String,
    handed_out: Arc<AtomicUsize>,
}

impl Container {
    /// Hands out keys of this server, which say that they are valid for so many seconds.
    pub fn start(s3: &S3Server, seconds: i64) -> Self {
        Self::start_under(s3, seconds, "")
    }

    /// The same, of keys that may do no more than this policy says, if it is not empty.
    pub fn start_under(s3: &S3Server, seconds: i64, policy: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (endpoint, handed_out) = (s3.endpoint(), Arc::<AtomicUsize>::default());
        let (count, policy) = (Arc::clone(&handed_out), policy.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = Request::read(&stream);
                let keys = wait_for(assume_role(&endpoint, &policy));
                let until = WallTime::from_nanos(session::now().as_nanos() + seconds * 1_000_000_000);
                let _ = http::answer(&stream, 200, &keys.replace("UNTIL", &rfc3339(until)));
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { url, handed_out }
    }

    /// How often it handed out keys.
    pub fn handed_out(&self) -> usize {
        self.handed_out.load(Ordering::Relaxed)
    }
}

pub(crate) fn rfc3339(time: WallTime) -> String {
    jiff::Timestamp::from_millisecond(time.as_millis()).unwrap().to_string()
}

/// New keys with a session token, as JSON, without the time of their end.
pub(crate) async fn assume_role(endpoint: &str, policy: &str) -> String {
    let owner = AwsCredential { key_id: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned(), token: None };
    let mut form = "Action=AssumeRole&Version=2011-06-15&DurationSeconds=900".to_owned();
    if !policy.is_empty() {
        form.push_str("&Policy=");
        policy.bytes().for_each(|byte| form.push_str(&format!("%{byte:02X}")));
    }
    let mut request = HttpRequest::new(HttpRequestBody::from(form));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = format!("{endpoint}/").parse().unwrap();
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    AwsAuthorizer::new(&owner, "sts", "us-east-1").try_authorize(&mut request, None).unwrap();
    let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).unwrap();
    let body = client.execute(request).await.unwrap().into_body();
    let pieces: Vec<bytes::Bytes> = body.bytes_stream().try_collect().await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    let element = |name: &str| element(&text, name).unwrap_or_else(|| panic!("{text}")).to_owned();
    serde_json::json!({
        "AccessKeyId": element("AccessKeyId"), "SecretAccessKey": element("SecretAccessKey"),
        "Token": element("SessionToken"), "Expiration": "UNTIL",
    })
    .to_string()
}
