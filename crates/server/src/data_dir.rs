//! The data directory: its layout, its lock and its secrets.
//!
//! ```text
//! LOCK               locked by the running process (flock); contains its process id
//! echosphere.db      rows (SQLite)
//! objects/           object storage, {bucket}/{key}
//! journal/           capture log entries that are in no chunk in object storage yet
//! chunks/            chunks that object storage has not taken yet
//! spool/             uploads until they are ingested, telemetry requests that wait in a file, and, without a name, parts of a capture log that is
//!                    being divided
//! secrets/           file mode 0600, made at the first start
//! node-id            who the process that uses it is: the owner of the rooms that it records
//! store-id           the id of the object storage that belongs to it (see `echosphere_storage::marked`)
//! store-id-new       the id that a new one is going to get, until it is noted
//! sign-in-link       the sign-in link of this start, if no terminal shows it; removed when it is used
//! server-url         the URL of the running server
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use echosphere_domain::id::{CaptureId, NodeId, UploadId};
use secrecy::SecretString;

use crate::config::Config;
use crate::{entropy, private};

/// The name of the file that contains the sign-in link of this start.
pub const SIGN_IN_LINK: &str = "sign-in-link";

/// The name of the file that contains the id of the node.
const NODE_ID: &str = "node-id";

/// The name of the file that contains the id of the object storage.
pub const STORE_ID: &str = "store-id";

/// The name of the file that contains the id of an object storage that is being made ours.
pub const NEW_STORE_ID: &str = "store-id-new";

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system reported an error.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Another process uses it.
    #[error(
        "the data directory {path} is in use by process {holder}; stop it, or set ECHOSPHERE_DATA_DIR to another folder"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process id that the other process wrote into the lock file.
        holder: String,
    },
    /// Everybody on this machine can access it.
    #[error(transparent)]
    Open(#[from] private::Error),
    /// The node's file contains something else.
    #[error(
        "{path} does not hold the id of a node; restore it from a backup, or delete it to have a new one made: rooms that were being recorded are gone on with a minute later"
    )]
    Node {
        /// The file.
        path: PathBuf,
    },
    /// A secret's file contains something else.
    #[error("{path} does not hold a secret of ours; restore it from a backup, or delete it to have a new one made")]
    Secret {
        /// The file.
        path: PathBuf,
    },
}

/// An open, locked data directory. Dropping it releases the lock.
#[derive(Debug)]
pub struct DataDir {
    root: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates what is missing, closes the directory to other users, and locks it for this process.
    pub fn open(root: &Path) -> Result<Self, Error> {
        for folder in [root.to_path_buf(), root.join("spool"), root.join("secrets")] {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
            made.map_err(|source| Error::Io { action: "make the folder", path: folder, source })?;
        }
        let root = fs::canonicalize(root).map_err(|source| io_error("find", root, source))?;
        let folders = ["", "spool", "secrets", "journal", "chunks", "objects"].map(|folder| root.join(folder));
        let database = private::database_files(&database(&root));
        private::close(folders.iter().chain(&database).map(PathBuf::as_path))?;
        let lock = lock(&root)?;
        Ok(Self { root, _lock: lock })
    }

    /// The SQLite file.
    pub fn database(&self) -> PathBuf {
        database(&self.root)
    }

    /// The root of local object storage.
    pub fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    /// Its path, absolute and without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Bytes that are free on its disk for this user.
    ///
    /// # Errors
    ///
    /// The file system does not say.
    pub fn free(&self) -> io::Result<u64> {
        free(&self.root)
    }

    /// Refuses when fewer than `least` bytes are free on its disk: what is left is for rooms that are being recorded.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::StorageFull`], with what is free. A file system that does not say is taken to have enough.
    pub fn check_free(&self, least: u64) -> io::Result<()> {
        match self.free() {
            Ok(free) if free < least => {
                let why = format!(
                    "{} MiB are free on the disk of the data directory; recorder.min_free_disk asks for {} MiB",
                    free >> 20,
                    least >> 20
                );
                Err(io::Error::new(io::ErrorKind::StorageFull, why))
            }
            _ => Ok(()),
        }
    }

    /// The id of the object storage that belongs to it; `None` before one was opened.
    pub fn store_id(&self) -> Option<String> {
        self.kept(STORE_ID)
    }

    /// The text of a small file that only this user can read.
    pub fn kept(&self, name: &str) -> Option<String> {
        read_private(&self.root, name).map(|text| text.trim().to_owned())
    }

    /// Who the process that uses it is, from start to start: `new` at the first one.
    pub fn node_id(&self, new: NodeId) -> Result<NodeId, Error> {
        let path = self.root.join(NODE_ID);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|_| Error::Node { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write_private(NODE_ID, &new.to_string()).map(|_| new)
            }
            Err(source) => Err(io_error("read", &path, source)),
        }
    }

    /// The folder of chunks that wait for object storage.
    pub fn chunks(&self) -> PathBuf {
        self.root.join("chunks")
    }

    /// The folder of the journal.
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The folder of uploads that are not ingested yet.
    pub fn spool_folder(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// The spool file of an upload.
    pub fn spool(&self, upload: UploadId) -> PathBuf {
        self.spool_folder().join(upload.to_string())
    }

    /// The spool file of an upload's redacted sound, until it becomes an object.
    pub fn spool_silenced(&self, upload: UploadId) -> PathBuf {
        self.spool_folder().join(format!("{upload}.ogg"))
    }

    /// Where a file of a part of a capture log is made, which loses its name at once.
    pub fn spool_part(&self, capture: CaptureId, part: &str) -> PathBuf {
        self.spool_folder().join(format!("{capture}.{part}"))
    }

    /// Writes a small file that only this user can read; returns its path.
    pub fn write_private(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        write_durably(&path, text).map_err(|source| io_error("write", &path, source))?;
        Ok(path)
    }

    /// Removes such a file, if there is one.
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.root.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path, source)),
            _ => Ok(()),
        }
    }

    /// Removes the file of the sign-in link, if the link has this code, which was used.
    pub fn forget_link(&self, code: &str) {
        let is_its = |text: String| text.trim_end().rsplit_once("code=").is_some_and(|(_, kept)| kept == code);
        if read_private(&self.root, SIGN_IN_LINK).is_some_and(is_its)
            && let Err(error) = self.remove(SIGN_IN_LINK)
        {
            tracing::warn!(%error, "the file of a sign-in link that was used stays");
        }
    }

    /// A secret of a data directory that another process may have locked; `None` when it was never made.
    pub fn kept_secret(root: &Path, name: &str) -> Result<Option<SecretString>, Error> {
        let path = root.join("secrets").join(name);
        match fs::read_to_string(&path) {
            Ok(text) => checked(&text, path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error("read the secret", &path, source)),
        }
    }

    /// A secret of 32 random bytes, hexadecimal; made at the first use and the same from then on.
    pub fn secret(&self, name: &str) -> Result<SecretString, Error> {
        if let Some(kept) = Self::kept_secret(&self.root, name)? {
            return Ok(kept);
        }
        let (path, text) = (self.root.join("secrets").join(name), hex::encode(entropy::bytes::<32>()));
        write_durably(&path, &text).map_err(|source| io_error("write the secret", &path, source))?;
        Ok(SecretString::from(text))
    }
}

fn checked(text: &str, path: PathBuf) -> Result<SecretString, Error> {
    let text = text.trim();
    let good = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if good { Ok(SecretString::from(text)) } else { Err(Error::Secret { path }) }
}

/// The SQLite file of a data directory that another process may have locked.
fn database(root: &Path) -> PathBuf {
    root.join("echosphere.db")
}

/// The SQLite file of a configuration, which another process may have open.
pub fn database_of(config: &Config) -> PathBuf {
    config.database.clone().unwrap_or_else(|| database(&config.data_dir))
}

/// A small file of a data directory that another process may have locked.
pub fn read_private(root: &Path, name: &str) -> Option<String> {
    fs::read_to_string(root.join(name)).ok().filter(|text| !text.is_empty())
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_path_buf(), source }
}

fn lock(root: &Path) -> Result<File, Error> {
    let path = root.join("LOCK");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(|source| io_error("open the lock", &path, source))?;
    if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let read = file.read_to_string(&mut holder);
        let holder = if read.is_ok_and(|n| n > 0) { holder.trim().to_owned() } else { "(unknown)".to_owned() };
        return Err(Error::Locked { path: root.to_path_buf(), holder });
    }
    // The process id only serves the error message of a second process; the lock itself is what counts.
    let noted = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    noted.map_err(|source| io_error("write the lock", &path, source))?;
    Ok(file)
}

/// Writes a file atomically: after a crash it has all of the new text, or is as it was before.
fn write_durably(path: &Path, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_folder(path.parent().unwrap_or(path))
}

/// Bytes that are free for this user on the disk of a folder.
pub fn free(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes the entries of a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_second_process_learns_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataDir::open(dir.path()).unwrap();
        let error = DataDir::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        DataDir::open(dir.path()).unwrap();
    }

    #[test]
    fn a_folder_that_was_there_before_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let _data = DataDir::open(dir.path()).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn secrets_are_made_once_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path()).unwrap();
        let first = data.secret("playback").unwrap();
        assert_eq!(first.expose_secret(), data.secret("playback").unwrap().expose_secret());
        let mode = fs::metadata(dir.path().join("secrets/playback")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.path().join("secrets/playback"), "oops").unwrap();
        assert!(matches!(data.secret("playback"), Err(Error::Secret { .. })));
    }
}
