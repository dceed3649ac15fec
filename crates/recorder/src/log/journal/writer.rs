//! The thread that writes the journal's files, closes them, and removes those no longer needed.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{ENDING, FILE_SIZE, Line, MAGIC, SYNC_EVERY, Shared, State, WRITE_EVERY, erase};
use crate::log::frame;

/// For each capture, one past the number of its last entry in a file.
type Marks = HashMap<Uuid, u64>;

/// A file that is no longer written.
struct Closed {
    path: PathBuf,
    length: u64,
    marks: Marks,
}

pub(super) struct Writer {
    folder: PathBuf,
    process: Uuid,
    number: u32,
    path: PathBuf,
    file: File,
    length: u64,
    marks: Marks,
    closed: Vec<Closed>,
    synced: Instant,
    dirty: bool,
    lanes: Vec<Arc<Line>>,
    /// For each capture with entries in a file: those before this number are stored elsewhere.
    kept: Marks,
    /// What was collected from the lanes and not written yet.
    batch: Vec<u8>,
    /// Captures of which nothing is written any more.
    erased: BTreeSet<Uuid>,
    /// Whether files may have entries of them.
    has_erased: bool,
}

impl Writer {
    pub(super) fn new(folder: PathBuf, process: Uuid) -> io::Result<Self> {
        let (path, file) = create(&folder, process, 0)?;
        Ok(Self {
            folder,
            process,
            number: 0,
            path,
            file,
            length: MAGIC.len() as u64,
            marks: Marks::new(),
            closed: Vec::new(),
            synced: Instant::now(),
            dirty: false,
            lanes: Vec::new(),
            kept: Marks::new(),
            batch: Vec::new(),
            erased: BTreeSet::new(),
            has_erased: false,
        })
    }

    pub(super) fn run(&mut self, shared: &Shared) {
        loop {
            let (wanted, urgent, stopping) = {
                let state = shared.state();
                let pause = if state.stopping { Duration::ZERO } else { WRITE_EVERY };
                let nothing_urgent = |state: &mut State| state.flushes_wanted == state.flushes_done && !state.stopping;
                let waited = shared.wake.wait_timeout_while(state, pause, nothing_urgent);
                let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
                self.lanes.append(&mut state.opened);
                self.has_erased |= !state.erased.is_empty();
                self.erased.append(&mut state.erased);
                let urgent = state.stopping || state.flushes_done < state.flushes_wanted;
                (state.flushes_wanted, urgent, state.stopping)
            };
            let outcome = self.round(urgent);
            let failed = outcome.is_err();
            self.remove_kept();
            let mut state = shared.state();
            state.bytes = self.length + self.closed.iter().map(|closed| closed.length).sum::<u64>();
            match outcome {
                Ok(()) => {
                    (state.failure, state.failing_since) = (None, None);
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
            drop(state);
            if stopping {
                return;
            }
            if failed {
                thread::sleep(SYNC_EVERY);
            }
        }
    }

    /// Writes what could not be written before, then what the lanes have.
    fn round(&mut self, urgent: bool) -> io::Result<()> {
        if !self.batch.is_empty() {
            self.write(false)?;
        }
        self.collect();
        self.write(urgent)?;
        if self.has_erased { self.rewrite() } else { Ok(()) }
    }

    /// Begins the next file if needed, and erases captures from those before it.
    fn rewrite(&mut self) -> io::Result<()> {
        let has = |marks: &Marks| marks.keys().any(|capture| self.erased.contains(capture));
        if has(&self.marks) {
            self.file.sync_data()?;
            self.next_file()?;
        }
        for closed in &mut self.closed {
            if closed.marks.keys().any(|capture| self.erased.contains(capture)) {
                erase(&closed.path, &self.erased)?;
                closed.length = fs::metadata(&closed.path).map_or(0, |file| file.len());
                closed.marks.retain(|capture, _| !self.erased.contains(capture));
            }
        }
        self.has_erased = false;
        Ok(())
    }

    fn next_file(&mut self) -> io::Result<()> {
        let (path, file) = create(&self.folder, self.process, self.number + 1)?;
        self.number += 1;
        self.file = file;
        let length = std::mem::replace(&mut self.length, MAGIC.len() as u64);
        let path = std::mem::replace(&mut self.path, path);
        self.closed.push(Closed { path, length, marks: std::mem::take(&mut self.marks) });
        Ok(())
    }

    /// Collects what the lanes have, each run of frames after a frame that names its capture.
    fn collect(&mut self) {
        let Self { lanes, batch, marks, kept, erased, .. } = self;
        lanes.retain(|line| {
            let mut waiting = line.waiting();
            if erased.contains(&line.capture) {
                waiting.frames = Vec::new();
            }
            if !waiting.frames.is_empty() {
                frame::append(batch, |out| {
                    // No entry begins with a zero: protobuf has no field 0.
                    out.push(0);
                    out.extend_from_slice(line.capture.as_bytes());
                });
                batch.extend_from_slice(&waiting.frames);
                // The memory that filled up while the disk was stalled is not needed again.
                waiting.frames.clear();
                waiting.frames.shrink_to(16 << 10);
                waiting.is_full = false;
                marks.insert(line.capture, waiting.next);
            }
            kept.insert(line.capture, waiting.kept);
            !waiting.is_over
        });
    }

    /// Writes the whole batch or none of it, syncs when it is due, and begins the next file when this one is large.
    fn write(&mut self, urgent: bool) -> io::Result<()> {
        if !self.batch.is_empty() {
            // At a fixed position, so that the next attempt overwrites what a failed one left.
            if let Err(error) = self.file.write_all_at(&self.batch, self.length) {
                let _ = self.file.set_len(self.length);
                return Err(error);
            }
            self.length += self.batch.len() as u64;
            self.dirty = true;
            self.batch.clear();
            self.batch.shrink_to(1 << 20);
        }
        if self.dirty && (urgent || self.synced.elapsed() >= SYNC_EVERY) {
            self.file.sync_data()?;
            self.dirty = false;
            self.synced = Instant::now();
        }
        if self.length >= FILE_SIZE && !self.dirty {
            self.next_file()?;
        }
        Ok(())
    }

    fn remove_kept(&mut self) {
        let kept = &self.kept;
        let before = self.closed.len();
        self.closed.retain(|closed| {
            let needed =
                closed.marks.iter().any(|(capture, next)| kept.get(capture).is_none_or(|before| next > before));
            needed || (fs::remove_file(&closed.path).is_err() && closed.path.exists())
        });
        if self.closed.len() < before {
            let Self { kept, lanes, closed, marks, .. } = self;
            kept.retain(|capture, _| {
                lanes.iter().any(|line| line.capture == *capture)
                    || marks.contains_key(capture)
                    || closed.iter().any(|file| file.marks.contains_key(capture))
            });
        }
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
