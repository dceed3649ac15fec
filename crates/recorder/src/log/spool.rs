//! The spool: chunks that wait on the local disk until object storage accepts them.
//!
//! A chunk in the spool is complete and synced, so that the journal may drop its entries: nothing waits twice. The next process
//! finds it there. In memory, each takes 40 bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

const ENDING: &str = "esc";
const UNFINISHED: &str = "part";

/// A chunk that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    bytes: u64,
    /// Nanoseconds since the Unix epoch, by the file system's clock.
    since: i64,
}

#[derive(Debug, Default)]
struct State {
    captures: HashMap<Uuid, BTreeMap<u32, Waiting>>,
    bytes: u64,
}

/// The chunks that wait on the local disk.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    state: Mutex<State>,
    /// Makes the names of unfinished files unique.
    counter: AtomicU64,
}

impl Spool {
    /// Opens the folder (created if missing) and lists what an earlier process left there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let mut state = State::default();
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path)?,
                Some(ENDING) => {
                    if let Some((capture, number)) = parse(&path) {
                        state.insert(capture, number, waiting(&fs::metadata(&path)?));
                    }
                }
                _ => {}
            }
        }
        Ok(Self { folder: folder.to_owned(), state: Mutex::new(state), counter: AtomicU64::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each critical section leaves it consistent; a panic elsewhere does not make it wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file of a chunk.
    pub fn path(&self, capture: Uuid, number: u32) -> PathBuf {
        self.folder.join(format!("{capture}-{number:010}.{ENDING}"))
    }

    /// Stores a chunk; when this returns, it is on disk. Blocks. Storing the same chunk again is harmless.
    pub fn put(&self, capture: Uuid, number: u32, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(capture, number);
        let unfinished = path.with_extension(format!("{}.{UNFINISHED}", self.counter.fetch_add(1, Ordering::Relaxed)));
        let put = self.write(&path, &unfinished, bytes);
        if let Err(error) = put.map(|waiting| self.state().insert(capture, number, waiting)) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        Ok(())
    }

    fn write(&self, path: &Path, unfinished: &Path, bytes: &[u8]) -> io::Result<Waiting> {
        let mut file = File::create(unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(unfinished, path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(waiting(&file.metadata()?))
    }

    /// Reads a chunk. Blocks.
    pub fn get(&self, capture: Uuid, number: u32) -> io::Result<Vec<u8>> {
        fs::read(self.path(capture, number))
    }

    /// Removes a chunk that is in object storage by now. Blocks. If the file cannot be removed, the next process removes it.
    pub fn remove(&self, capture: Uuid, number: u32) {
        let path = self.path(capture, number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), %error, "a chunk that is not needed any more cannot be removed");
            }
            _ => self.state().remove(capture, number),
        }
    }

    /// The numbers of a capture's waiting chunks, in order.
    pub fn numbers(&self, capture: Uuid) -> Vec<u32> {
        self.state().captures.get(&capture).map_or_else(Vec::new, |chunks| chunks.keys().copied().collect())
    }

    /// Whether a chunk waits.
    pub fn has(&self, capture: Uuid, number: u32) -> bool {
        self.state().captures.get(&capture).is_some_and(|chunks| chunks.contains_key(&number))
    }

    /// The captures with waiting chunks.
    pub fn captures(&self) -> Vec<Uuid> {
        self.state().captures.keys().copied().collect()
    }

    /// The size of all waiting chunks, in bytes.
    pub fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Since when the oldest chunk has been waiting: nanoseconds since the Unix epoch.
    pub fn oldest(&self) -> Option<i64> {
        let state = self.state();
        let first = |chunks: &BTreeMap<u32, Waiting>| chunks.values().next().map(|waiting| waiting.since);
        state.captures.values().filter_map(first).min()
    }
}

impl State {
    fn insert(&mut self, capture: Uuid, number: u32, waiting: Waiting) {
        let before = self.captures.entry(capture).or_default().insert(number, waiting);
        self.bytes += waiting.bytes;
        self.bytes -= before.map_or(0, |before| before.bytes);
    }

    fn remove(&mut self, capture: Uuid, number: u32) {
        if let Some(chunks) = self.captures.get_mut(&capture) {
            self.bytes -= chunks.remove(&number).map_or(0, |waiting| waiting.bytes);
            if chunks.is_empty() {
                self.captures.remove(&capture);
            }
        }
    }
}

fn waiting(meta: &fs::Metadata) -> Waiting {
    Waiting { bytes: meta.len(), since: meta.mtime() * 1_000_000_000 + meta.mtime_nsec() }
}

fn parse(path: &Path) -> Option<(Uuid, u32)> {
    let (capture, number) = path.file_stem()?.to_str()?.rsplit_once('-')?;
    Some((capture.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_wait_in_order_and_are_found_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let spool = Spool::open(folder.path()).unwrap();
        for number in [9, 10, 11] {
            spool.put(a, number, &[number as u8; 100]).unwrap();
        }
        spool.put(a, 10, &[10; 100]).unwrap();
        spool.put(b, 0, &[1]).unwrap();
        assert_eq!((spool.bytes(), spool.numbers(a)), (301, vec![9, 10, 11]));
        assert!(spool.oldest().is_some());
        fs::write(folder.path().join("half.part"), b"x").unwrap();
        drop(spool);

        let spool = Spool::open(folder.path()).unwrap();
        assert_eq!((spool.bytes(), spool.numbers(a), spool.numbers(b)), (301, vec![9, 10, 11], vec![0]));
        assert_eq!(spool.get(a, 11).unwrap(), [11; 100]);
        for number in [9, 10, 11, 12] {
            spool.remove(a, number);
        }
        spool.remove(b, 0);
        assert_eq!((spool.bytes(), spool.oldest()), (0, None));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_the_disk_does_not_take_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("chunks")).unwrap();
        fs::remove_dir(folder.path().join("chunks")).unwrap();
        assert!(spool.put(Uuid::nil(), 0, b"x").is_err());
        assert_eq!((spool.bytes(), spool.has(Uuid::nil(), 0)), (0, false));
        fs::create_dir(folder.path().join("chunks")).unwrap();
        spool.put(Uuid::nil(), 0, b"x").unwrap();
        assert_eq!((spool.bytes(), spool.has(Uuid::nil(), 0)), (1, true));
    }
}
