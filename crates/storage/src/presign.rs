//! Presigned URLs: grant access to one object for a limited time, by Signature Version 4 in the query.
//!
//! A playlist has a thousand of them, so everything that they share is computed once: the day's signing key, the credential scope
//! and the query. Two hashes are left for each.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;
use secrecy::ExposeSecret;

use crate::credentials::Credentials;
use crate::sigv4::{self, SigningKey};

/// The longest validity of a presigned URL: 7 days, a limit set by S3.
pub const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Makes presigned URLs for one bucket.
#[derive(Debug)]
pub struct Presigner {
    bucket: String,
    region: String,
    credentials: Credentials,
    key: Mutex<Option<(String, SigningKey)>>,
}

/// What all URLs signed at one time have in common.
pub struct Signing {
    endpoint: String,
    bucket: String,
    key: Arc<SigningKey>,
    /// The query up to the signature.
    query: String,
    /// The string to sign, up to the hash of the canonical request.
    head: String,
    host: String,
}

/// The endpoint is not `http://host` or `https://host` with an optional port, so no URL can be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an endpoint: expected http:// or https:// and a host")]
pub struct BadEndpoint(String);

impl Presigner {
    /// A presigner for path-style URLs of a bucket.
    pub fn new(bucket: String, region: String, credentials: Credentials) -> Self {
        Self { bucket, region, credentials, key: Mutex::new(None) }
    }

    /// Prepares signing at `time`, for a validity of at most [`MAX_LIFE`]. The signature covers the endpoint's host.
    pub fn at(&self, endpoint: &str, time: WallTime, life: Duration) -> Result<Signing, BadEndpoint> {
        let host = endpoint.split_once("://").map(|(_, host)| host.trim_end_matches('/'));
        let host = host.filter(|host| !host.is_empty() && !host.contains('/'));
        let host = host.ok_or_else(|| BadEndpoint(endpoint.to_owned()))?;
        let (day, date) = amz_date(time);
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let mut query = String::from("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=");
        sigv4::push_encoded(&format!("{}/{scope}", self.credentials.access_key), &mut query);
        let seconds = life.min(MAX_LIFE).as_secs().max(1);
        query.push_str(&format!("&X-Amz-Date={date}&X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host"));
        Ok(Signing {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            bucket: self.bucket.clone(),
            key: Arc::new(self.key_of(&day)),
            query,
            head: format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n"),
            host: host.to_owned(),
        })
    }

    fn key_of(&self, day: &str) -> SigningKey {
        let mut cached = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((of, key)) if of == day => *key,
            _ => {
                let key = sigv4::signing_key(self.credentials.secret_key.expose_secret(), day, &self.region);
                *cached = Some((day.to_owned(), key));
                key
            }
        }
    }
}

impl Signing {
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
        out.push('/');
        out.push_str(&self.bucket);
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

    fn presigner(bucket: &str) -> Presigner {
        let credentials = Credentials::fixed("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        Presigner::new(bucket.to_owned(), "us-east-1".to_owned(), credentials)
    }

    #[test]
    fn the_key_and_signature_of_the_published_example() {
        // "Authenticating Requests: Using Query Parameters" in the Amazon S3 API reference: virtual-hosted style, so the canonical
        // request is written out here.
        let presigner = presigner("examplebucket");
        let time = WallTime::from_millis(1_369_353_600_000);
        let signing =
            presigner.at("https://examplebucket.s3.amazonaws.com", time, Duration::from_secs(86_400)).unwrap();
        let canonical =
            format!("GET\n/test.txt\n{}\nhost:examplebucket.s3.amazonaws.com\n\nhost\nUNSIGNED-PAYLOAD", signing.query);
        let mut to_sign = signing.head.clone();
        sigv4::push_hex(&sigv4::digest(canonical.as_bytes()), &mut to_sign);
        let signature = hex::encode(sigv4::sign(&signing.key, to_sign.as_bytes()));
        assert_eq!(signature, "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    }

    #[test]
    fn urls_are_path_style_and_the_same_each_time() {
        let presigner = presigner("bucket");
        let time = WallTime::from_millis(1_795_439_500_000);
        let url = |endpoint: &str| {
            let mut url = String::new();
            let signing = presigner.at(endpoint, time, Duration::from_secs(90 * 86_400)).unwrap();
            signing.get(&ObjectKey::parse("recordings/a=b/x.ts").unwrap(), &mut url);
            url
        };
        let first = url("http://127.0.0.1:8080");
        assert!(
            first.starts_with("http://127.0.0.1:8080/bucket/recordings/a%3Db/x.ts?X-Amz-Algorithm=AWS4-HMAC-SHA256")
        );
        assert!(first.contains("X-Amz-Date=20261123T131140Z&X-Amz-Expires=604800&"));
        assert_eq!(first, url("http://127.0.0.1:8080/"));
        assert!(presigner.at("ftp//x", time, MAX_LIFE).is_err());
    }
}
