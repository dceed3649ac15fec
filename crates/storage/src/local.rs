//! The object store in a local directory: objects as files at `{root}/{bucket}/{key}`.
//!
//! A file appears under its key only when it is complete and on disk: it is written to a temporary folder, synced and renamed, and
//! the folders on its path are synced too. Paths are made from [`ObjectKey`]s only, so none leaves the root. The marker
//! ([`crate::marked`]) is an empty folder, `{root}/{bucket}/echosphere-store-id/{id}`, so that every file is an object of somebody's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::key::ObjectKey;
use futures_util::StreamExt;

use crate::marked::MARKER;
use crate::{Error, MAX_READ, ObjectMeta, ObjectStore, Pieces, Result, by_ranges};

/// A directory of objects.
#[derive(Debug, Clone)]
pub struct LocalStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bucket: PathBuf,
    temporary: PathBuf,
    counter: AtomicU64,
}

impl LocalStore {
    /// Opens the directory, creates it if it is missing, and removes what an earlier process left half written. The caller ensures
    /// that no other process writes there.
    pub fn open(root: &Path, bucket: &str) -> Result<Self> {
        let failed = |error| Error::io("open the object store", root.display(), error);
        let (bucket, temporary) = (root.join(bucket), root.join(".tmp"));
        fs::create_dir_all(&bucket).map_err(failed)?;
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(failed)?;
        }
        fs::create_dir_all(&temporary).map_err(failed)?;
        let inner = Inner { bucket, temporary, counter: AtomicU64::new(0) };
        inner.carry_marker_over().map_err(failed)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn blocking<T, F>(&self, action: &'static str, target: String, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Inner) -> Result<T> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|_| Err(Error::Interrupted { action, target }))
    }
}

impl Inner {
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.bucket.join(key.as_str())
    }

    fn temporary_file(&self) -> Temporary {
        Temporary(self.temporary.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string()))
    }

    /// Moves a synced file to its key.
    fn publish(&self, temporary: &Temporary, key: &ObjectKey) -> io::Result<()> {
        let path = self.path(key);
        let folder = path.parent().unwrap_or(&self.bucket);
        self.make_folders(folder)?;
        fs::rename(&temporary.0, &path)?;
        File::open(folder)?.sync_all()
    }

    /// Creates the folders on the path, and makes the entry of each in its parent durable.
    fn make_folders(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() || folder == self.bucket {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.bucket);
        self.make_folders(above)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        File::open(above)?.sync_all()
    }

    fn put(&self, key: &ObjectKey, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.temporary_file();
        let mut file = File::create_new(&temporary.0)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.publish(&temporary, key)
    }

    /// Links the file; copies it when it is on another file system.
    fn put_file(&self, key: &ObjectKey, file: &Path) -> io::Result<()> {
        let temporary = self.temporary_file();
        match fs::hard_link(file, &temporary.0) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(file, &temporary.0).map(|_| ())?,
            linked => linked?,
        }
        File::open(&temporary.0)?.sync_all()?;
        self.publish(&temporary, key)
    }

    fn read(&self, key: &ObjectKey, range: Range<u64>) -> io::Result<Bytes> {
        let mut file = File::open(self.path(key))?;
        let size = file.metadata()?.len();
        let start = range.start.min(size);
        let length = range.end.min(size).saturating_sub(start).min(MAX_READ);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::with_capacity(length as usize);
        if file.take(length).read_to_end(&mut bytes)? as u64 == length {
            Ok(Bytes::from(bytes))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    fn head(&self, key: &ObjectKey) -> io::Result<ObjectMeta> {
        let meta = fs::symlink_metadata(self.path(key))?;
        if !meta.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Objects are replaced, never changed in place, so a new version is a new inode or a new time.
        let etag = format!("{:x}-{:x}-{:x}", meta.ino(), meta.len(), meta.mtime_nsec() as u64 ^ meta.mtime() as u64);
        Ok(ObjectMeta { size: meta.len(), modified: meta.modified()?, etag })
    }

    fn delete(&self, key: &ObjectKey) -> io::Result<()> {
        let path = self.path(key);
        if remove(&path)? { self.tidy(path.parent().unwrap_or(&self.bucket)) } else { Ok(()) }
    }

    /// Each folder is made durable once, however many objects are deleted from it.
    fn delete_many(&self, keys: &[ObjectKey]) -> io::Result<()> {
        let mut folders = BTreeSet::new();
        let removed = keys.iter().try_for_each(|key| {
            let path = self.path(key);
            if remove(&path)? {
                folders.extend(path.parent().map(Path::to_path_buf));
            }
            Ok(())
        });
        // The deepest first: those above may become empty. Also what was removed before one could not be.
        let tidied = folders.iter().rev().filter(|folder| folder.exists()).try_for_each(|folder| self.tidy(folder));
        removed.and(tidied)
    }

    /// Removes a folder if it is empty, and those above that become empty; makes what is left durable.
    fn tidy(&self, folder: &Path) -> io::Result<()> {
        let mut folder = Some(folder);
        while let Some(empty) = folder.filter(|folder| *folder != self.bucket && fs::remove_dir(folder).is_ok()) {
            folder = empty.parent();
        }
        File::open(folder.unwrap_or(&self.bucket))?.sync_all()
    }
}

impl Inner {
    fn list(&self, folder: &str) -> io::Result<Vec<ObjectKey>> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.bucket.join(&folder)) {
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    continue;
                }
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let Some(name) = entry.file_name().to_str().map(|name| format!("{folder}/{name}")) else { continue };
                // Links are never followed: what they point to is not ours.
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(name);
                } else if kind.is_file() {
                    found.extend(ObjectKey::parse(name).ok());
                }
            }
        }
        Ok(found)
    }
}

impl Inner {
    fn marker(&self) -> io::Result<Option<String>> {
        let mut entries = match fs::read_dir(self.bucket.join(MARKER)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            entries => entries?,
        };
        let first = entries.next().transpose()?;
        Ok(first.and_then(|entry| entry.file_name().into_string().ok()))
    }

    fn mark(&self, id: &str) -> io::Result<()> {
        self.make_folders(&self.bucket.join(MARKER).join(id))
    }

    /// Makes a folder of a marker that is a file, as earlier versions made it. The file is renamed first, so that one is always there.
    fn carry_marker_over(&self) -> io::Result<()> {
        let (file, aside) = (self.bucket.join(MARKER), self.bucket.join(format!("{MARKER}.old")));
        if file.is_file() {
            fs::rename(&file, &aside)?;
        }
        if aside.is_file() {
            self.mark(fs::read_to_string(&aside)?.trim())?;
            fs::remove_file(&aside)?;
        }
        Ok(())
    }
}

/// The path of a temporary file. What is still there when this is dropped is removed: a file that was not published, and a link to an
/// object that it was to replace, because renaming one over the other does nothing and leaves both.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

/// False when there was no such file.
fn remove(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn missing(action: &'static str, key: &ObjectKey, error: io::Error) -> Error {
    let absent =
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory);
    if absent { Error::NotFound(key.clone()) } else { Error::io(action, key, error) }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        const ACTION: &str = "store the object";
        let key = key.clone();
        let work = move |inner: &Inner| inner.put(&key, &bytes).map_err(|error| Error::io(ACTION, &key, error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn put_file(&self, key: &ObjectKey, file: &Path) -> Result<()> {
        const ACTION: &str = "store the file as object";
        let (key, file) = (key.clone(), file.to_path_buf());
        let work = move |inner: &Inner| inner.put_file(&key, &file).map_err(|error| Error::io(ACTION, &key, error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn put_pieces(&self, key: &ObjectKey, mut pieces: Pieces) -> Result<()> {
        const ACTION: &str = "store the object";
        let failed = |key: ObjectKey| move |error| Error::io(ACTION, key, error);
        let (temporary, target) = (self.inner.temporary_file(), key.clone());
        let create = move |_: &Inner| {
            let file = File::create_new(&temporary.0).map_err(failed(target))?;
            Ok((temporary, file))
        };
        let (temporary, mut file) = self.blocking(ACTION, String::new(), create).await?;
        while let Some(piece) = pieces.next().await {
            let (piece, target) = (piece?, key.clone());
            let write = move |_: &Inner| file.write_all(&piece).map(|()| file).map_err(failed(target));
            file = self.blocking(ACTION, String::new(), write).await?;
        }
        let key = key.clone();
        let finish = move |inner: &Inner| {
            let done = file.sync_all().and_then(|()| inner.publish(&temporary, &key));
            done.map_err(failed(key))
        };
        self.blocking(ACTION, String::new(), finish).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        const ACTION: &str = "look at the object";
        let key = key.clone();
        let work = move |inner: &Inner| match inner.head(&key).map_err(|error| missing(ACTION, &key, error)) {
            Ok(meta) => Ok(Some(meta)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        };
        self.blocking(ACTION, String::new(), work).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Bytes> {
        const ACTION: &str = "read the object";
        let key = key.clone();
        let work = move |inner: &Inner| {
            let read = fs::read(inner.path(&key)).map(Bytes::from);
            read.map_err(|error| missing(ACTION, &key, error))
        };
        self.blocking(ACTION, String::new(), work).await
    }

    async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes> {
        const ACTION: &str = "read the object";
        let key = key.clone();
        let work = move |inner: &Inner| inner.read(&key, range).map_err(|error| missing(ACTION, &key, error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn get_pieces(&self, key: &ObjectKey, range: Range<u64>) -> Result<Pieces> {
        by_ranges(self.clone(), key, range).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        const ACTION: &str = "delete the object";
        let key = key.clone();
        let work = move |inner: &Inner| inner.delete(&key).map_err(|error| Error::io(ACTION, &key, error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn delete_many(&self, keys: &[ObjectKey]) -> Result<()> {
        const ACTION: &str = "delete objects";
        let keys = keys.to_vec();
        let work = move |inner: &Inner| {
            inner.delete_many(&keys).map_err(|error| Error::io(ACTION, inner.bucket.display(), error))
        };
        self.blocking(ACTION, String::new(), work).await
    }

    async fn list(&self, folder: &ObjectKey) -> Result<Vec<ObjectKey>> {
        const ACTION: &str = "list the folder";
        let folder = folder.clone();
        let work = move |inner: &Inner| inner.list(folder.as_str()).map_err(|error| Error::io(ACTION, &folder, error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn check(&self) -> Result<()> {
        const ACTION: &str = "write to";
        let work = |inner: &Inner| {
            let temporary = inner.temporary_file();
            let written = File::create_new(&temporary.0).and_then(|mut file| file.write_all(&[0; 4096]));
            let removed = fs::remove_file(&temporary.0);
            written.and(removed).map_err(|error| Error::io(ACTION, inner.temporary.display(), error))
        };
        self.blocking(ACTION, String::new(), work).await
    }

    async fn marker(&self) -> Result<Option<String>> {
        const ACTION: &str = "read the marker of";
        let work = |inner: &Inner| inner.marker().map_err(|error| Error::io(ACTION, inner.bucket.display(), error));
        self.blocking(ACTION, String::new(), work).await
    }

    async fn mark(&self, id: &str) -> Result<()> {
        const ACTION: &str = "mark";
        let id = id.to_owned();
        let work =
            move |inner: &Inner| inner.mark(&id).map_err(|error| Error::io(ACTION, inner.bucket.display(), error));
        self.blocking(ACTION, String::new(), work).await
    }
}

#[cfg(test)]
mod tests;
