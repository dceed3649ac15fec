//! The entries of the settings table about where objects are kept: keys, variables, defaults.

use super::{Setting, secret, sweep_every};
use crate::config::storage::{self, Url};
use crate::config::value;

/// In the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "storage.url",
        variable: "ECHOSPHERE_STORAGE_URL",
        default: "objects in the data directory",
        meaning: "Where objects are kept: file:///PATH, or s3://BUCKET/PREFIX for a bucket of an S3 server (docs/s3.md).",
        apply: set!(storage.url, Url::parse),
    },
    Setting {
        key: "storage.bucket",
        variable: "ECHOSPHERE_STORAGE_BUCKET",
        default: "echosphere-recordings",
        meaning: "The bucket's name, where storage.url names none; without an S3 server the first path segment of presigned URLs.",
        apply: set!(storage.bucket, value::bucket),
    },
    Setting {
        key: "storage.region",
        variable: "ECHOSPHERE_STORAGE_REGION",
        default: "AWS_REGION with s3://, else ap-northeast-1",
        meaning: "The region of the bucket, which presigned URLs name.",
        apply: set!(storage.region, value::text),
    },
    Setting {
        key: "storage.endpoint",
        variable: "ECHOSPHERE_STORAGE_ENDPOINT",
        default: "AWS_ENDPOINT_URL, else AWS's own",
        meaning: "The address of the S3 server, such as http://minio:9000.",
        apply: set!(storage.s3.endpoint, value::public_url),
    },
    Setting {
        key: "storage.public_endpoint",
        variable: "ECHOSPHERE_STORAGE_PUBLIC_ENDPOINT",
        default: "storage.endpoint",
        meaning: "The address of the S3 server for browsers, where that is another one: presigned URLs name it.",
        apply: set!(storage.s3.public_endpoint, value::public_url),
    },
    Setting {
        key: "storage.addressing",
        variable: "ECHOSPHERE_STORAGE_ADDRESSING",
        default: "path with storage.endpoint, else virtual",
        meaning: "How URLs name the bucket: path (as their first path segment) or virtual (as the first part of the host's name).",
        apply: set!(storage.s3.addressing, storage::addressing),
    },
    Setting {
        key: "storage.access_key",
        variable: "ECHOSPHERE_STORAGE_ACCESS_KEY",
        default: "as AWS's own programs find it",
        meaning: "The access key for the S3 server; without it those of the environment, a profile, a web identity, a container or an instance are used.",
        apply: set!(storage.access_key, value::text),
    },
    Setting {
        key: "storage.secret_key",
        variable: "ECHOSPHERE_STORAGE_SECRET_KEY",
        default: "as AWS's own programs find it",
        meaning: "The secret key that belongs to it.",
        // The S3 server decides what is strong enough: MinIO's own default has ten characters.
        apply: |draft, text| {
            draft.storage.secret_key = Some(value::text(text).map(Into::into)?);
            Ok(())
        },
    },
    Setting {
        key: "storage.earlier_access_key",
        variable: "ECHOSPHERE_STORAGE_EARLIER_ACCESS_KEY",
        default: "as for the bucket of now",
        meaning: "The access key for the bucket that was used before storage.url was changed, while something is still there (docs/s3.md).",
        apply: set!(storage.earlier_access_key, value::text),
    },
    Setting {
        key: "storage.earlier_secret_key",
        variable: "ECHOSPHERE_STORAGE_EARLIER_SECRET_KEY",
        default: "as for the bucket of now",
        meaning: "The secret key that belongs to it.",
        apply: |draft, text| {
            draft.storage.earlier_secret_key = Some(value::text(text).map(Into::into)?);
            Ok(())
        },
    },
    Setting {
        key: "storage.ca_file",
        variable: "ECHOSPHERE_STORAGE_CA_FILE",
        default: "none",
        meaning: "A certificate authority (PEM) that the S3 server's certificate may be signed by, besides the public ones.",
        apply: set!(storage.s3.ca, value::path),
    },
    Setting {
        key: "storage.encryption",
        variable: "ECHOSPHERE_STORAGE_ENCRYPTION",
        default: "bucket",
        meaning: "How the S3 server encrypts what is written: bucket (as the bucket's own setting says), s3 (SSE-S3), or kms:KEY (SSE-KMS with the key of this id).",
        apply: set!(storage.s3.encryption, storage::encryption),
    },
    Setting {
        key: "storage.sweep_after",
        variable: "ECHOSPHERE_STORAGE_SWEEP_AFTER",
        default: "24h",
        meaning: "How old an object of ours that nothing needs must be before it is deleted.",
        apply: set!(config.sweep_after, value::duration),
    },
    Setting {
        key: "storage.sweep_every",
        variable: "ECHOSPHERE_STORAGE_SWEEP_EVERY",
        default: "1h",
        meaning: "How often to look for such objects.",
        apply: set!(config.sweep_every, sweep_every),
    },
    Setting {
        key: "s3.access_key",
        variable: "ECHOSPHERE_S3_ACCESS_KEY",
        default: "made at the first start",
        meaning: "The access key of the embedded S3 endpoint; set together with s3.secret_key.",
        apply: set!(s3_access_key, value::text),
    },
    Setting {
        key: "s3.secret_key",
        variable: "ECHOSPHERE_S3_SECRET_KEY",
        default: "made at the first start",
        meaning: "The secret key of the embedded S3 endpoint.",
        apply: set!(s3_secret_key, secret),
    },
];
