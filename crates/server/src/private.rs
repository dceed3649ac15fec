//! Keeps other users of the machine out of what people said: the modes of files and folders.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Bits of a mode that let others in: of the owner's group, and everybody.
const OTHERS: u32 = 0o077;
/// Bits that let everybody in.
const EVERYBODY: u32 = 0o007;

/// Others can read what is kept there, and that cannot be changed from here.
#[derive(Debug, thiserror::Error)]
#[error(
    "every user of this machine can get at {path} (mode {mode:04o}), and it cannot be closed: {source}; as its owner: chmod go= {path}"
)]
pub struct Error {
    path: PathBuf,
    mode: u32,
    source: io::Error,
}

/// From now on what this process makes is its user's alone.
pub fn by_default() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Closes files and folders to others, those that are there. An earlier version, a volume or `mkdir` may have made them open.
///
/// A group alone is let be where we are not the owner: that is how volumes are lent to a process.
pub fn close<'p>(paths: impl IntoIterator<Item = &'p Path>) -> Result<(), Error> {
    let mut closed = Vec::new();
    for path in paths {
        if close_one(path)? {
            closed.push(path.display().to_string());
        }
    }
    if !closed.is_empty() {
        tracing::warn!(paths = closed.join(", "), "others on this machine could read this; it is closed now");
    }
    Ok(())
}

/// Whether one had to be closed, and was.
fn close_one(path: &Path) -> Result<bool, Error> {
    let Ok(metadata) = fs::metadata(path) else { return Ok(false) };
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(false);
    }
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => Ok(true),
        Err(error) if mode & EVERYBODY == 0 => {
            tracing::warn!(path = %path.display(), mode = format!("{mode:04o}"), %error, "a group of this machine can read this");
            Ok(false)
        }
        Err(source) => Err(Error { path: path.to_path_buf(), mode, source }),
    }
}

/// An SQLite database and the files beside it.
pub fn database_files(path: &Path) -> [PathBuf; 4] {
    ["", "-wal", "-shm", "-journal"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn what_was_open_to_others_is_closed_and_stays_usable() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        close([dir.path()]).unwrap();
        assert_eq!(mode(dir.path()), 0o700);
        let database = dir.path().join("x.db");
        for name in ["x.db", "x.db-wal"] {
            fs::write(dir.path().join(name), "rows").unwrap();
            fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o664)).unwrap();
        }
        close(database_files(&database).iter().map(PathBuf::as_path)).unwrap();
        assert_eq!((mode(&database), mode(&dir.path().join("x.db-wal"))), (0o600, 0o600));
        close([dir.path().join("absent").as_path()]).unwrap();
    }
}
