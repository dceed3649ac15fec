//! Cuts a stretch of an Ogg master into packets, in place of what would be rendered of it.

use std::ops::Range;

use super::packet::append_silence;
use super::{BASE, EDIT, Sample, segment};
use crate::ogg::{OpusIndex, Packet};

/// The packets of a stretch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The media time at which they begin, in samples of 48 kHz; before 0 at the very beginning.
    pub start: i64,
    /// The packets, without holes: silence is where the master has nothing.
    pub samples: Vec<Sample>,
}

impl Cut {
    /// The decode time of the first packet.
    pub fn decode_time(&self) -> u64 {
        (BASE + u64::from(EDIT)).saturating_add_signed(self.start)
    }

    /// The media segment with this number on the grid.
    pub fn segment(&self, number: u32) -> Vec<u8> {
        segment(number.saturating_add(1), self.decode_time(), &self.samples)
    }

    /// The length of all packets, in samples.
    pub fn duration(&self) -> u64 {
        self.samples.iter().map(|sample| u64::from(sample.duration)).sum()
    }
}

/// The packets of a window of media time, in samples, from the bytes of [`OpusIndex::byte_range`]: those that begin in it. What is heard
/// begins and ends up to a packet later than the window, so that no packet is cut; windows that touch have touching cuts. The first
/// one has the pre-skip as well, the last one ends with the window.
///
/// Bytes that are not what the index was made of yield silence, never a panic.
pub fn cut(index: &OpusIndex, bytes: &[u8], window: Range<i64>) -> Cut {
    let total = i64::try_from(index.total_samples()).unwrap_or(i64::MAX);
    let packets = index.packets(window.clone(), bytes);
    let start = if window.start <= 0 { -i64::from(EDIT) } else { edge(&packets, window.start) };
    let end = if window.end >= total { window.end } else { edge(&packets, window.end) };
    let mut samples = Vec::new();
    let mut at = start;
    for packet in packets.into_iter().filter(|packet| packet.start >= start && packet.start < window.end) {
        // One that begins before the end of the last one has a wrong time.
        if packet.start < at {
            continue;
        }
        append_silence(&mut samples, packet.start.abs_diff(at));
        at = packet.start + i64::from(packet.samples);
        samples.push(Sample { data: packet.data, duration: packet.samples });
    }
    append_silence(&mut samples, end.saturating_sub(at).max(0).unsigned_abs());
    cut_off(&mut samples, at.saturating_sub(end).max(0).unsigned_abs());
    Cut { start, samples }
}

/// Where packets end that begin before a moment: at that moment, unless one of them goes on.
fn edge(packets: &[Packet], moment: i64) -> i64 {
    let end = |packet: &Packet| packet.start + i64::from(packet.samples);
    packets.iter().filter(|packet| packet.start < moment).map(end).max().unwrap_or(moment).max(moment)
}

/// Makes the last packets shorter, by this many samples in all.
fn cut_off(samples: &mut Vec<Sample>, mut by: u64) {
    while let Some(last) = samples.last_mut() {
        if by < u64::from(last.duration) {
            last.duration -= by as u32;
            return;
        }
        by -= u64::from(last.duration);
        samples.pop();
    }
}
