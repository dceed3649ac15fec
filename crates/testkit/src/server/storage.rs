//! Where the objects of a server under test are, and a look at them behind its back.

use std::path::{Path, PathBuf};

use echosphere_domain::key::ObjectKey;
use echosphere_storage::ObjectStore as _;

use super::files;
use crate::s3::{SHARED_BUCKET, shared, wait_for};

/// Says where servers whose test does not say it have their objects: `directory`, or `minio`.
const SETTING: &str = "ECHOSPHERE_TEST_STORAGE";
/// What a store says of itself in a bucket: no object of a recording.
const MARKER: &str = "echosphere-store-id";

/// Where objects are.
pub(super) enum Storage {
    /// In this folder.
    Directory(PathBuf),
    /// In this folder of the bucket that all servers of a test process share.
    Bucket(ObjectKey),
}

impl Storage {
    /// Where a server has them that is started on a folder with these variables.
    pub(super) fn of(dir: &Path, variables: &[(String, String)]) -> Self {
        let is_said = variables.iter().any(|(name, _)| name == "ECHOSPHERE_STORAGE_URL");
        match std::env::var(SETTING).as_deref() {
            Ok("minio") if !is_said => {
                let name = dir.file_name().unwrap().to_str().unwrap().trim_start_matches('.');
                Self::Bucket(ObjectKey::parse(name).unwrap())
            }
            Ok("minio" | "directory") | Err(_) => Self::Directory(dir.join("data/objects")),
            Ok(other) => panic!("{SETTING} is directory or minio, not {other}"),
        }
    }

    /// What a server has to be told of it.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::Directory(_) => Vec::new(),
            Self::Bucket(folder) => shared().settings(&format!("s3://{SHARED_BUCKET}/{folder}")),
        }
    }

    /// The paths of all objects.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::Directory(folder) => {
                let relative = |path: PathBuf| path.strip_prefix(folder).unwrap().to_path_buf();
                files(folder).into_iter().map(relative).collect()
            }
            Self::Bucket(folder) => {
                let listed = wait_for(shared().store(SHARED_BUCKET).list(folder)).unwrap();
                let ours =
                    listed.iter().filter_map(|key| key.as_str().strip_prefix(folder.as_str())?.strip_prefix('/'));
                ours.filter(|key| *key != MARKER).map(PathBuf::from).collect()
            }
        }
    }

    /// The bytes of an object; `None` when it has gone.
    pub(super) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        match self {
            Self::Directory(folder) => std::fs::read(folder.join(path)).ok(),
            Self::Bucket(folder) => {
                let read = wait_for(shared().store(SHARED_BUCKET).get(&key(folder, path)));
                read.ok().map(Vec::from)
            }
        }
    }

    /// Takes an object away.
    pub(super) fn remove(&self, path: &Path) {
        match self {
            Self::Directory(folder) => std::fs::remove_file(folder.join(path)).unwrap(),
            Self::Bucket(folder) => {
                let (store, key) = (shared().store(SHARED_BUCKET), key(folder, path));
                assert!(wait_for(store.head(&key)).unwrap().is_some(), "{} was not there", path.display());
                wait_for(store.delete(&key)).unwrap();
            }
        }
    }
}

fn key(folder: &ObjectKey, path: &Path) -> ObjectKey {
    ObjectKey::parse(format!("{folder}/{}", path.display())).unwrap()
}
