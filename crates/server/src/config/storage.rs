//! Where objects are kept: in the data directory, in another folder, or in a bucket of an S3 server.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use echosphere_domain::key::ObjectKey;
use echosphere_storage::s3::{Addressing, Encryption};
use secrecy::SecretString;

use super::value;

/// The bucket, where none is named.
const BUCKET: &str = "echosphere-recordings";
/// The region, where none is named.
const REGION: &str = "ap-northeast-1";

/// Where objects are kept.
#[derive(Debug, Clone)]
pub struct Storage {
    /// In what.
    pub place: Place,
    /// The bucket's name; without an S3 server that of the embedded endpoint, and its first path segment.
    pub bucket: String,
    /// The region that signatures name.
    pub region: String,
    /// How an S3 server is reached.
    pub s3: S3,
    /// The keys of a bucket that was used before `storage.url` was changed, where those of now do not open it.
    pub earlier_keys: Option<(String, SecretString)>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            place: Place::DataDir,
            bucket: BUCKET.to_owned(),
            region: REGION.to_owned(),
            s3: S3::default(),
            earlier_keys: None,
        }
    }
}

impl Storage {
    /// Whether it is in a bucket of an S3 server.
    pub fn is_s3(&self) -> bool {
        matches!(self.place, Place::S3 { .. })
    }
}

/// In what objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder of the data directory.
    DataDir,
    /// In another folder.
    Folder(PathBuf),
    /// In a bucket of an S3 server.
    S3 {
        /// The folder in the bucket, if it is not the whole bucket.
        prefix: Option<ObjectKey>,
    },
}

/// How an S3 server is reached.
#[derive(Debug, Clone, Default)]
pub struct S3 {
    /// Its address for this server; `None` is AWS's own in the region.
    pub endpoint: Option<String>,
    /// Its address for browsers, where that is another one.
    pub public_endpoint: Option<String>,
    /// How the bucket's name is said; `None` is as a part of the host's name for AWS, and in the path for others.
    pub addressing: Option<Addressing>,
    /// How what is written is encrypted there.
    pub encryption: Encryption,
    /// A certificate authority (PEM) that its certificate may be signed by, besides the public ones.
    pub ca: Option<PathBuf>,
    /// Its keys; without them those of AWS's own ways (environment, profile, web identity, container, instance).
    pub keys: Option<(String, SecretString)>,
    /// The variables by which AWS's own ways find them.
    pub environment: HashMap<String, String>,
}

/// Storage in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) url: Option<Url>,
    pub(super) bucket: Option<String>,
    pub(super) region: Option<String>,
    pub(super) access_key: Option<String>,
    pub(super) secret_key: Option<SecretString>,
    pub(super) earlier_access_key: Option<String>,
    pub(super) earlier_secret_key: Option<SecretString>,
    pub(super) s3: S3,
}

/// What `storage.url` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Url {
    Folder(PathBuf),
    Bucket { name: Option<String>, prefix: Option<ObjectKey> },
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Folder(PathBuf::from(path))),
            Some(("file", _)) => Err(format!("{text:?} has no absolute path: expected file:///PATH")),
            Some(("s3", place)) => {
                let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
                let prefix = prefix.trim_matches('/');
                let name = if name.is_empty() { None } else { Some(value::bucket_name(name)?) };
                let prefix = if prefix.is_empty() {
                    None
                } else {
                    let wanted = |_| {
                        format!(
                            "{prefix:?} is not a folder in a bucket: expected letters, digits and ._=- between slashes"
                        )
                    };
                    Some(ObjectKey::parse(prefix).map_err(wanted)?)
                };
                Ok(Self::Bucket { name, prefix })
            }
            _ => Err(format!(
                "{text:?} is not a storage that this version knows: expected file:///PATH or s3://BUCKET/PREFIX"
            )),
        }
    }
}

impl Draft {
    /// Brings together what the settings and the environment say. The error says which of them contradict each other.
    pub(super) fn finish(self, environment: &BTreeMap<String, String>) -> Result<Storage, String> {
        let Self { url, bucket, region, access_key, secret_key, earlier_access_key, earlier_secret_key, mut s3 } = self;
        let named = match &url {
            Some(Url::Bucket { name: Some(name), .. }) => Some(name.clone()),
            _ => None,
        };
        if let (Some(named), Some(bucket)) = (&named, &bucket)
            && named != bucket
        {
            return Err(format!(
                "storage.url names the bucket {named}, and storage.bucket {bucket}; leave storage.bucket out"
            ));
        }
        let variable =
            |names: &[&str]| names.iter().find_map(|name| environment.get(*name).filter(|text| !text.is_empty()));
        let place = match url {
            None => Place::DataDir,
            Some(Url::Folder(path)) => Place::Folder(path),
            Some(Url::Bucket { prefix, .. }) => Place::S3 { prefix },
        };
        let is_s3 = matches!(place, Place::S3 { .. });
        s3.keys = value::pair(access_key, secret_key, "storage.access_key and storage.secret_key")?;
        let earlier = "storage.earlier_access_key and storage.earlier_secret_key";
        let earlier_keys = value::pair(earlier_access_key, earlier_secret_key, earlier)?;
        if !is_s3 && (s3.endpoint.is_some() || s3.public_endpoint.is_some() || s3.keys.is_some()) {
            return Err("storage.endpoint, storage.public_endpoint and the keys belong to an S3 server; set storage.url to s3://BUCKET/PREFIX".to_owned());
        }
        let of_aws = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]).filter(|_| is_s3);
        if let (None, Some(endpoint)) = (&s3.endpoint, of_aws) {
            let wrong = |reason| format!("AWS_ENDPOINT_URL: {reason}");
            s3.endpoint = Some(value::public_url(endpoint).map_err(wrong)?);
        }
        // For a bucket of before, too.
        let is_aws = |name: &String| name.starts_with("AWS_") || name == "HOME";
        let known = environment.iter().filter(|(name, _)| is_aws(name));
        s3.environment = known.map(|(name, text)| (name.clone(), text.clone())).collect();
        let of_aws = || variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]).filter(|_| is_s3).cloned();
        let region = region.or_else(of_aws).unwrap_or_else(|| REGION.to_owned());
        let bucket = named.or(bucket).unwrap_or_else(|| BUCKET.to_owned());
        Ok(Storage { place, bucket, region, s3, earlier_keys })
    }
}

/// How a bucket's name is said: `path` or `virtual`.
pub(super) fn addressing(text: &str) -> Result<Addressing, String> {
    match text {
        "path" => Ok(Addressing::Path),
        "virtual" => Ok(Addressing::VirtualHost),
        _ => Err(format!("{text:?} is neither path nor virtual")),
    }
}

/// How objects are encrypted: `bucket`, `s3` or `kms:KEY`.
pub(super) fn encryption(text: &str) -> Result<Encryption, String> {
    match text.split_once(':') {
        None if text == "bucket" => Ok(Encryption::Bucket),
        None if text == "s3" => Ok(Encryption::S3),
        Some(("kms", key)) if !key.is_empty() => Ok(Encryption::Kms(key.to_owned())),
        _ => Err(format!("{text:?} is neither bucket nor s3 nor kms: and the id of a key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn storage(url: &str, bucket: Option<&str>, environment: &[(&str, &str)]) -> Result<Storage, String> {
        let draft = Draft { url: Some(Url::parse(url)?), bucket: bucket.map(str::to_owned), ..Draft::default() };
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        draft.finish(&environment)
    }

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        assert_eq!(storage("file:///var/lib/x", None, &[]).unwrap().place, Place::Folder(PathBuf::from("/var/lib/x")));
        assert!(storage("file://x", None, &[]).unwrap_err().contains("file:///PATH"));
        assert!(storage("gs://bucket", None, &[]).unwrap_err().contains("gs://bucket"));
        let there = storage("s3://calls/a/b/", None, &[]).unwrap();
        let prefix = Some(ObjectKey::parse("a/b").unwrap());
        assert_eq!((there.bucket.as_str(), there.place), ("calls", Place::S3 { prefix }));
        let plain = storage("s3://", None, &[]).unwrap();
        assert_eq!((plain.bucket.as_str(), plain.region.as_str()), (BUCKET, REGION));
        assert!(storage("s3://calls/a//b", None, &[]).is_err());
        assert!(storage("s3://Calls", None, &[]).is_err());
    }

    #[test]
    fn the_url_wins_and_what_differs_is_an_error() {
        assert_eq!(storage("s3://calls", Some("calls"), &[]).unwrap().bucket, "calls");
        assert_eq!(storage("s3:///prefix", Some("calls"), &[]).unwrap().bucket, "calls");
        assert!(storage("s3://calls", Some("others"), &[]).unwrap_err().contains("others"));
        assert!(
            storage("s3://calls", None, &[("AWS_ENDPOINT_URL", "nowhere")]).unwrap_err().contains("AWS_ENDPOINT_URL")
        );
    }

    #[test]
    fn awss_own_variables_mean_what_they_mean() {
        let environment = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ENDPOINT_URL", "http://minio:9000"),
            ("HOME", "/root"),
            ("PATH", "/bin"),
        ];
        let there = storage("s3://calls", None, &environment).unwrap();
        assert_eq!((there.region.as_str(), there.s3.endpoint.as_deref()), ("eu-west-1", Some("http://minio:9000")));
        assert_eq!(there.s3.environment.len(), 3);
        assert_eq!(storage("file:///x", None, &environment).unwrap().region, REGION);
    }
}
