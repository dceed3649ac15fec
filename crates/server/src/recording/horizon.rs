//! Decides when a live segment is due, and then fixes in the log where its streams lie: so it has the same sound whenever it is
//! rendered.

use std::ops::Range;
use std::time::Instant;

use echosphere_media::grid::{Grid, samples};
use echosphere_recorder::clock::nanos;

use super::session::RoomSession;
use crate::rendering::capture_log::LAG;

/// A segment that is due: everything that belongs into it has come, or comes too late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// Its number.
    pub(super) number: u32,
    /// Its frames.
    pub(super) frames: Range<u64>,
    /// When the room's media time zero was, in nanoseconds since the Unix epoch.
    pub(super) zero: i64,
}

impl Due {
    /// Its samples.
    pub(super) fn samples(&self) -> Range<i64> {
        samples(&self.frames)
    }
}

impl RoomSession {
    /// The target length of segments, in milliseconds.
    pub(super) fn segment_ms(&self) -> u64 {
        self.recorder.config.segment_duration.as_millis() as u64
    }

    /// The segment with this number, if it is due.
    pub(super) fn due(&self, number: u32) -> Option<Due> {
        let frames = Grid::live_segment(self.segment_ms(), number);
        let window = samples(&frames);
        let mut capture = self.capture();
        let zero = capture.assembler().zero()?;
        let (end, now) = (zero + nanos(window.end), Instant::now());
        if capture.clock().at(now) < end + LAG.as_nanos() as i64 {
            return None;
        }
        // What is listed stays, so nothing is that may lie after the end of the recording: an empty room stays open a while.
        if capture.assembler().goes_on_until().is_some_and(|until| until < end) {
            return None;
        }
        capture.follow_clocks(window.start, now);
        Some(Due { number, frames, zero })
    }
}
