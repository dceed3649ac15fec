//! Presigned URLs: grant access to one object for a limited time, by Signature Version 4 in the query.
//!
//! A playlist has a thousand of them, so everything that they share is computed once: the day's signing key, the credential scope
//! and the query. Two hashes are left for each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use secrecy::ExposeSecret;

use crate::credentials::{self, Credentials, Provider};
use crate::s3::Bucket;
use crate::sigv4::{self, SigningKey};

/// The longest validity of a presigned URL: 7 days, a limit set by S3.
pub const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Makes presigned URLs for one bucket.
#[derive(Debug)]
pub struct Presigner {
    /// `http://` or `https://` and a host, where that is not the one by which this server was reached.
    endpoint: Option<String>,
    /// What of a URL comes before the object's key: empty, or segments with a slash before each.
    folder: String,
    region: String,
    credentials: Arc<Provider>,
    /// The day and the access key that it belongs to, and the key.
    key: Mutex<Option<(String, String, SigningKey)>>,
}

/// What all URLs signed at one time have in common.
pub struct Signing {
    endpoint: String,
    folder: String,
    key: SigningKey,
    /// The query up to the signature.
    query: String,
    /// The string to sign, up to the hash of the canonical request.
    head: String,
    host: String,
    is_long: bool,
}

/// Why no URL can be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is not `http://host` or `https://host` with an optional port.
    #[error("{0:?} is not an endpoint: expected http:// or https:// and a host")]
    Endpoint(String),
    /// There are no keys to sign with.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
}

impl Presigner {
    /// Signs for the embedded endpoint: path-style URLs of a bucket at the address by which this server was reached.
    pub fn embedded(bucket: &str, region: String, credentials: Arc<Provider>) -> Self {
        Self { endpoint: None, folder: format!("/{bucket}"), region, credentials, key: Mutex::new(None) }
    }

    /// Signs for an S3 server, at this address of it if it has another one for browsers.
    pub fn of_server(bucket: &Bucket, public_endpoint: Option<&str>, credentials: Arc<Provider>) -> Self {
        let address = match public_endpoint {
            Some(endpoint) => Bucket { endpoint: Some(endpoint.to_owned()), ..bucket.clone() }.address(),
            None => bucket.address(),
        };
        let host = address.find("://").map_or(0, |at| at + 3);
        let path = address[host..].find('/').map_or(address.len(), |at| host + at);
        let (endpoint, path) = address.split_at(path);
        let prefix = bucket.prefix.as_ref().map(|prefix| format!("/{prefix}")).unwrap_or_default();
        let mut folder = String::new();
        push_path(&format!("{path}{prefix}"), &mut folder);
        let region = bucket.region.clone();
        Self { endpoint: Some(endpoint.to_owned()), folder, region, credentials, key: Mutex::new(None) }
    }

    /// Where the URLs lead, if not to the address by which this server was reached: scheme, host and maybe a port.
    pub fn elsewhere(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Prepares signing at `time`, for a validity of at most [`MAX_LIFE`], and no longer than that of the keys. `here` is the address by which this
    /// server was reached.
    ///
    /// # Errors
    ///
    /// `here` is no address, or there are no keys that are valid.
    pub async fn at(&self, here: &str, time: WallTime, life: Duration) -> Result<Signing, Error> {
        let credentials = self.credentials.get().await?;
        self.with(&credentials, here, time, life)
    }

    /// The same, with these keys.
    ///
    /// # Errors
    ///
    /// `here` is no address.
    pub fn with(
        &self,
        credentials: &Credentials,
        here: &str,
        time: WallTime,
        life: Duration,
    ) -> Result<Signing, Error> {
        let endpoint = self.endpoint.as_deref().unwrap_or(here).trim_end_matches('/');
        let host = endpoint.split_once("://").map(|(_, host)| host);
        let host = host.filter(|host| !host.is_empty() && !host.contains('/'));
        let host = host.ok_or_else(|| Error::Endpoint(endpoint.to_owned()))?;
        let (day, date) = amz_date(time);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut query = String::from("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
        sigv4::push_encoded(&format!("{}/{scope}", credentials.access_key), &mut query);
        let keys_live = credentials
            .until
            .map_or(MAX_LIFE, |until| Duration::from_nanos(u64::try_from(until.since(time)).unwrap_or(0)));
        let seconds = life.min(MAX_LIFE).min(keys_live).as_secs().max(1);
        query.push_str(&format!("&X-Amz-Date={date}&X-Amz-Expires={seconds}"));
        if let Some(token) = &credentials.session_token {
            query.push_str("&X-Amz-Security-Token=");
            sigv4::push_encoded(token.expose_secret(), &mut query);
        }
        query.push_str("&X-Amz-SignedHeaders=host");
        Ok(Signing {
            endpoint: endpoint.to_owned(),
            folder: self.folder.clone(),
            key: self.key_of(credentials, &day),
            query,
            head: format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n"),
            host: host.to_owned(),
            is_long: credentials.session_token.is_some(),
        })
    }

    fn key_of(&self, credentials: &Credentials, day: &str) -> SigningKey {
        let mut cached = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((of, access_key, key)) if of == day && *access_key == credentials.access_key => *key,
            _ => {
                let key = sigv4::signing_key(credentials.secret_key.expose_secret(), day, &self.region);
                *cached = Some((day.to_owned(), credentials.access_key.clone(), key));
                key
            }
        }
    }
}

impl Signing {
    /// Whether a URL has a session token in it, and about a kilobyte: a list of many had better name addresses of ours that lead there.
    pub fn is_long(&self) -> bool {
        self.is_long
    }

    /// Appends a URL for GET.
    pub fn get(&self, key: &ObjectKey, out: &mut String) {
        self.write("GET", key.as_str(), out);
    }

    /// Appends a URL for HEAD.
    pub fn head(&self, key: &ObjectKey, out: &mut String) {
        self.write("HEAD", key.as_str(), out);
    }

    fn write(&self, method: &str, key: &str, out: &mut String) {
        out.push_str(&self.endpoint);
        let path_at = out.len();
        out.push_str(&self.folder);
        out.push('/');
        push_path(key, out);
        let path = &out[path_at..];
        let mut canonical = String::with_capacity(path.len() + self.query.len() + self.host.len() + 48);
        for part in [method, "\n", path, "\n", &self.query, "\nhost:", &self.host, "\n\nhost\nUNSIGNED-PAYLOAD"] {
            canonical.push_str(part);
        }
        let mut to_sign = String::with_capacity(self.head.len() + 64);
        to_sign.push_str(&self.head);
        sigv4::push_hex(&sigv4::digest(canonical.as_bytes()), &mut to_sign);
        out.push('?');
        out.push_str(&self.query);
        out.push_str("&X-Amz-Signature=");
        sigv4::push_hex(&sigv4::sign(&self.key, to_sign.as_bytes()), out);
    }
}

/// An [`ObjectKey`] is almost its own encoding: of the characters that it may contain, only `=` is encoded.
fn push_path(key: &str, out: &mut String) {
    for (number, segment) in key.split('/').enumerate() {
        if number > 0 {
            out.push('/');
        }
        sigv4::push_encoded(segment, out);
    }
}

/// `YYYYMMDD` and `YYYYMMDDThhmmssZ`.
fn amz_date(time: WallTime) -> (String, String) {
    let timestamp = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    (timestamp.strftime("%Y%m%d").to_string(), timestamp.strftime("%Y%m%dT%H%M%SZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::Addressing;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

    fn keys() -> Credentials {
        Credentials::fixed("AKIAIOSFODNN7EXAMPLE", SECRET)
    }

    fn provider() -> Arc<Provider> {
        Arc::new(Provider::fixed(keys(), || WallTime::from_millis(0)))
    }

    fn url(presigner: &Presigner, keys: &Credentials, here: &str, life: Duration) -> String {
        let mut url = String::new();
        let signing = presigner.with(keys, here, WallTime::from_millis(1_795_439_500_000), life).unwrap();
        signing.get(&ObjectKey::parse("recordings/a=b/x.ts").unwrap(), &mut url);
        url
    }

    #[test]
    fn the_key_and_signature_of_the_published_example() {
        // "Authenticating Requests: Using Query Parameters" in the Amazon S3 API reference.
        let bucket = Bucket {
            name: "examplebucket".to_owned(),
            region: "us-east-1".to_owned(),
            endpoint: Some("https://s3.amazonaws.com".to_owned()),
            addressing: Addressing::VirtualHost,
            ..Bucket::default()
        };
        let presigner = Presigner::of_server(&bucket, None, provider());
        let time = WallTime::from_millis(1_369_353_600_000);
        let signing = presigner.with(&keys(), "", time, Duration::from_secs(86_400)).unwrap();
        let mut url = String::new();
        signing.get(&ObjectKey::parse("test.txt").unwrap(), &mut url);
        assert!(url.starts_with("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&"));
        assert!(url.ends_with("&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"));
    }

    #[test]
    fn urls_are_path_style_and_the_same_each_time() {
        let presigner = Presigner::embedded("bucket", "us-east-1".to_owned(), provider());
        let life = Duration::from_secs(90 * 86_400);
        let first = url(&presigner, &keys(), "http://127.0.0.1:8080", life);
        assert!(
            first.starts_with("http://127.0.0.1:8080/bucket/recordings/a%3Db/x.ts?X-Amz-Algorithm=AWS4-HMAC-SHA256")
        );
        assert!(first.contains("X-Amz-Date=20261123T131140Z&X-Amz-Expires=604800&"));
        assert_eq!(first, url(&presigner, &keys(), "http://127.0.0.1:8080/", life));
        assert!(presigner.with(&keys(), "ftp//x", WallTime::from_millis(0), MAX_LIFE).is_err());
    }

    #[test]
    fn urls_of_a_server_lead_to_its_public_address_and_die_with_the_keys() {
        let bucket = Bucket {
            name: "calls".to_owned(),
            prefix: Some(ObjectKey::parse("a=/b").unwrap()),
            region: "us-east-1".to_owned(),
            endpoint: Some("http://minio:9000".to_owned()),
            ..Bucket::default()
        };
        let presigner = Presigner::of_server(&bucket, Some("https://media.example.com"), provider());
        assert_eq!(presigner.elsewhere(), Some("https://media.example.com"));
        let keys = Credentials {
            session_token: Some("to/ken".into()),
            until: Some(WallTime::from_millis(1_795_439_500_000 + 90_000)),
            ..keys()
        };
        let url = url(&presigner, &keys, "http://127.0.0.1:8080", MAX_LIFE);
        assert!(url.starts_with("https://media.example.com/calls/a%3D/b/recordings/a%3Db/x.ts?X-Amz-Algorithm="));
        assert!(url.contains("&X-Amz-Expires=90&X-Amz-Security-Token=to%2Fken&X-Amz-SignedHeaders=host&"));
    }
}
