//! Finds the servers that `scripts/install.sh test` installs, and ports for them.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;

/// The folder of what is installed beside the sources.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.tools")
}

/// The program whose file's name begins so; panics with the command that installs it when it is not there.
pub(crate) fn program(begins: &str) -> PathBuf {
    let found = std::fs::read_dir(folder()).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins));
    found.into_iter().find(is_it).unwrap_or_else(|| panic!("{begins}... is missing: scripts/install.sh test"))
}

/// A port that is free for TCP and UDP. It is below the range from which the kernel takes ports for outgoing connections: none of
/// those can take it before the server does.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = 10_000 + (RandomState::new().build_hasher().finish() % 20_000) as u16;
        if TcpListener::bind(("0.0.0.0", port)).is_ok() && UdpSocket::bind(("0.0.0.0", port)).is_ok() {
            return port;
        }
    }
}
