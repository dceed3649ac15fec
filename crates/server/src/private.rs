//! File permissions that keep other users of this machine away from recordings and secrets.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Mode bits that give access to the group and to everybody.
const OTHERS: u32 = 0o077;
/// Mode bits that give access to everybody.
const EVERYBODY: u32 = 0o007;

/// Everybody on this machine has access to a path, and this process cannot change that.
#[derive(Debug, thiserror::Error)]
#[error(
    "every user of this machine can get at {path} (mode {mode:04o}), and it cannot be closed: {source}; as its owner: chmod go= {path}"
)]
pub struct Error {
    path: PathBuf,
    mode: u32,
    source: io::Error,
}

/// From now on only the process's user has access to the files that it creates.
pub fn by_default() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(OTHERS));
}

/// Closes files and folders to other users; those that do not exist are skipped. An earlier version, a volume or `mkdir` may have
/// left them open.
///
/// Where we are not the owner, access for a group alone is tolerated: that is how volumes are given to a process.
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

/// Closes one path; false when it needed no change, or was tolerated.
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

/// An SQLite database and the files that SQLite keeps next to it.
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
