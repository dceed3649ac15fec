//! Opens the bucket that the configuration names.

use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Addressing, Bucket, S3Store};

use super::Error;
use super::s3_requests::S3Requests;
use crate::clock;
use crate::config::{Place, Storage};

/// The bucket of a configuration, whoever it belongs to, and who signs URLs for it.
///
/// # Errors
///
/// It names none, or its settings cannot be.
pub fn bucket_of(storage: &Storage) -> Result<(S3Store, Presigner), Error> {
    match &storage.place {
        Place::S3 { prefix } => s3(storage, prefix.clone()),
        Place::DataDir | Place::Folder(_) => Err(Error::NoBucket),
    }
}

/// How the name of a bucket is said, where the configuration does not say it.
pub(super) fn addressing(storage: &Storage) -> Addressing {
    storage.s3.addressing.unwrap_or(match storage.s3.endpoint {
        Some(_) => Addressing::Path,
        None => Addressing::VirtualHost,
    })
}

fn s3(storage: &Storage, prefix: Option<ObjectKey>) -> Result<(S3Store, Presigner), Error> {
    let s3 = &storage.s3;
    let ca =
        s3.ca.as_ref().map(|path| std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source }));
    let bucket = Bucket {
        name: storage.bucket.clone(),
        prefix,
        region: storage.region.clone(),
        endpoint: s3.endpoint.clone(),
        addressing: addressing(storage),
        encryption: s3.encryption.clone(),
        ca: ca.transpose()?,
    };
    let credentials = match &s3.keys {
        Some((access_key, secret_key)) => {
            Provider::fixed(Credentials::fixed(access_key, secret_key.clone()), clock::now)
        }
        None => Provider::chain(s3.environment.clone(), clock::now)?,
    };
    let credentials = Arc::new(credentials);
    let presigner = Presigner::of_server(&bucket, s3.public_endpoint.as_deref(), Arc::clone(&credentials));
    Ok((S3Store::open(bucket, credentials, Arc::new(S3Requests))?, presigner))
}
