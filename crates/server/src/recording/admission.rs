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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTHING: Measured = Measured { rooms: 0, waiting: 0, free: None };

    fn gate() -> Gate {
        let limits =
            Recorder { max_rooms: 10_000, max_cpu: 85, max_spool: 1_000, min_free_disk: 500, ..Recorder::default() };
        Gate::new(&limits, 2)
    }

    /// Takes `seconds` seconds in which `cores` cores are used for `rooms` rooms.
    fn run(gate: &mut Gate, from: u64, seconds: u64, cores: f64, rooms: usize) {
        let before = gate.meter.0.back().map_or(Duration::ZERO, |sample| sample.cpu);
        for second in 0..=seconds {
            let cpu = before + Duration::from_secs_f64(cores * second as f64);
            gate.meter.take(Duration::from_secs(from + second), cpu, rooms);
        }
    }

    #[test]
    fn a_busy_machine_takes_no_more_rooms_until_it_is_clearly_less_busy() {
        let mut gate = gate();
        let rooms = |rooms| Measured { rooms, ..NOTHING };
        run(&mut gate, 0, 20, 1.60, 160);
        assert!((gate.percent() - 80.0).abs() < 0.1 && (gate.meter.cores_per_room() - 0.01).abs() < 0.001);
        assert_eq!(gate.admit(rooms(160)), Ok(()));
        // Nine that have just begun cost half a percent each, and are not measured yet.
        assert_eq!(gate.admit(rooms(168)), Ok(()));
        assert!(matches!(gate.admit(rooms(170)), Err(Refusal::Cpu { rooms: 170, limit: 85, .. })));
        // What closed it is gone, but it is not clearly less.
        assert!(gate.admit(rooms(160)).is_err());
        run(&mut gate, 30, 20, 1.55, 155);
        assert_eq!(gate.admit(rooms(155)), Ok(()));
    }

    #[test]
    fn a_burst_and_a_machine_without_rooms_refuse_nobody() {
        let mut gate = gate();
        run(&mut gate, 0, 20, 2.0, 0);
        assert_eq!(gate.admit(NOTHING), Ok(()));
        let mut gate = self::gate();
        run(&mut gate, 0, 20, 0.4, 40);
        run(&mut gate, 21, 2, 2.0, 40);
        assert_eq!(gate.admit(Measured { rooms: 40, ..NOTHING }), Ok(()));
    }

    #[test]
    fn what_waits_is_an_alarm_first_and_a_refusal_then() {
        let mut gate = gate();
        let waiting = |waiting| Measured { waiting, ..NOTHING };
        let mut alarms = |waiting| gate.is_spool_alarming(waiting);
        assert!(!alarms(499) && alarms(500) && alarms(401) && !alarms(399));
        assert_eq!(gate.admit(waiting(999)), Ok(()));
        assert!(gate.admit(waiting(1_000)).is_err() && gate.admit(waiting(901)).is_err());
        assert_eq!(gate.admit(waiting(899)), Ok(()));
        assert!(gate.admit(Measured { free: Some(499), ..NOTHING }).is_err());
        assert_eq!(gate.admit(Measured { free: Some(500), ..NOTHING }), Ok(()));
        gate.limits.max_rooms = 3;
        assert_eq!(gate.admit(Measured { rooms: 3, ..NOTHING }), Err(Refusal::Rooms(3)));
    }

    proptest! {
        #[test]
        fn noise_around_the_limit_does_not_make_it_flap(noise in prop::collection::vec(-4.0..4.0_f64, 200)) {
            let mut latch = Latch::default();
            let closed: Vec<bool> = noise.iter().map(|off| latch.is_closed(84.0 + off, 85.0, 80.0)).collect();
            let changes = closed.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert!(changes <= 1, "{changes}");
        }
    }
}
