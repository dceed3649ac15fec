//! The journal: every entry of every room that this process records, on the local disk within half a second.
//!
//! Each room appends to its own [`Lane`]; one thread writes all lanes every [`WRITE_EVERY`] and syncs every [`SYNC_EVERY`]. A crash
//! of the process costs what was not written yet, a crash of the machine what was not synced yet. The next process reads what is
//! there ([`recover()`]) up to a torn end, and removes the files once their entries are in chunks.

mod erase;
mod recover;
mod writer;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use uuid::Uuid;

pub use erase::erase;
pub use recover::{Recovered, recover};

use self::writer::Writer;

/// How long an entry waits to be written, at most.
pub const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How long written entries wait to be synced, at most.
pub const SYNC_EVERY: Duration = Duration::from_millis(500);
/// From this size on, in bytes, a file is closed and the next one begun.
const FILE_SIZE: u64 = 16 << 20;
/// How many bytes of one capture wait while the disk accepts none (more than a minute of two tracks). Beyond that, entries are left
/// out of the journal, which is logged; chunks still have them.
const MAX_WAITING: usize = 1 << 20;
const ENDING: &str = "journal";
/// The extension of a file that is being rewritten.
const UNFINISHED: &str = "part";
const MAGIC: &[u8; 4] = b"ESJ2";

/// What one capture has waiting for the journal.
#[derive(Default)]
struct Waiting {
    /// The frames that wait.
    frames: Vec<u8>,
    /// One past the number of the last entry that was appended.
    next: u64,
    /// Entries before this number are stored elsewhere.
    kept: u64,
    /// Whether entries were left out since the disk last accepted some.
    is_full: bool,
    /// Whether nothing more will be appended.
    is_over: bool,
}

struct Line {
    capture: Uuid,
    waiting: Mutex<Waiting>,
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Each critical section leaves it consistent; a panic elsewhere does not make it wrong.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct State {
    /// Lanes that were opened and that the thread does not know yet.
    opened: Vec<Arc<Line>>,
    /// The size of all files, in bytes.
    bytes: u64,
    failure: Option<String>,
    failing_since: Option<Instant>,
    /// Captures to be erased from all files.
    erased: BTreeSet<Uuid>,
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
        // Each critical section leaves the state consistent; a panic elsewhere does not make it wrong.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One capture's way into the journal. What was appended before it is dropped is still written.
pub struct Lane(Arc<Line>);

impl Lane {
    /// Appends the frame of the entry with this number. Returns at once; the journal's thread does the writing.
    pub fn append(&self, frame: &[u8], number: u64) {
        let mut waiting = self.0.waiting();
        if waiting.frames.len() > MAX_WAITING {
            if !std::mem::replace(&mut waiting.is_full, true) {
                tracing::error!(capture = %self.0.capture, "the disk takes no journal: a crash would cost what is heard from now on");
            }
            return;
        }
        waiting.take(frame, number);
    }

    /// Appends what an earlier process's journal had, however much that is.
    pub fn take_over(&self, frame: &[u8], number: u64) {
        self.0.waiting().take(frame, number);
    }

    /// Entries before this number are stored elsewhere; the journal may drop them.
    pub fn kept(&self, before: u64) {
        let mut waiting = self.0.waiting();
        waiting.kept = waiting.kept.max(before);
    }
}

impl Waiting {
    fn take(&mut self, frame: &[u8], number: u64) {
        self.frames.extend_from_slice(frame);
        self.next = number + 1;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.0.waiting().is_over = true;
    }
}

/// The journal of this process.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// Starts a journal in a folder of its own (created if missing). `process` names this process's files.
    pub fn start(folder: &Path, process: Uuid) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let shared = Arc::new(Shared::default());
        let mut writer = Writer::new(folder.to_owned(), process)?;
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Opens a lane for a capture.
    pub fn lane(&self, capture: Uuid) -> Lane {
        let line = Arc::new(Line { capture, waiting: Mutex::default() });
        self.shared.state().opened.push(Arc::clone(&line));
        Lane(line)
    }

    /// The size of its files on disk, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shared.state().bytes
    }

    /// The error that currently keeps the disk from accepting entries.
    pub fn failure(&self) -> Option<String> {
        self.shared.state().failure.clone()
    }

    /// Whether the disk has accepted no entries for at least this long.
    pub fn failure_lasts(&self, for_so_long: Duration) -> bool {
        self.shared.state().failing_since.is_some_and(|since| since.elapsed() >= for_so_long)
    }

    /// Erases captures from the journal: when this returns, none of its files has anything of them, and what is still appended for
    /// them is not written. What other captures have in the same files stays. Blocks.
    pub fn erase(&self, captures: &[Uuid]) -> Result<(), String> {
        if captures.is_empty() {
            return Ok(());
        }
        self.shared.state().erased.extend(captures);
        self.flush()
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

#[cfg(test)]
mod tests;
