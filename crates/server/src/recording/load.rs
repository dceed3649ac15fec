//! Measures processor, spool and disk every second, for /metrics, alarms and the admission of rooms.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Recorder;
use super::admission::{Gate, Measured, Refusal};
use crate::clock;
use crate::config;

/// How often to measure.
const EVERY: Duration = Duration::from_secs(1);

/// Measures, and decides by what it measured.
pub struct Gauge {
    began: Instant,
    gate: Mutex<Gate>,
    free: Mutex<Option<u64>>,
}

impl Gauge {
    /// Nothing measured yet.
    pub fn new(limits: &config::Recorder) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { began: Instant::now(), gate: Mutex::new(Gate::new(limits, cores)), free: Mutex::default() }
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        // A measurement is taken whole or not at all.
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn free(&self) -> MutexGuard<'_, Option<u64>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether one more room can be recorded besides these `rooms`, with `waiting` bytes that wait on the disk.
    pub(super) fn admit(&self, rooms: usize, waiting: u64) -> Result<(), Refusal> {
        let free = *self.free();
        let admitted = self.gate().admit(Measured { rooms, waiting, free });
        if let Err(refusal) = &admitted {
            metrics::counter!("echosphere_rooms_refused_total").increment(1);
            tracing::warn!(%refusal, "a room is not recorded");
        }
        admitted
    }
}

/// Measures until the server stops.
pub async fn watch(recorder: Arc<Recorder>) {
    let mut alarms = Alarms::default();
    loop {
        measure(&recorder, &mut alarms).await;
        tokio::select! {
            () = recorder.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// What an operator was warned of last.
#[derive(Default)]
struct Alarms {
    spool: bool,
    disk: bool,
}

impl Alarms {
    /// Says that too much waits for object storage, and that it does no more.
    fn spool(&mut self, is_on: bool, waiting: u64, limit: u64) {
        metrics::gauge!("echosphere_spool_alarm").set(f64::from(u8::from(is_on)));
        match turned(&mut self.spool, is_on) {
            Some(true) => tracing::error!(
                waiting,
                limit,
                "half of what may wait on the disk waits there: object storage is away or too slow; at the limit no more rooms are recorded"
            ),
            Some(false) => tracing::info!(waiting, limit, "object storage has caught up"),
            None => {}
        }
    }

    /// Says that the disk is nearly full, and that it is no more.
    fn disk(&mut self, is_on: bool, free: u64, limit: u64) {
        metrics::gauge!("echosphere_disk_free_bytes").set(free as f64);
        metrics::gauge!("echosphere_disk_alarm").set(f64::from(u8::from(is_on)));
        match turned(&mut self.disk, is_on) {
            Some(true) => tracing::error!(
                free,
                limit,
                "the disk of the data directory is nearly full: rooms that are being recorded go on, no more are begun, uploads and telemetry are refused (recorder.min_free_disk)"
            ),
            Some(false) => tracing::info!(free, limit, "the disk of the data directory has space again"),
            None => {}
        }
    }
}

/// What an alarm is now, if it was something else before.
fn turned(was: &mut bool, is_on: bool) -> Option<bool> {
    (std::mem::replace(was, is_on) != is_on).then_some(is_on)
}

async fn measure(recorder: &Recorder, alarms: &mut Alarms) {
    let Gauge { began, .. } = &recorder.load;
    let limits = &recorder.config.recorder;
    let data = Arc::clone(&recorder.data);
    let free = tokio::task::spawn_blocking(move || data.free()).await.ok().and_then(Result::ok);
    *recorder.load.free() = free;
    let (rooms, waiting) = (recorder.registry.count(), recorder.registry.waiting());
    let (percent, each) = {
        let mut gate = recorder.load.gate();
        gate.meter.take(began.elapsed(), clock::processor(), rooms);
        alarms.spool(gate.is_spool_alarming(waiting), waiting, limits.max_spool);
        if let Some(free) = free {
            alarms.disk(gate.is_disk_alarming(free), free, limits.min_free_disk);
        }
        (gate.percent(), gate.meter.cores_per_room())
    };
    let oldest = recorder
        .registry
        .spool
        .oldest()
        .map_or(0, |since| recorder.clock.now().as_nanos().saturating_sub(since).max(0));
    metrics::gauge!("echosphere_rooms").set(rooms as f64);
    metrics::gauge!("echosphere_cpu_percent").set(percent);
    metrics::gauge!("echosphere_cpu_cores_per_room").set(each);
    metrics::gauge!("echosphere_spool_bytes").set(recorder.registry.spool.bytes() as f64);
    metrics::gauge!("echosphere_spool_oldest_seconds").set(oldest as f64 / 1e9);
    metrics::gauge!("echosphere_journal_bytes").set(recorder.registry.journal.bytes() as f64);
}
