//! Opens the database and the object storage of a configuration.

use std::path::Path;
use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::local::LocalStore;
use echosphere_storage::marked::{Kind, MarkedStore};
use echosphere_storage::presign::Presigner;
use echosphere_storage::s3::{Addressing, Bucket, S3Store};
use echosphere_store::{Store, sqlite};

use super::Error;
use super::s3_requests::S3Requests;
use crate::config::{Config, Place, Storage};
use crate::data_dir::{DataDir, STORE_ID};
use crate::{clock, data_dir, entropy, private};

/// Object storage, and who signs URLs for it.
pub struct Objects {
    /// The objects.
    pub bytes: Arc<dyn ObjectStore>,
    /// Signs URLs at which they are read.
    pub presigner: Presigner,
    /// The keys of the embedded S3 endpoint, if it serves them.
    pub embedded: Option<Credentials>,
}

/// The database and the object storage of a configuration.
pub(super) async fn open(config: &Config, data: &DataDir) -> Result<(Arc<dyn Store>, Objects), Error> {
    let database = config.database.clone().unwrap_or_else(|| data.database());
    let store: Arc<dyn Store> = Arc::new(sqlite::open(&database).await?);
    // If it lies outside of the data directory, an earlier version or a volume may have left it readable by others.
    private::close(private::database_files(&database).iter().map(AsRef::as_ref))?;
    let storage = &config.storage;
    let objects = match &storage.place {
        Place::DataDir => directory(&data.objects(), config, data).await?,
        Place::Folder(root) => directory(root, config, data).await?,
        Place::S3 { prefix } => bucket(storage, prefix.clone(), data).await?,
    };
    Ok((store, objects))
}

async fn directory(root: &Path, config: &Config, data: &DataDir) -> Result<Objects, Error> {
    let storage = &config.storage;
    let local = LocalStore::open(root, &storage.bucket)?;
    let bytes = marked(local, Kind::Directory, data, &root.display().to_string()).await?;
    private::close([root.join(&storage.bucket).as_path()])?;
    Ok(embedded(bytes, config, data)?)
}

/// Objects that are served by the embedded S3 endpoint.
pub fn embedded(bytes: Arc<dyn ObjectStore>, config: &Config, data: &DataDir) -> Result<Objects, data_dir::Error> {
    let keys = match &config.s3_credentials {
        Some((access_key, secret_key)) => Credentials::fixed(access_key, secret_key.clone()),
        None => Credentials::fixed("echosphere", data.secret("s3-secret-key")?),
    };
    let storage = &config.storage;
    let provider = Arc::new(Provider::fixed(keys.clone(), clock::now));
    let presigner = Presigner::embedded(&storage.bucket, storage.region.clone(), provider);
    Ok(Objects { bytes, presigner, embedded: Some(keys) })
}

async fn bucket(storage: &Storage, prefix: Option<ObjectKey>, data: &DataDir) -> Result<Objects, Error> {
    let (there, presigner) = s3(storage, prefix)?;
    let place = there.bucket().address();
    let bytes = marked(there, Kind::Bucket, data, &place).await?;
    Ok(Objects { bytes, presigner, embedded: None })
}

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

fn s3(storage: &Storage, prefix: Option<ObjectKey>) -> Result<(S3Store, Presigner), Error> {
    let s3 = &storage.s3;
    let ca =
        s3.ca.as_ref().map(|path| std::fs::read(path).map_err(|source| Error::File { path: path.clone(), source }));
    let bucket = Bucket {
        name: storage.bucket.clone(),
        prefix,
        region: storage.region.clone(),
        endpoint: s3.endpoint.clone(),
        addressing: s3.addressing.unwrap_or(match s3.endpoint {
            Some(_) => Addressing::Path,
            None => Addressing::VirtualHost,
        }),
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

/// Opens a store as the one that belongs to the data directory.
async fn marked<S: ObjectStore>(
    store: S,
    kind: Kind,
    data: &DataDir,
    place: &str,
) -> Result<Arc<dyn ObjectStore>, Error> {
    let known = data.store_id();
    let new = entropy::uuid(clock::now()).to_string();
    let is_new = known.is_none();
    let store = MarkedStore::open(store, kind, known, new).await?;
    if is_new {
        data.write_private(STORE_ID, store.id())?;
    }
    if let Err(error) = store.prove().await {
        tracing::error!(%error, place, "nothing is read from object storage or written to it; what is recorded waits on the disk");
    }
    Ok(Arc::new(store))
}
