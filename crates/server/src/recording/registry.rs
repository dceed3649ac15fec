//! The registry of rooms that this process records: gives them orders, and reads their state so far.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::recording::Track;
use echosphere_domain::transcript::Transcript;
use echosphere_media::peaks::Waveform;
use echosphere_recorder::log::Entry;
use echosphere_recorder::log::journal::{self, Journal};
use echosphere_recorder::log::spool::Spool;
use echosphere_recorder::room::{Command, Order};
use echosphere_recorder::sound::Index;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::session::RoomSession;
use crate::jobs;
use crate::rendering::capture_log::tracks;

/// How long all rooms together may take to be handed over.
const HAND_OVER: Duration = Duration::from_secs(10);

/// A room that this process records.
pub(super) struct Running {
    pub session: Arc<RoomSession>,
    pub orders: mpsc::UnboundedSender<Order>,
    pub task: JoinHandle<()>,
}

/// The rooms that this process records.
pub struct Registry {
    /// The journal of all of them.
    pub journal: Arc<Journal>,
    /// Chunks that wait on the disk for object storage.
    pub spool: Arc<Spool>,
    /// Limits how many rooms read a part of their log again at the same time.
    pub(super) late: Semaphore,
    running: Mutex<HashMap<RecordingId, Running>>,
    /// Rooms of an earlier process that are still to be resumed, with the orders that came for them in the meantime.
    to_resume: Mutex<HashMap<RecordingId, Vec<Order>>>,
    /// What journals of earlier processes have of rooms that are not resumed yet, by capture.
    journalled: Mutex<HashMap<Uuid, Vec<Entry>>>,
    /// Journals of earlier processes that are still there.
    pub(super) earlier: Arc<Mutex<Vec<PathBuf>>>,
}

impl Registry {
    /// No rooms yet; as many at once as there are renderers may read a part of their log again.
    pub fn new(journal: Journal, spool: Spool, renderers: usize) -> Self {
        Self {
            journal: Arc::new(journal),
            spool: Arc::new(spool),
            late: Semaphore::new(renderers.max(1)),
            running: Mutex::default(),
            to_resume: Mutex::default(),
            journalled: Mutex::default(),
            earlier: Arc::default(),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rooms there are.
    pub fn count(&self) -> usize {
        self.running().len()
    }

    /// A room that this process has.
    pub(super) fn session(&self, recording: RecordingId) -> Option<Arc<RoomSession>> {
        self.running().get(&recording).map(|room| Arc::clone(&room.session))
    }

    /// The rooms that this process has.
    pub(super) fn all(&self) -> Vec<RecordingId> {
        self.running().keys().copied().collect()
    }

    /// The project of a room that this process has.
    pub(super) fn project(&self, recording: RecordingId) -> Option<ProjectId> {
        self.running().get(&recording).map(|room| room.session.recording.project.clone())
    }

    /// Gives a room a command; one that is still to be resumed gets it then. `None` when this process does not have the room. What is
    /// returned says when the room has acted on it, and fails when the room was over before.
    pub(super) fn order(&self, recording: RecordingId, command: Command) -> Option<oneshot::Receiver<()>> {
        let (acted, answer) = oneshot::channel();
        let order = Order { command, acted: Some(acted) };
        if let Some(later) = self.to_resume().get_mut(&recording) {
            later.push(order);
            return Some(answer);
        }
        // A room that is over takes no more orders, and drops this one.
        self.running().get(&recording).map(|room| drop(room.orders.send(order)))?;
        Some(answer)
    }

    pub(super) fn to_resume(&self) -> std::sync::MutexGuard<'_, HashMap<RecordingId, Vec<Order>>> {
        self.to_resume.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn journalled(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Vec<Entry>>> {
        self.journalled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room was resumed, or is no longer wanted: it gets the orders that came in the meantime.
    pub(super) fn resumed(&self, recording: RecordingId) {
        let orders = self.to_resume().remove(&recording).unwrap_or_default();
        if let Some(room) = self.running().get(&recording) {
            for order in orders {
                let _ = room.orders.send(order);
            }
        }
    }

    /// Somebody reads a recording of a project: if it is of a room that this process has, its rows are brought up to date.
    pub async fn catch_up(&self, project: &ProjectId, recording: RecordingId) {
        if let Some(session) = self.session(recording).filter(|session| session.recording.project == *project) {
            session.catch_up().await;
        }
    }

    /// Somebody reads the list of a project's recordings.
    pub async fn catch_up_all(&self, project: &ProjectId) {
        let sessions: Vec<Arc<RoomSession>> = {
            let running = self.running();
            let sessions = running.values().map(|room| &room.session);
            sessions.filter(|session| session.recording.project == *project).map(Arc::clone).collect()
        };
        futures_util::future::join_all(sessions.iter().map(|session| session.catch_up())).await;
    }

    /// What was said in a room so far; `None` when this process does not record it, or nothing was said.
    pub fn transcript(&self, recording: RecordingId) -> Option<Transcript> {
        let session = self.session(recording)?;
        session.readers.come();
        Some(session.transcript()).filter(|transcript| !transcript.turns.is_empty())
    }

    /// The waveform of a room so far, which is drawn while somebody asks for it; `None` when this process does not record it, or renders nothing while it goes on.
    pub fn waveform(&self, recording: RecordingId, pixels: usize) -> Option<Waveform> {
        let session = self.session(recording)?;
        session.rendered?;
        session.onlookers.come();
        let waveform = session.measured().waveform(pixels);
        Some(waveform)
    }

    /// The tracks of a room so far; `None` when this process does not record it.
    pub fn tracks(&self, recording: RecordingId) -> Option<Vec<Track>> {
        let session = self.session(recording)?;
        let tracks = tracks(session.capture().assembler());
        Some(tracks)
    }

    /// Where the streams of a room lie so far; `None` when this process does not record it, or nothing was heard.
    pub fn index(&self, recording: RecordingId) -> Option<Index> {
        let session = self.session(recording)?;
        session.capture().assembler().index()
    }

    /// Leaves all rooms, so that the next process goes on with them; waits until everything is kept, in storage or on the
    /// disk.
    pub async fn hand_over(&self) {
        let rooms: Vec<Running> = self.running().drain().map(|(_, room)| room).collect();
        for room in &rooms {
            let _ = room.orders.send(Order::from(Command::HandOver));
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

#[async_trait]
impl jobs::Rooms for Registry {
    fn has(&self, recording: RecordingId) -> bool {
        self.running().contains_key(&recording) || self.to_resume().contains_key(&recording)
    }

    async fn forget(&self, captures: Vec<Uuid>) -> io::Result<()> {
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
}
