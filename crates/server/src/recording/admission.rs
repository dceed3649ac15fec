//! Decides whether one more room can be recorded, from measurements that it is given.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Recorder;

/// The use of the processor is averaged over this long: a burst of a second or two is no reason to refuse a room.
const WINDOW: Duration = Duration::from_secs(10);
/// How far use must have fallen below the limit before rooms are taken again, in percent of the machine.
const CPU_BACK: f64 = 5.0;
/// The most that one more room is assumed to need, in percent of one core: what else the process does is no room's cost.
const DEAREST_ROOM: f64 = 5.0;
/// The share of the limit that may wait on the disk before it is an alarm, and at which the alarm is over.
const ALARM: (f64, f64) = (0.5, 0.4);
/// How much more than the limit must be free on the disk before its alarm is over.
const DISK_BACK: f64 = 1.1;
/// The share of the limit below which rooms are taken again.
const SPOOL_BACK: f64 = 0.9;

/// Why no more room is recorded now.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// As many rooms as allowed are being recorded.
    #[error("{0} rooms are being recorded, which is as many as recorder.max_rooms allows")]
    Rooms(usize),
    /// The processor is busy.
    #[error(
        "{rooms} rooms are being recorded and the processor is used to {used:.0} %; recorder.max_cpu allows {limit} %"
    )]
    Cpu {
        /// Rooms now.
        rooms: usize,
        /// What this process would use of the machine's cores, in percent, with rooms that have just begun and one more.
        used: f64,
        /// The limit.
        limit: u64,
    },
    /// Too much waits for object storage.
    #[error("{waiting} MiB wait on the disk for object storage, which is as much as recorder.max_spool allows")]
    Spool {
        /// Mebibytes that wait.
        waiting: u64,
    },
    /// The disk is nearly full.
    #[error("{free} MiB are free on the disk of the data directory; recorder.min_free_disk asks for more")]
    Disk {
        /// Mebibytes that are free.
        free: u64,
    },
}

/// A limit with hysteresis: what closed at the limit opens again only clearly below it, so that it does not flap.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latch(bool);

impl Latch {
    /// Takes a measurement; true when it is closed.
    pub(super) fn is_closed(&mut self, value: f64, limit: f64, back: f64) -> bool {
        self.0 = value >= if self.0 { back } else { limit };
        self.0
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    cpu: Duration,
    rooms: usize,
}

/// What the processor does for this process, as an average over [`WINDOW`].
#[derive(Debug, Default)]
pub(super) struct Meter(VecDeque<Sample>);

impl Meter {
    /// Takes a measurement: the time since a fixed beginning, the processor time used so far, and the rooms now.
    pub(super) fn take(&mut self, at: Duration, cpu: Duration, rooms: usize) {
        self.0.push_back(Sample { at, cpu, rooms });
        while self.0.get(1).is_some_and(|second| at.saturating_sub(second.at) >= WINDOW) {
            self.0.pop_front();
        }
    }

    /// Cores used.
    pub(super) fn cores(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return 0.0 };
        let (time, cpu) = (last.at.saturating_sub(first.at), last.cpu.saturating_sub(first.cpu));
        if time.is_zero() { 0.0 } else { cpu.as_secs_f64() / time.as_secs_f64() }
    }

    /// Rooms in that time, on average.
    fn rooms(&self) -> f64 {
        self.0.iter().map(|sample| sample.rooms as f64).sum::<f64>() / self.0.len().max(1) as f64
    }

    /// Cores used for each room, all else that the process does included; 0 without rooms.
    pub(super) fn cores_per_room(&self) -> f64 {
        let rooms = self.rooms();
        if rooms < 0.5 { 0.0 } else { self.cores() / rooms }
    }

    /// Percent of the machine's cores that would be used with one more room than there are now.
    fn with_one_more(&self, rooms: usize, cores: f64) -> f64 {
        let each = (self.cores_per_room() * 100.0).min(DEAREST_ROOM);
        // What has just begun is not in the average yet.
        let new = (rooms as f64 - self.rooms()).max(0.0);
        (self.cores() * 100.0 + (new + 1.0) * each) / cores
    }
}

/// What is measured besides the processor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Rooms now.
    pub(super) rooms: usize,
    /// Bytes that wait on the disk.
    pub(super) waiting: u64,
    /// Bytes that are free on the disk; `None` when that is not known.
    pub(super) free: Option<u64>,
}

/// Decides, and remembers what it decided.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Recorder,
    cores: f64,
    pub(super) meter: Meter,
    cpu: Latch,
    spool: Latch,
    spool_alarm: Latch,
    disk_alarm: Latch,
}

impl Gate {
    /// A gate on a machine with this many cores.
    pub(super) fn new(limits: &Recorder, cores: usize) -> Self {
        let cores = cores.max(1) as f64;
        let (meter, latch) = (Meter::default(), Latch::default());
        let limits = limits.clone();
        Self { limits, cores, meter, cpu: latch, spool: latch, spool_alarm: latch, disk_alarm: latch }
    }

    /// Percent of the machine's cores that are used.
    pub(super) fn percent(&self) -> f64 {
        self.meter.cores() * 100.0 / self.cores
    }

    /// Whether one more room can be recorded.
    pub(super) fn admit(&mut self, now: Measured) -> Result<(), Refusal> {
        let Measured { rooms, waiting, free } = now;
        if rooms >= self.limits.max_rooms {
            return Err(Refusal::Rooms(rooms));
        }
        let most = self.limits.max_spool as f64;
        if self.spool.is_closed(waiting as f64, most, most * SPOOL_BACK) {
            return Err(Refusal::Spool { waiting: waiting >> 20 });
        }
        if let Some(free) = free.filter(|free| *free < self.limits.min_free_disk) {
            return Err(Refusal::Disk { free: free >> 20 });
        }
        let (used, limit) = (self.meter.with_one_more(rooms, self.cores), self.limits.max_cpu);
        // Without a room there is none that one more could hurt.
        if self.cpu.is_closed(used, limit as f64, limit as f64 - CPU_BACK) && rooms > 0 {
            return Err(Refusal::Cpu { rooms, used, limit });
        }
        Ok(())
    }

    /// Whether so much waits that an operator should know.
    pub(super) fn is_spool_alarming(&mut self, waiting: u64) -> bool {
        let most = self.limits.max_spool as f64;
        self.spool_alarm.is_closed(waiting as f64, most * ALARM.0, most * ALARM.1)
    }

    /// Whether so little is free on the disk that rooms, uploads and telemetry are refused.
    pub(super) fn is_disk_alarming(&mut self, free: u64) -> bool {
        let least = self.limits.min_free_disk as f64;
        // A latch closes above its limit, and here less is worse.
        self.disk_alarm.is_closed(-(free as f64), -least + 1.0, -least * DISK_BACK)
    }
}

#[cfg(test)]
mod tests;
