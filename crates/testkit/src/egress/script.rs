//! What a worker does, and what goes wrong with it.

use std::time::Duration;

/// What a worker does with the egresses that begin while it has this script.
#[derive(Debug, Clone, Default)]
pub struct Script {
    /// What goes wrong; nothing, if it is empty.
    pub faults: Vec<Fault>,
}

/// Something that goes wrong. `after` counts segments that were written; 0 is when the egress becomes active.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// It does not offer to begin any egress.
    Refuses,
    /// It answers so much later.
    SlowToStart(Duration),
    /// It vanishes without a word: says nothing to LiveKit, nor to the room.
    Crashes {
        /// When.
        after: usize,
    },
    /// It stays in the room, and does nothing any more.
    Freezes {
        /// When.
        after: usize,
    },
    /// The process that records is killed; the worker reports that at once: `FAILED`, 500.
    Killed {
        /// When.
        after: usize,
    },
    /// It ends by itself, and calls it complete: `End reason: CPU exhausted`.
    CpuExhausted {
        /// When.
        after: usize,
    },
    /// It reports everything twice.
    ReportsTwice,
    /// It reports so much later whatever comes after the start.
    ReportsLate(Duration),
    /// It reports that the egress is active only when it has reported its end.
    ReportsActiveLast,
    /// The upload of a segment is lost, and nobody notices: it is listed and counted.
    LosesUpload {
        /// The segment's number, from 0.
        number: usize,
    },
}

impl Script {
    /// A script in which this goes wrong.
    pub fn with(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }

    pub(super) fn refuses(&self) -> bool {
        self.faults.contains(&Fault::Refuses)
    }

    pub(super) fn loses(&self, number: usize) -> bool {
        self.faults.contains(&Fault::LosesUpload { number })
    }

    /// How often it says everything.
    pub(super) fn repeats(&self) -> usize {
        if self.faults.contains(&Fault::ReportsTwice) { 2 } else { 1 }
    }

    pub(super) fn start_delay(&self) -> Duration {
        let delay = |fault: &Fault| if let Fault::SlowToStart(delay) = fault { Some(*delay) } else { None };
        self.faults.iter().find_map(delay).unwrap_or_default()
    }

    /// How much later it reports what comes after the start.
    pub(super) fn report_delay(&self) -> Option<Duration> {
        self.faults.iter().find_map(|fault| if let Fault::ReportsLate(by) = fault { Some(*by) } else { None })
    }

    pub(super) fn reports_active_last(&self) -> bool {
        self.faults.contains(&Fault::ReportsActiveLast)
    }

    /// How it ends by itself when it has written so many segments.
    pub(super) fn end_after(&self, written: usize) -> Option<&Fault> {
        let is_due = |fault: &&Fault| match fault {
            Fault::Crashes { after }
            | Fault::Freezes { after }
            | Fault::Killed { after }
            | Fault::CpuExhausted { after } => *after == written,
            _ => false,
        };
        self.faults.iter().find(is_due)
    }
}
