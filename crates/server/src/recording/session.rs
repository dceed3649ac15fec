//! The state that the tasks share which record one room.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::transcript::{Alignment, Refined};
use echosphere_media::grid::Grid;
use echosphere_recorder::capture;
use echosphere_recorder::room::Order;
use echosphere_store::{LeftOut, OwnedRoom};
use tokio::sync::{mpsc, watch};

use super::Recorder;
use super::chunk_outbox::ChunkOutbox;
use super::measured::Measured;
use super::onlookers::Onlookers;

/// What there is of a room when its tasks begin: what an earlier process left, or nothing yet.
pub(super) struct StartingPoint {
    pub(super) log: capture::Capture,
    pub(super) outbox: ChunkOutbox,
    /// Segments that an earlier process rendered.
    pub(super) rendered: u32,
}

/// What the tasks of one room share.
pub(super) struct RoomSession {
    pub(super) recorder: Arc<Recorder>,
    pub(super) recording: Recording,
    pub(super) capture_id: CaptureId,
    pub(super) attempt: u32,
    pub(super) capture: Mutex<capture::Capture>,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) outbox: ChunkOutbox,
    /// Segments that an earlier process rendered; `None` when none are rendered live.
    pub(super) rendered: Option<u32>,
    /// Participants who are excluded, by identity, until the rows have them.
    pub(super) excluded: Mutex<Vec<(String, LeftOut)>>,
    /// What was measured of the sound so far.
    pub(super) measured: Mutex<Measured>,
    /// How many segments are listed.
    pub(super) listed: watch::Sender<u32>,
    /// Who reads the recording.
    pub(super) readers: Onlookers,
    /// Who looks at its waveform.
    pub(super) onlookers: Onlookers,
    /// Where turns were found in it.
    pub(super) found: Mutex<Found>,
}

impl RoomSession {
    /// A room of which this much is there; rendered live from there on, if the configuration says so.
    pub(super) fn new(
        recorder: &Arc<Recorder>,
        recording: Recording,
        capture: &Capture,
        start: StartingPoint,
        orders: mpsc::UnboundedSender<Order>,
    ) -> Self {
        let StartingPoint { log, outbox, rendered } = start;
        let segment_ms = recorder.config.segment_duration.as_millis() as u64;
        Self {
            recorder: Arc::clone(recorder),
            recording,
            capture_id: capture.id,
            attempt: capture.attempt,
            capture: Mutex::new(log),
            orders,
            outbox,
            rendered: recorder.config.recorder.live.then_some(rendered),
            excluded: Mutex::default(),
            measured: Mutex::new(Measured::begin_at(Grid::live_segment(segment_ms, rendered).start)),
            listed: watch::Sender::new(rendered),
            readers: Onlookers::default(),
            onlookers: Onlookers::default(),
            found: Mutex::default(),
        }
    }

    /// The room, as this node's.
    pub(super) fn room(&self) -> OwnedRoom {
        OwnedRoom { recording: self.recording.id, owner: self.recorder.node }
    }

    pub(super) fn capture(&self) -> MutexGuard<'_, capture::Capture> {
        // What a panic leaves half done is at most one entry, which the log's numbers show.
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn measured(&self) -> MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn excluded(&self) -> MutexGuard<'_, Vec<(String, LeftOut)>> {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the turns were found when they were last aligned.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// How many windows had been measured, and how many turns there were.
    pub(super) of: Option<(u32, usize)>,
    pub(super) alignment: Alignment,
    pub(super) lines: HashMap<String, Refined>,
}
