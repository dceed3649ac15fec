//! The rooms that this process records: what they are told, and what is asked of them.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::Track;
use echosphere_domain::transcript::Transcript;
use echosphere_media::peaks::Waveform;
use echosphere_recorder::log::journal::{self, Journal};
use echosphere_recorder::log::spool::Spool;
use echosphere_recorder::room::Command;
use echosphere_recorder::sound::Index;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::auto::LastWebhook;
use super::load::Gauge;
use super::retries::Retries;
use super::{Session, tracks};
use crate::config::Config;

/// How long all rooms together may take to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);

/// A room that this process records.
pub(super) struct Running {
    pub session: Arc<Session>,
    pub commands: mpsc::Sender<Command>,
    pub task: JoinHandle<()>,
}

/// The rooms that this process records.
pub struct Rooms {
    /// The journal of all of them.
    pub journal: Arc<Journal>,
    /// What waits on the disk for object storage.
    pub spool: Arc<Spool>,
    /// What all this costs.
    pub load: Gauge,
    /// Rooms that read a part of their log again, at the same time.
    pub(super) late: Semaphore,
    running: Mutex<HashMap<RecordingId, Running>>,
    /// Those of an earlier process that are still to be taken up, with what they were told in the meantime.
    left: Mutex<HashMap<RecordingId, Vec<Command>>>,
    pub(super) webhooks: LastWebhook,
    retries: Mutex<Retries>,
    /// Journals of earlier processes that are still there.
    pub(super) earlier: Arc<Mutex<Vec<PathBuf>>>,
}

impl Rooms {
    /// None yet.
    pub fn new(journal: Journal, spool: Spool, config: &Config) -> Self {
        Self {
            journal: Arc::new(journal),
            spool: Arc::new(spool),
            load: Gauge::new(&config.recorder),
            late: Semaphore::new(config.render_workers.max(1)),
            running: Mutex::default(),
            left: Mutex::default(),
            webhooks: LastWebhook::default(),
            retries: Mutex::default(),
            earlier: Arc::default(),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A webhook came that begins recordings.
    pub fn webhook_came(&self) {
        self.webhooks.came();
    }

    /// Whether webhooks come, lately.
    pub fn webhooks_come(&self) -> bool {
        self.webhooks.come()
    }

    /// When rooms that could not be joined are tried again.
    pub(super) fn retries(&self) -> std::sync::MutexGuard<'_, Retries> {
        self.retries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running().len()
    }

    /// Tells a room something; one that is still to be taken up is told then. False when nobody listens to it any more.
    pub fn tell(&self, recording: RecordingId, command: Command) -> bool {
        if let Some(later) = self.left().get_mut(&recording) {
            later.push(command);
            return true;
        }
        self.running().get(&recording).is_some_and(|room| room.commands.try_send(command).is_ok())
    }

    /// Whether this process has a room: it listens to it, or still keeps what it heard, or is going to take it up.
    pub fn has(&self, recording: RecordingId) -> bool {
        self.running().contains_key(&recording) || self.left().contains_key(&recording)
    }

    pub(super) fn left(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, Vec<Command>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room was taken up, or nobody wants it any more: it hears what it was told in the meantime.
    pub(super) fn taken_up(&self, recording: RecordingId) {
        let told = self.left().remove(&recording).unwrap_or_default();
        for command in told {
            self.tell(recording, command);
        }
    }

    /// What was said in a room so far; `None` when this process does not record it.
    pub fn transcript(&self, recording: RecordingId) -> Option<Transcript> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        Some(session.transcript()).filter(|transcript| !transcript.turns.is_empty())
    }

    /// The waveform of a room so far; `None` when this process does not record it, or renders nothing while it goes on.
    pub fn waveform(&self, recording: RecordingId, pixels: usize) -> Option<Waveform> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        session.rendered?;
        let waveform = session.measured().waveform(pixels);
        Some(waveform)
    }

    /// The tracks of a room so far; `None` when this process does not record it.
    pub fn tracks(&self, recording: RecordingId) -> Option<Vec<Track>> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        let tracks = tracks(session.capture().assembler());
        Some(tracks)
    }

    /// Where the streams of a room lie so far; `None` when this process does not record it, or nothing was heard.
    pub fn index(&self, recording: RecordingId) -> Option<Index> {
        let session = Arc::clone(&self.running().get(&recording)?.session);
        session.capture().assembler().index()
    }

    /// Leaves all rooms, so that the next process goes on with them; waits until everything is kept, in storage or on the
    /// disk.
    pub async fn hand_over(&self) {
        let rooms: Vec<Running> = self.running().drain().map(|(_, room)| room).collect();
        for room in &rooms {
            let _ = room.commands.try_send(Command::HandOver);
        }
        let count = rooms.len();
        let all = futures_util::future::join_all(rooms.into_iter().map(|room| room.task));
        if tokio::time::timeout(HAND_OVER, all).await.is_err() {
            tracing::warn!("not every room was handed over in time; the journal has what chunks lack");
        }
        let journal = Arc::clone(&self.journal);
        let flushed = tokio::task::spawn_blocking(move || journal.flush()).await;
        match flushed.map_err(|error| error.to_string()).flatten() {
            Ok(()) => tracing::info!(rooms = count, "rooms are handed over"),
            Err(error) => tracing::error!(error, "the journal is not whole on the disk"),
        }
    }

    /// Removes what journals and spool have of captures that nobody listens to any more.
    pub async fn forget(&self, captures: Vec<Uuid>) -> io::Result<()> {
        let (journal, spool, earlier) = (Arc::clone(&self.journal), Arc::clone(&self.spool), Arc::clone(&self.earlier));
        let forgotten = tokio::task::spawn_blocking(move || {
            for capture in &captures {
                for number in spool.numbers(*capture) {
                    spool.remove(*capture, number);
                    if spool.has(*capture, number) {
                        return Err(io::Error::other(format!(
                            "{} cannot be removed",
                            spool.path(*capture, number).display()
                        )));
                    }
                }
            }
            journal.erase(&captures).map_err(io::Error::other)?;
            let captures: BTreeSet<Uuid> = captures.into_iter().collect();
            let earlier = earlier.lock().unwrap_or_else(PoisonError::into_inner);
            earlier.iter().try_for_each(|file| journal::erase(file, &captures))
        });
        forgotten.await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Bytes that wait on the disk: chunks, and the journal.
    pub(super) fn waiting(&self) -> u64 {
        self.spool.bytes() + self.journal.bytes()
    }

    /// Adds a room whose task begins now. The task may end, and remove it, at once: it waits until it is added.
    pub(super) fn begin(&self, recording: RecordingId, room: impl FnOnce() -> Running) {
        let mut running = self.running();
        running.insert(recording, room());
    }

    pub(super) fn remove(&self, recording: RecordingId) {
        self.running().remove(&recording);
    }
}
