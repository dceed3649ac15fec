//! Decides when live segments are due, and then fixes in the log where their streams lie: so they have the same sound whenever they are
//! rendered.

use std::ops::Range;
use std::time::Instant;

use echosphere_media::grid::{Grid, samples};
use echosphere_recorder::clock::nanos;

use super::session::RoomSession;
use crate::rendering::capture_log::LAG;

impl RoomSession {
    /// The target length of segments, in milliseconds.
    pub(super) fn segment_ms(&self) -> u64 {
        self.recorder.config.segment_duration.as_millis() as u64
    }

    /// The frames of a segment.
    pub(super) fn frames(&self, number: u32) -> Range<u64> {
        Grid::live_segment(self.segment_ms(), number)
    }

    /// How many segments are due from this one on, at most so many, or none while they are fewer than `least`: everything that belongs into them
    /// has come, or comes too late.
    pub(super) fn due(&self, from: u32, least: u32, most: u32) -> u32 {
        let capture = self.capture();
        let Some(zero) = capture.assembler().zero() else { return 0 };
        let now = capture.clock().at(Instant::now());
        let end = |number: u32| zero + nanos(samples(&self.frames(number)).end);
        let has_come = |number: &u32| now >= end(*number) + LAG.as_nanos() as i64;
        if !has_come(&(from + least - 1)) {
            return 0;
        }
        let come = (from..from.saturating_add(most)).take_while(has_come).count() as u32;
        // What is listed stays, so nothing is that may lie after the end of the recording: an empty room stays open a while.
        let until = capture.assembler().goes_on_until();
        let due =
            (from..from + come).take_while(|number| until.is_none_or(|until| until >= end(*number))).count() as u32;
        if due < least { 0 } else { due }
    }

    /// Fixes where the streams lie from a segment on, in all that are due.
    pub(super) fn place(&self, from: u32) {
        self.capture().follow_clocks(samples(&self.frames(from)).start, Instant::now());
    }
}
