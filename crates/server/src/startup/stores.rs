//! Opens the database and the object storage of a configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use echosphere_storage::ObjectStore;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::presign::Presigner;
use echosphere_store::{PlaceId, Store, sqlite};

use super::bucket::bucket_of;
use super::{Error, places};
use crate::config::{Config, Place};
use crate::data_dir::DataDir;
use crate::{clock, data_dir, private};

/// Object storage, and who signs URLs for it.
pub struct Objects {
    /// The objects, in the place that is written to.
    pub bytes: Arc<dyn ObjectStore>,
    /// Places of before that still have something.
    pub earlier: BTreeMap<PlaceId, Arc<dyn ObjectStore>>,
    /// Signs URLs at which they are read.
    pub presigner: Presigner,
    /// The keys of the embedded S3 endpoint, if it serves them.
    pub embedded: Option<Credentials>,
}

/// The database and the object storage of a configuration.
pub async fn open(config: &Config, data: &DataDir) -> Result<(Arc<dyn Store>, Objects), Error> {
    let database = config.database.clone().unwrap_or_else(|| data.database());
    let store: Arc<dyn Store> = Arc::new(sqlite::open(&database).await?);
    // If it lies outside of the data directory, an earlier version or a volume may have left it readable by others.
    private::close(private::database_files(&database).iter().map(AsRef::as_ref))?;
    let places::Places { here, earlier } = places::open(config, data, store.as_ref()).await?;
    let objects = match &config.storage.place {
        Place::DataDir | Place::Folder(_) => Objects { earlier, ..embedded(here, config, data)? },
        Place::S3 { .. } => Objects { bytes: here, earlier, presigner: bucket_of(&config.storage)?.1, embedded: None },
    };
    Ok((store, objects))
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
    Ok(Objects { bytes, earlier: BTreeMap::new(), presigner, embedded: Some(keys) })
}
