//! Opus in fragmented MP4 (ISO/IEC 14496-12, "Encapsulation of Opus in ISO Base Media File Format" 0.8.1), cut from a kept master
//! without decoding it.
//!
//! The layout is the one that browsers play sample-exactly: an edit list that begins at 312 samples, a pre-skip of 0, and channel
//! mapping family 1 (`docs/decisions/0015-opus-untouched.md`). A packet that begins at media time `t` has the decode time
//! [`BASE`] + [`EDIT`] + `t`, whatever the pre-skip of its file was.

mod boxes;
mod cut;
mod init;
mod packet;
mod segment;
mod voices;

use std::ops::Range;

pub use cut::{Cut, cut};
pub use init::{Layout, init};
pub use segment::{Sample, segment};
pub use voices::{SLOT, on_grid, put_together, voices_stretch};
pub(crate) use voices::{slots, voices};

/// The decode time of the first packet, in samples of 48 kHz: 10 s, as in MPEG-TS, so that nothing is ever before zero.
pub const BASE: u64 = 480_000;
/// Where the edit list begins, in samples: the pre-skip of libopus.
pub const EDIT: u32 = 312;

/// Where a playlist says that a segment is, in samples of media time, from where it begins and ends there. Players take the decode time of
/// the packet that they load first for the playlist's time, and all but the first segment's are later than their media time by what the
/// edit list hides: so each is in its place, whichever is loaded first.
pub fn listed_stretch(stretch: &Range<i64>, is_last: bool) -> Range<i64> {
    let hidden = i64::from(EDIT);
    let start = if stretch.start <= 0 { 0 } else { stretch.start + hidden };
    start..if is_last { stretch.end } else { stretch.end + hidden }
}

#[cfg(test)]
mod tests;
