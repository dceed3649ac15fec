//! Checks of the bucket: whether it is there, what may be done in it, and whether browsers can play from it.

mod versions;

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Answer, FAR_APART, S3Store, element, encoded};
use echosphere_storage::{Error, ObjectStore, Result};

use super::{Finding, bad, seconds_apart};
use crate::config::Config;
use crate::startup::bucket_of;
use crate::{clock, entropy};

/// A clock that differs by more seconds than this is worth a warning; [`FAR_APART`] stops deletions, and from fifteen minutes on S3 refuses requests.
const CLOCKS_APART: i64 = 60;
/// How long a presigned URL of the checks lives.
const LIFE: Duration = Duration::from_secs(60);

/// What CORS has to allow, as S3's API says it.
const CORS: &str = "<CORSConfiguration><CORSRule><AllowedOrigin>ORIGIN</AllowedOrigin><AllowedMethod>GET</AllowedMethod>\
    <AllowedMethod>HEAD</AllowedMethod><AllowedHeader>*</AllowedHeader><ExposeHeader>Content-Range</ExposeHeader>\
    <ExposeHeader>Content-Length</ExposeHeader><MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>";

/// Runs the checks of the bucket; with `fix` makes what is missing.
pub(super) async fn check(config: &Config, fix: bool) -> Vec<(&'static str, Finding)> {
    let (store, presigner) = match bucket_of(&config.storage) {
        Ok(opened) => opened,
        Err(error) => return vec![("bucket", bad(error.to_string(), "correct the settings that begin with storage."))],
    };
    let doctor = Doctor { store, presigner, config, fix };
    let mut findings = Vec::new();
    match doctor.bucket().await {
        Ok((found, answer)) => {
            findings.push(("bucket", Finding::Good(found)));
            findings.extend(doctor.tls().map(|finding| ("tls", finding)));
            findings.push(("clock", clock_of(&answer)));
        }
        Err(finding) => return vec![("bucket", finding)],
    }
    findings.push(("rights", doctor.rights().await));
    findings.push(("versions", doctor.versions().await));
    findings.push(("uploads", doctor.leftovers().await));
    findings.push(("browsers", doctor.browsers().await));
    doctor.forget_probes().await;
    findings
}

struct Doctor<'c> {
    store: S3Store,
    presigner: Presigner,
    config: &'c Config,
    fix: bool,
}

impl Doctor<'_> {
    /// Whether the bucket is there, and may be read.
    async fn bucket(&self) -> Result<(String, Answer), Finding> {
        let place = self.store.bucket().address();
        match self.list().await {
            Ok(answer) => Ok((format!("{place} answers"), answer)),
            Err(Error::NoBucket { .. }) if self.fix => {
                let made = self.store.make_bucket().await;
                made.map_err(|error| bad(error.to_string(), "make it by hand, or let these keys (s3:CreateBucket)"))?;
                let answer = self.list().await.map_err(|error| bad(error.to_string(), "try again in a minute"))?;
                Ok((format!("{place} was made"), answer))
            }
            Err(error @ Error::NoBucket { .. }) => {
                Err(bad(error.to_string(), "echosphere doctor --fix makes it; or correct storage.url"))
            }
            Err(error @ Error::Refused { .. }) => Err(bad(
                error.to_string(),
                "correct the keys (storage.access_key, or AWS_ACCESS_KEY_ID and the like); docs/s3.md has the policy that they need",
            )),
            Err(error @ Error::Untrusted { .. }) => Err(bad(
                error.to_string(),
                "set storage.ca_file to the certificate (PEM) of the authority that signed the server's, and storage.endpoint to a name that is in it",
            )),
            Err(error) => Err(bad(error.to_string(), "start the S3 server, or correct storage.endpoint")),
        }
    }

    /// Whether others can read along on the way to the server; nothing of one on this machine.
    fn tls(&self) -> Option<Finding> {
        let address = self.store.bucket().address();
        let Some(host) = address.strip_prefix("http://") else {
            return Some(Finding::Good("its certificate is trusted".to_owned()));
        };
        let is_here = ["127.", "localhost", "[::1]"].iter().any(|here| host.starts_with(here));
        (!is_here).then(|| {
            Finding::Poor(
                "recordings go there unencrypted (http)".to_owned(),
                "where the network between is not yours alone, set storage.endpoint to an https:// address".to_owned(),
            )
        })
    }

    async fn list(&self) -> Result<Answer> {
        self.store.ask(Method::GET, "?list-type=2&max-keys=1", "").await?.done("list", &self.store)
    }

    /// Tries on an object of its own what this server does.
    async fn rights(&self) -> Finding {
        let (key, path) = match self.probe() {
            Ok(probe) => probe,
            Err(error) => return bad(error.to_string(), "report this"),
        };
        let mut denied = Vec::new();
        let mut note = |what: &'static str, done: Result<()>| {
            if let Err(error) = done {
                denied.push(format!("{what} ({error})"));
            }
        };
        let (bytes, mut tagging) = (Bytes::from_static(b"echosphere doctor"), None);
        let put = self.store.put(&key, bytes.clone()).await;
        let is_put = put.is_ok();
        note("put", put);
        note("list", self.store.list(&folder()).await.map(|_| ()));
        // Of an object that is not there nobody learns whether it might be read.
        if is_put {
            note("get", self.store.get_range(&key, 0..100).await.and_then(|read| same(&read, &bytes, &key)));
            note("abort an upload in parts", self.abort(&path).await);
            let tags = "<Tagging><TagSet><Tag><Key>echosphere</Key><Value>doctor</Value></Tag></TagSet></Tagging>";
            tagging = self.asked(Method::PUT, &format!("{path}?tagging"), tags).await.err();
        }
        note("delete", self.asked(Method::DELETE, &path, "").await.map(|_| ()));
        match (denied.is_empty(), tagging) {
            (false, _) => {
                bad(format!("these keys may not {}", denied.join(", ")), "give them the policy in docs/s3.md")
            }
            (true, Some(error)) => Finding::Poor(
                format!("put, get, list, abort and delete work; tags do not ({error})"),
                "tags are needed for lifecycle rules only".to_owned(),
            ),
            (true, None) => Finding::Good("put, get, list, abort, tag and delete work".to_owned()),
        }
    }

    async fn abort(&self, path: &str) -> Result<()> {
        let begun = self.asked(Method::POST, &format!("{path}?uploads"), "").await?;
        let id = element(&begun.text, "UploadId").unwrap_or_default();
        self.asked(Method::DELETE, &format!("{path}?uploadId={}", encoded(id)), "").await.map(|_| ())
    }

    async fn asked(&self, method: Method, rest: &str, body: &'static str) -> Result<Answer> {
        self.store.ask(method, rest, body).await?.done("ask for", &self.store)
    }

    /// Parts of uploads that were never put together.
    async fn leftovers(&self) -> Finding {
        match self.asked(Method::GET, "?uploads", "").await {
            Ok(answer) => match answer.text.matches("<Upload>").count() {
                0 => Finding::Good("no parts of unfinished uploads are left".to_owned()),
                count => Finding::Poor(
                    format!("{count} unfinished uploads have parts in the bucket"),
                    "add a lifecycle rule (AbortIncompleteMultipartUpload after 1 day)".to_owned(),
                ),
            },
            Err(error) => Finding::Poor(
                format!("unfinished uploads cannot be listed: {error}"),
                "docs/s3.md has the policy that this needs".to_owned(),
            ),
        }
    }

    /// Whether a browser that has our page open can read from the bucket's public address.
    async fn browsers(&self) -> Finding {
        let origin = self.config.public_url.clone().unwrap_or_else(|| format!("http://{}", self.config.listen));
        let elsewhere = self.presigner.elsewhere().unwrap_or_default().to_owned();
        if origin.starts_with("https://") && elsewhere.starts_with("http://") {
            return bad(
                format!("the page is at {origin}, and browsers load nothing from {elsewhere} into it (mixed content)"),
                "set storage.public_endpoint to an https:// address of the S3 server",
            );
        }
        match self.cross_origin(&origin).await {
            Ok(true) => Finding::Good(format!("a page at {origin} may read from {elsewhere}")),
            Ok(false) if self.fix => self.allow(&origin).await,
            Ok(false) => bad(
                format!("a page at {origin} may not read from {elsewhere} (CORS)"),
                "echosphere doctor --fix allows it; MinIO has a setting for it: MINIO_API_CORS_ALLOW_ORIGIN",
            ),
            Err(error) => bad(
                format!("{elsewhere} cannot be read by a presigned URL: {error}"),
                "set storage.public_endpoint to an address that is reached from here and from browsers",
            ),
        }
    }

    /// Asks as a browser does: a preflight, and a request with its origin.
    async fn cross_origin(&self, origin: &str) -> Result<bool, String> {
        let (key, _) = self.probe().map_err(|error| error.to_string())?;
        self.store.put(&key, Bytes::from_static(b"echosphere doctor")).await.map_err(|error| error.to_string())?;
        let looked = async {
            let signing = self.presigner.at("", clock::now(), LIFE).await.map_err(|error| error.to_string())?;
            let mut url = String::new();
            signing.get(&key, &mut url);
            let preflight = [
                (header::ORIGIN, origin),
                (header::ACCESS_CONTROL_REQUEST_METHOD, "GET"),
                (header::ACCESS_CONTROL_REQUEST_HEADERS, "range"),
            ];
            let asked = self.store.ask_anybody(Method::OPTIONS, &url, &preflight).await;
            let asked = asked.map_err(|error| error.to_string())?;
            let read = self.store.ask_anybody(Method::GET, &url, &[(header::ORIGIN, origin)]).await;
            let read = read.map_err(|error| error.to_string())?;
            if read.status != StatusCode::OK {
                return Err(format!("{}: {}", read.status, read.text.chars().take(300).collect::<String>()));
            }
            Ok(allows(&asked, origin) && allows(&read, origin))
        };
        let found = looked.await;
        // What stays is swept by nobody: it says so by its name.
        let _ = self.store.delete(&key).await;
        found
    }

    async fn allow(&self, origin: &str) -> Finding {
        let rule = CORS.replace("ORIGIN", origin);
        let asked = match self.store.ask(Method::PUT, "?cors", rule).await {
            Ok(answer) => answer.done("allow a page to read from", &self.store).map(|_| ()),
            Err(error) => Err(error),
        };
        match (asked, self.cross_origin(origin).await) {
            (Ok(()), Ok(true)) => {
                Finding::Good(format!("a page at {origin} may read from the bucket now (CORS was set)"))
            }
            (Err(error), _) => {
                bad(format!("CORS cannot be set: {error}"), "set it by hand; for MinIO: MINIO_API_CORS_ALLOW_ORIGIN")
            }
            _ => bad("CORS was set, and a page may not read from the bucket yet", "run this again in a minute"),
        }
    }

    /// An object that nobody else has, and its path after the bucket's address.
    fn probe(&self) -> Result<(ObjectKey, String), Error> {
        let key = ObjectKey::parse(format!("{}/{}", folder(), entropy::suffix()));
        let key = key.map_err(|error| Error::Settings { bucket: String::new(), why: error.to_string() })?;
        let path = format!("/{}", self.store.bucket().path(&key));
        Ok((key, path))
    }
}

/// The folder of the doctor's objects.
fn folder() -> ObjectKey {
    ObjectKey::parse("echosphere-doctor").expect("it is a key")
}

fn same(read: &Bytes, written: &Bytes, key: &ObjectKey) -> Result<()> {
    if read == written {
        return Ok(());
    }
    Err(Error::Away { action: "read", target: key.to_string(), why: "it is not what was written".to_owned() })
}

fn allows(answer: &Answer, origin: &str) -> bool {
    let allowed = answer.headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN).and_then(|value| value.to_str().ok());
    allowed.is_some_and(|allowed| allowed == "*" || allowed == origin)
}

fn clock_of(answer: &Answer) -> Finding {
    let date = answer.headers.get(header::DATE).and_then(|date| date.to_str().ok());
    let Some(apart) = seconds_apart(date) else {
        return Finding::Poor(
            "the S3 server does not tell its time".to_owned(),
            "keep both clocks in step with NTP".to_owned(),
        );
    };
    let found = format!("{} s apart from the S3 server's", apart.max(1));
    let remedy = "let NTP keep both clocks in step: S3 refuses requests that are 15 minutes off";
    if apart <= CLOCKS_APART {
        Finding::Good(format!("within {} s of the S3 server's", apart.max(1)))
    } else if apart * 1_000 <= FAR_APART {
        Finding::Poor(found, remedy.to_owned())
    } else {
        bad(found, remedy)
    }
}
