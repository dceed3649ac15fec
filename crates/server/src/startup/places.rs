//! Opens the place that objects are written to, and those of before the setting was changed, each known by its marker
//! (docs/decisions/0016-places.md).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_storage::local::LocalStore;
use echosphere_storage::marked::{Kind, MARKER, MarkedStore};
use echosphere_storage::s3::{Addressing, S3Store};
use echosphere_storage::{Error as StorageError, ObjectStore};
use echosphere_store::{PlaceId, Store};
use serde::{Deserialize, Serialize};

use super::Error;
use super::bucket::{addressing, bucket_of};
use super::unreachable::Unreachable;
use crate::config::{self, Config, Storage};
use crate::data_dir::{DataDir, NEW_STORE_ID, STORE_ID};
use crate::{clock, entropy, private};

/// The place of what earlier versions wrote.
const FIRST: PlaceId = PlaceId(1);

/// How a place is reached, without keys, as its row has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Place {
    DataDir {
        bucket: String,
    },
    Folder {
        path: PathBuf,
        bucket: String,
    },
    Bucket {
        bucket: String,
        prefix: Option<ObjectKey>,
        region: String,
        endpoint: Option<String>,
        is_virtual_host: bool,
        ca: Option<PathBuf>,
    },
}

impl Place {
    fn of(storage: &Storage) -> Self {
        let bucket = storage.bucket.clone();
        match &storage.place {
            config::Place::DataDir => Self::DataDir { bucket },
            config::Place::Folder(path) => Self::Folder { path: path.clone(), bucket },
            config::Place::S3 { prefix } => Self::Bucket {
                bucket,
                prefix: prefix.clone(),
                region: storage.region.clone(),
                endpoint: storage.s3.endpoint.clone(),
                is_virtual_host: addressing(storage) == Addressing::VirtualHost,
                ca: storage.s3.ca.clone(),
            },
        }
    }

    /// The text of its row.
    fn noted(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::Places(error.to_string()))
    }

    /// Whether it is the same place, even if it is reached in another way.
    fn is(&self, other: &Self) -> bool {
        let name = |place: &Self| match place {
            Self::Bucket { bucket, prefix, endpoint, .. } => Some((bucket.clone(), prefix.clone(), endpoint.clone())),
            Self::DataDir { .. } | Self::Folder { .. } => None,
        };
        match (name(self), name(other)) {
            (None, None) => self == other,
            (ours, theirs) => ours == theirs,
        }
    }

    /// The settings by which a place of before is opened: its keys are those that are configured for it, or those of now.
    fn settings(&self, now: &Storage) -> Storage {
        let mut then = now.clone();
        match self {
            Self::DataDir { bucket } => (then.place, then.bucket) = (config::Place::DataDir, bucket.clone()),
            Self::Folder { path, bucket } => {
                (then.place, then.bucket) = (config::Place::Folder(path.clone()), bucket.clone());
            }
            Self::Bucket { bucket, prefix, region, endpoint, is_virtual_host, ca } => {
                then.place = config::Place::S3 { prefix: prefix.clone() };
                (then.bucket, then.region) = (bucket.clone(), region.clone());
                (then.s3.endpoint, then.s3.ca) = (endpoint.clone(), ca.clone());
                then.s3.addressing = Some(if *is_virtual_host { Addressing::VirtualHost } else { Addressing::Path });
                then.s3.keys = now.earlier_keys.clone().or_else(|| now.s3.keys.clone());
            }
        }
        then
    }
}

/// Bytes in a place, whoever they belong to.
#[derive(Debug, Clone)]
enum Unmarked {
    Directory(LocalStore, PathBuf),
    Bucket(S3Store),
}

impl Unmarked {
    fn open(storage: &Storage, data: &DataDir) -> Result<Self, Error> {
        let Some(root) = root(storage, data) else { return Ok(Self::Bucket(bucket_of(storage)?.0)) };
        let local = LocalStore::open(&root, &storage.bucket)?;
        private::close([root.join(&storage.bucket).as_path()])?;
        Ok(Self::Directory(local, root))
    }

    /// Opens it as the one with this marker; without one, as a new one.
    async fn marked(self, known: Option<String>, new: &str) -> Result<Opened, StorageError> {
        match self {
            Self::Directory(local, root) => {
                let store = MarkedStore::open(local, Kind::Directory, known, new.to_owned()).await?;
                Ok(Opened::of(store, &root.display().to_string()).await)
            }
            Self::Bucket(there) => {
                let address = there.bucket().address();
                let store = MarkedStore::open(there, Kind::Bucket, known, new.to_owned()).await?;
                Ok(Opened::of(store, &address).await)
            }
        }
    }
}

/// The folder that objects are in; `None` where they are in a bucket.
fn root(storage: &Storage, data: &DataDir) -> Option<PathBuf> {
    match &storage.place {
        config::Place::DataDir => Some(data.objects()),
        config::Place::Folder(root) => Some(root.clone()),
        config::Place::S3 { .. } => None,
    }
}

/// An open place.
struct Opened {
    marker: String,
    bytes: Arc<dyn ObjectStore>,
}

impl Opened {
    async fn of<S: ObjectStore>(store: MarkedStore<S>, place: &str) -> Self {
        if let Err(error) = store.prove().await {
            tracing::error!(%error, place, "nothing is read from object storage or written to it; what is recorded waits on the disk");
        }
        Self { marker: store.id().to_owned(), bytes: Arc::new(store) }
    }
}

/// The id in the marker of the place that a configuration names; `None` where nobody has written.
///
/// # Errors
///
/// It cannot be read.
pub async fn marker_of(config: &Config, data: &DataDir) -> Result<Option<String>, Error> {
    Ok(match Unmarked::open(&config.storage, data)? {
        Unmarked::Directory(local, _) => local.marker().await?,
        Unmarked::Bucket(there) => there.marker().await?,
    })
}

/// A place that was used, as its row has it.
struct Known {
    id: PlaceId,
    marker: String,
    place: Option<Place>,
}

async fn known(rows: &dyn Store) -> Result<Vec<Known>, Error> {
    let places = rows.places().await?.into_iter();
    Ok(places
        .map(|row| Known { id: row.id, marker: row.marker, place: serde_json::from_str(&row.settings).ok() })
        .collect())
}

/// The place that is written to, and those of before that have something.
pub(super) struct Places {
    pub(super) here: Arc<dyn ObjectStore>,
    pub(super) earlier: BTreeMap<PlaceId, Arc<dyn ObjectStore>>,
}

/// Opens the places of a configuration.
pub(super) async fn open(config: &Config, data: &DataDir, rows: &dyn Store) -> Result<Places, Error> {
    let place = Place::of(&config.storage);
    note_first(config, &place, data, rows).await?;
    let before = known(rows).await?;
    let opened = open_here(config, data, &place, &before).await?;
    if data.store_id().as_ref() != Some(&opened.marker) {
        data.write_private(STORE_ID, &opened.marker)?;
    }
    let is_noted =
        before.first().is_some_and(|first| first.marker == opened.marker && first.place.as_ref() == Some(&place));
    if !is_noted {
        rows.use_place(&opened.marker, &place.noted()?, clock::now()).await?;
    }
    data.remove(NEW_STORE_ID)?;
    if before.first().is_some_and(|first| first.marker != opened.marker) {
        tracing::info!(
            "object storage is another one than before: what comes is written there; what was kept stays where it is and plays from \
             there, until `echosphere storage move` brings it over"
        );
    }
    Ok(Places { here: opened.bytes, earlier: earlier(config, data, rows).await? })
}

/// Earlier versions noted no places. If they wrote something, and the setting names another place than they had, notes theirs.
async fn note_first(config: &Config, place: &Place, data: &DataDir, rows: &dyn Store) -> Result<(), Error> {
    let is_first = rows.places().await?.is_empty() && rows.is_in_use(FIRST).await?;
    if !is_first || matches!(place, Place::DataDir { .. }) {
        return Ok(());
    }
    let root = data.objects();
    let (marker, was) = match data.store_id() {
        Some(id) => match folder_in(&root, |folder| folder.join(MARKER).join(&id).is_dir()) {
            Some(bucket) => (id, Place::DataDir { bucket }.noted()?),
            None if marker_of(config, data).await?.as_ref() == Some(&id) => return Ok(()),
            // Another folder, which nobody knows any more: nothing of it is called lost.
            None => (id, "{}".to_owned()),
        },
        // Markers came later.
        None => match folder_in(&root, |folder| folder.join("recordings").is_dir()) {
            Some(bucket) => {
                let local = LocalStore::open(&root, &bucket)?;
                let new = entropy::uuid(clock::now()).to_string();
                let marked = MarkedStore::open(local, Kind::Directory, None, new).await?;
                (marked.id().to_owned(), Place::DataDir { bucket }.noted()?)
            }
            None => return Ok(()),
        },
    };
    rows.use_place(&marker, &was, clock::now()).await?;
    Ok(())
}

/// The name of a folder in a directory that is what it is to be.
fn folder_in(root: &Path, is_it: impl Fn(&Path) -> bool) -> Option<String> {
    let folders = std::fs::read_dir(root).ok()?.flatten().filter(|folder| is_it(&folder.path()));
    folders.into_iter().find_map(|folder| folder.file_name().into_string().ok())
}

async fn open_here(config: &Config, data: &DataDir, place: &Place, before: &[Known]) -> Result<Opened, Error> {
    let file = data.store_id();
    let is_changed = before.first().is_some_and(|first| !first.place.as_ref().is_some_and(|was| was.is(place)));
    let expected = match &file {
        _ if !is_changed => file,
        // Somebody wrote into the file which one it is.
        Some(id) if before.iter().all(|known| known.marker != *id) => file,
        _ => before
            .iter()
            .find(|known| known.place.as_ref().is_some_and(|was| was.is(place)))
            .map(|known| known.marker.clone()),
    };
    // Kept until it is noted: a process that dies after it has made the marker finds its own.
    let new = match data.kept(NEW_STORE_ID) {
        Some(new) => new,
        None if expected.is_none() => {
            let new = entropy::uuid(clock::now()).to_string();
            data.write_private(NEW_STORE_ID, &new)?;
            new
        }
        None => String::new(),
    };
    let unmarked = Unmarked::open(&config.storage, data)?;
    match unmarked.clone().marked(expected, &new).await {
        // The same place, at another address.
        Err(StorageError::Taken { id }) if before.iter().any(|known| known.marker == id) => {
            Ok(unmarked.marked(Some(id), &new).await?)
        }
        opened => Ok(opened?),
    }
}

/// The places of before that have something. What cannot be opened is said in the log, and whoever needs it is told.
async fn earlier(
    config: &Config,
    data: &DataDir,
    rows: &dyn Store,
) -> Result<BTreeMap<PlaceId, Arc<dyn ObjectStore>>, Error> {
    let mut open: BTreeMap<PlaceId, Arc<dyn ObjectStore>> = BTreeMap::new();
    for known in known(rows).await?.into_iter().skip(1) {
        if !rows.is_in_use(known.id).await? {
            continue;
        }
        let bytes = open_earlier(config, data, &known).await.unwrap_or_else(|error| {
            let why = error.to_string();
            tracing::error!(
                place = known.id.0, settings = ?known.place, why,
                "what was kept before the setting was changed cannot be reached; its recordings do not play, and none is deleted"
            );
            Arc::new(Unreachable { why })
        });
        open.insert(known.id, bytes);
    }
    Ok(open)
}

async fn open_earlier(config: &Config, data: &DataDir, known: &Known) -> Result<Arc<dyn ObjectStore>, Error> {
    let Some(place) = &known.place else {
        let why = "nobody noted how it is reached: set storage.url to where it is, start once, and change it then";
        return Err(Error::Places(why.to_owned()));
    };
    let storage = place.settings(&config.storage);
    if let Some(folder) = root(&storage, data).filter(|folder| !folder.is_dir()) {
        return Err(Error::Places(format!("there is no folder {}", folder.display())));
    }
    Ok(Unmarked::open(&storage, data)?.marked(Some(known.marker.clone()), "").await?.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_is_reached_in_another_way_is_the_same_place() {
        let place = |endpoint: &str, region: &str| Place::Bucket {
            bucket: "calls".to_owned(),
            prefix: None,
            region: region.to_owned(),
            endpoint: Some(endpoint.to_owned()),
            is_virtual_host: false,
            ca: None,
        };
        let first = place("http://minio:9000", "a");
        assert!(first.is(&place("http://minio:9000", "b")) && !first.is(&place("http://other:9000", "a")));
        let folder = |path: &str| Place::Folder { path: path.into(), bucket: "calls".to_owned() };
        assert!(folder("/a").is(&folder("/a")) && !folder("/a").is(&folder("/b")) && !folder("/a").is(&first));
        let text = serde_json::to_string(&first).unwrap();
        assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), first);
    }

    #[test]
    fn a_place_of_before_has_the_keys_that_are_named_for_it() {
        let keys = |name: &str| Some((name.to_owned(), "secret".into()));
        let mut now = Storage { place: config::Place::S3 { prefix: None }, ..Storage::default() };
        now.s3.keys = keys("now");
        let then = Place::of(&now).settings(&now);
        assert_eq!(then.s3.keys.unwrap().0, "now");
        now.earlier_keys = keys("then");
        assert_eq!(Place::of(&now).settings(&now).s3.keys.unwrap().0, "then");
    }
}
