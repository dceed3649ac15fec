//! The journal: every entry of every room that this process records, on this machine's disk within half a second.
//!
//! Rooms append to a buffer; one thread writes it out every [`WRITE_EVERY`] and syncs every [`SYNC_EVERY`]. A crash of
//! the process costs what was not written yet, a crash of the machine what was not synced yet. The next process reads what
//! is there ([`recover`]), cuts a torn end off, and removes the files once their entries are in chunks.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use prost::Message as _;
use uuid::Uuid;

use super::Entry;
use super::frame::{self, Frames};

/// How long an entry waits at most before it is written.
pub const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How long what is written waits at most before it is synced.
pub const SYNC_EVERY: Duration = Duration::from_millis(500);
/// From this size on a file is closed and the next one begun.
const FILE_SIZE: u64 = 16 << 20;
/// Bytes that wait while the disk takes none. Beyond that, entries are dropped, which is logged.
const MAX_WAITING: usize = 32 << 20;
const ENDING: &str = "journal";
const MAGIC: &[u8; 4] = b"ESJ1";

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// The last entry of each capture in `waiting`.
    marks: HashMap<Uuid, u64>,
    /// Entries of a capture up to this number (exclusive) are in object storage.
    kept: HashMap<Uuid, u64>,
    failure: Option<String>,
    failing_since: Option<Instant>,
    /// Whether entries are dropped, because too many wait.
    is_full: bool,
    flushes_wanted: u64,
    flushes_done: u64,
    stopping: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    flushed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each critical section leaves the state whole; a panic elsewhere does not make it wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The journal of this process.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Begins a journal in a folder of its own (which is made). `process` names this process's files.
    pub fn start(folder: &Path, process: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(folder.to_owned(), process)?;
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Appends an entry. Returns at once; the disk is somebody else's business.
    pub fn append(&self, capture: Uuid, entry: &Entry) {
        let mut state = self.shared.state();
        if state.waiting.len() > MAX_WAITING {
            if !std::mem::replace(&mut state.is_full, true) {
                tracing::error!("the disk takes no journal; what is heard from now on is lost until it does");
            }
            return;
        }
        frame::append(&mut state.waiting, |out| {
            out.extend_from_slice(capture.as_bytes());
            entry.encode_raw(out);
        });
        state.marks.insert(capture, entry.number);
    }

    /// What keeps the disk from taking entries now.
    pub fn failure(&self) -> Option<String> {
        self.shared.state().failure.clone()
    }

    /// Whether the disk has taken no entries for so long.
    pub fn failure_lasts(&self, for_so_long: Duration) -> bool {
        self.shared.state().failing_since.is_some_and(|since| since.elapsed() >= for_so_long)
    }

    /// Entries of a capture before this number are in object storage; the journal may forget them.
    pub fn kept(&self, capture: Uuid, before: u64) {
        self.shared.state().kept.insert(capture, before);
    }

    /// Waits until what was appended so far is on disk, synced. Blocks.
    pub fn flush(&self) -> Result<(), String> {
        let mut state = self.shared.state();
        state.flushes_wanted += 1;
        let mine = state.flushes_wanted;
        self.shared.wake.notify_all();
        while state.flushes_done < mine {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            state = self.shared.flushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A file that is not written any more, and the last entry of each capture in it.
struct Closed {
    path: PathBuf,
    marks: HashMap<Uuid, u64>,
}

struct Writer {
    folder: PathBuf,
    process: Uuid,
    number: u32,
    path: PathBuf,
    file: File,
    length: u64,
    marks: HashMap<Uuid, u64>,
    closed: Vec<Closed>,
    synced: Instant,
    dirty: bool,
}

impl Writer {
    fn new(folder: PathBuf, process: Uuid) -> io::Result<Self> {
        let (path, file) = create(&folder, process, 0)?;
        Ok(Self {
            folder,
            process,
            number: 0,
            path,
            file,
            length: MAGIC.len() as u64,
            marks: HashMap::new(),
            closed: Vec::new(),
            synced: Instant::now(),
            dirty: false,
        })
    }

    fn run(&mut self, shared: &Shared) {
        let mut batch = Vec::new();
        loop {
            let (marks, wanted, stopping) = {
                let state = shared.state();
                let pause = if state.stopping { Duration::ZERO } else { WRITE_EVERY };
                let nothing_urgent = |state: &mut State| state.flushes_wanted == state.flushes_done && !state.stopping;
                let waited = shared.wake.wait_timeout_while(state, pause, nothing_urgent);
                let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if batch.is_empty() {
                    std::mem::swap(&mut batch, &mut state.waiting);
                }
                (std::mem::take(&mut state.marks), state.flushes_wanted, state.stopping)
            };
            self.marks.extend(marks);
            let urgent = stopping || shared.state().flushes_done < wanted;
            let outcome = self.write(&batch, urgent);
            let mut state = shared.state();
            match outcome {
                Ok(()) => {
                    batch.clear();
                    (state.failure, state.failing_since, state.is_full) = (None, None, false);
                    if urgent {
                        state.flushes_done = wanted;
                    }
                }
                Err(error) => {
                    state.failure = Some(error.to_string());
                    state.failing_since.get_or_insert_with(Instant::now);
                }
            }
            shared.flushed.notify_all();
            if stopping && (state.waiting.is_empty() || state.failure.is_some()) {
                return;
            }
            let kept = state.kept.clone();
            drop(state);
            self.remove_kept(&kept);
            if shared.state().failure.is_some() {
                thread::sleep(SYNC_EVERY);
            }
        }
    }

    /// Writes a batch whole or not at all, syncs when it is time, and begins the next file when this one is large.
    fn write(&mut self, batch: &[u8], urgent: bool) -> io::Result<()> {
        if !batch.is_empty() {
            if let Err(error) = self.file.write_all(batch) {
                // A part of it would hide everything behind it.
                self.file.set_len(self.length)?;
                self.file.seek(SeekFrom::Start(self.length))?;
                return Err(error);
            }
            self.length += batch.len() as u64;
            self.dirty = true;
        }
        if self.dirty && (urgent || self.synced.elapsed() >= SYNC_EVERY) {
            self.file.sync_data()?;
            self.dirty = false;
            self.synced = Instant::now();
        }
        if self.length >= FILE_SIZE && !self.dirty {
            let (path, file) = create(&self.folder, self.process, self.number + 1)?;
            self.number += 1;
            self.file = file;
            self.length = MAGIC.len() as u64;
            let path = std::mem::replace(&mut self.path, path);
            self.closed.push(Closed { path, marks: std::mem::take(&mut self.marks) });
        }
        Ok(())
    }

    fn remove_kept(&mut self, kept: &HashMap<Uuid, u64>) {
        self.closed.retain(|closed| {
            let needed =
                closed.marks.iter().any(|(capture, last)| kept.get(capture).is_none_or(|before| last >= before));
            needed || fs::remove_file(&closed.path).is_err()
        });
    }
}

fn create(folder: &Path, process: Uuid, number: u32) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!("{process}-{number:06}.{ENDING}"));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(MAGIC)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok((path, file))
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The files, to be removed when their entries are kept.
    pub files: Vec<PathBuf>,
    /// The entries of each capture, in order, each once.
    pub captures: HashMap<Uuid, Vec<Entry>>,
    /// Files with a torn or damaged end.
    pub torn: u32,
}

/// Reads the journals of earlier processes. Call it before [`Journal::start`]; `wanted` says of which captures entries from
/// which number on are needed (`None`: none).
pub fn recover(folder: &Path, wanted: impl Fn(Uuid) -> Option<u64>) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let listing = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(recovered),
        listing => listing?,
    };
    for file in listing {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            recovered.files.push(path);
        }
    }
    recovered.files.sort();
    for path in &recovered.files {
        let bytes = fs::read(path)?;
        let mut frames = Frames::new(bytes.strip_prefix(MAGIC).unwrap_or_default());
        for payload in frames.by_ref() {
            take(payload, &wanted, &mut recovered.captures);
        }
        recovered.torn += u32::from(frames.is_torn());
    }
    for entries in recovered.captures.values_mut() {
        entries.sort_by_key(|entry| entry.number);
        entries.dedup_by_key(|entry| entry.number);
    }
    Ok(recovered)
}

fn take(payload: &[u8], wanted: &impl Fn(Uuid) -> Option<u64>, captures: &mut HashMap<Uuid, Vec<Entry>>) {
    let Some((capture, entry)) = payload.split_first_chunk::<16>() else { return };
    let capture = Uuid::from_bytes(*capture);
    if let Some(from) = wanted(capture)
        && let Ok(entry) = Entry::decode(entry)
        && entry.number >= from
    {
        captures.entry(capture).or_default().push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry { number, at: number as i64, body: None }
    }

    #[test]
    fn what_was_flushed_is_found_by_the_next_process_and_a_torn_end_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let journal = Journal::start(folder.path(), Uuid::from_u128(9)).unwrap();
        for number in 0..100 {
            journal.append(a, &entry(number));
            journal.append(b, &entry(number));
        }
        journal.flush().unwrap();
        journal.append(a, &entry(100));
        drop(journal);
        let recovered = recover(folder.path(), |capture| if capture == a { Some(90) } else { None }).unwrap();
        assert_eq!((recovered.files.len(), recovered.torn, recovered.captures.len()), (1, 0, 1));
        assert_eq!(
            recovered.captures[&a].iter().map(|entry| entry.number).collect::<Vec<_>>(),
            (90..=100).collect::<Vec<_>>()
        );
        let file = OpenOptions::new().write(true).open(&recovered.files[0]).unwrap();
        file.set_len(file.metadata().unwrap().len() - 3).unwrap();
        let recovered = recover(folder.path(), |_| Some(0)).unwrap();
        assert_eq!((recovered.torn, recovered.captures[&a].len(), recovered.captures[&b].len()), (1, 100, 100));
    }

    #[test]
    fn a_file_goes_when_its_entries_are_kept_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let capture = Uuid::from_u128(1);
        let journal = Journal::start(folder.path(), Uuid::from_u128(9)).unwrap();
        let big = Entry { body: Some(super::super::Body::Data(vec![0; 1 << 16])), ..entry(0) };
        for number in 0..FILE_SIZE >> 16 {
            journal.append(capture, &Entry { number, ..big.clone() });
        }
        journal.flush().unwrap();
        journal.append(capture, &entry(1000));
        journal.flush().unwrap();
        let files = || fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files(), 2);
        journal.kept(capture, 1000);
        journal.flush().unwrap();
        journal.flush().unwrap();
        assert_eq!(files(), 1);
    }
}
