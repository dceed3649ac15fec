//! The status of a capture: decided here, and nowhere else.

use crate::recording::CaptureStatus;

/// What happens to a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was read.
    Read {
        /// Whether nothing is missing from it.
        is_whole: bool,
        /// Whether anything of it can be played or read.
        is_usable: bool,
    },
    /// A better capture of the same source replaces it, or it was withdrawn.
    Superseded,
}

/// Decides what an event does to a capture. A capture that was superseded stays so, whoever still reads it.
pub fn step(status: CaptureStatus, event: Event) -> CaptureStatus {
    match event {
        _ if status == CaptureStatus::Superseded => status,
        Event::Superseded => CaptureStatus::Superseded,
        Event::Read { is_whole: true, .. } => CaptureStatus::Complete,
        Event::Read { is_usable: true, .. } => CaptureStatus::Partial,
        Event::Read { .. } => CaptureStatus::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use CaptureStatus::{Complete, Failed, Partial, Processing, Superseded};

    #[test]
    fn what_was_read_decides_and_what_was_replaced_does_not_come_back() {
        let read = |is_whole, is_usable| Event::Read { is_whole, is_usable };
        for status in [Processing, Complete, Partial, Failed] {
            assert_eq!(step(status, read(true, true)), Complete);
            assert_eq!(step(status, read(true, false)), Complete, "a call without sound is a whole one");
            assert_eq!(step(status, read(false, true)), Partial);
            assert_eq!(step(status, read(false, false)), Failed);
            assert_eq!(step(status, Event::Superseded), Superseded);
        }
        assert_eq!(step(Superseded, read(true, true)), Superseded);
    }
}
