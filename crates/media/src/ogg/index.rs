//! The index: for each page its bytes and its place on the media timeline.

use std::ops::Range;

use super::opus_packet::{Head, duration};
use super::page::Page;

/// The pre-roll after a seek that the decoder needs to converge (RFC 7845 section 4.6: at least 80 ms), in samples.
pub const PRE_ROLL: u64 = 3_840;
/// The longest packet (120 ms), in samples.
pub(super) const LONGEST_PACKET: u64 = 5_760;

/// A page of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first byte.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) length: u32,
    /// The media time of its first sample, in samples of 48 kHz; negative in the pre-skip.
    pub(super) start: i64,
    /// The samples of the packets that end on it.
    pub(super) samples: u32,
}

/// A stretch of which no packets came; it is rendered as silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first sample.
    pub start: u64,
    /// Its length in samples.
    pub samples: u64,
    /// Whether bytes were there that could not be read (else nothing was sent).
    pub damaged: bool,
}

/// Where each stretch of sound of an Ogg/Opus file lies.
///
/// Media time zero is the first sample that is to be heard: the granule position of the first sample plus the pre-skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusIndex {
    pub(super) head: Head,
    pub(super) total_samples: u64,
    pub(super) truncated: bool,
    pub(super) damaged_pages: u32,
    pub(super) ignored_pages: u32,
    pub(super) gaps: Vec<Gap>,
    pub(super) entries: Vec<Entry>,
}

/// A packet with its place on the media timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The media time of its first sample; negative in the pre-skip.
    pub start: i64,
    /// Its length in samples.
    pub samples: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl OpusIndex {
    /// Channels of the source: 1 or 2.
    pub fn channels(&self) -> u8 {
        self.head.channels
    }

    /// Gain to apply when decoding, in 1/256 dB.
    pub fn gain(&self) -> i16 {
        self.head.gain
    }

    /// The length of the sound, in samples of 48 kHz.
    pub fn total_samples(&self) -> u64 {
        self.total_samples
    }

    /// What is missing inside that length.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Whether the file ends in the middle of a page or packet.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// How often bytes were skipped that are no intact page.
    pub fn damaged_pages(&self) -> u32 {
        self.damaged_pages
    }

    /// Pages of other logical streams, which are not played.
    pub fn ignored_pages(&self) -> u32 {
        self.ignored_pages
    }

    /// The bytes that must be at hand to decode a range of samples, pre-roll included; empty when there is nothing.
    pub fn byte_range(&self, samples: Range<i64>) -> Range<u64> {
        let entries = self.entries_for(&samples);
        match (entries.first(), entries.last()) {
            (Some(first), Some(last)) => first.offset..last.offset + u64::from(last.length),
            _ => 0..0,
        }
    }

    /// The packets of a range of samples, pre-roll included, from the bytes of [`OpusIndex::byte_range`].
    ///
    /// Bytes that are not what the index was made of yield fewer packets, never a panic.
    pub fn packets(&self, samples: Range<i64>, bytes: &[u8]) -> Vec<Packet> {
        let entries = self.entries_for(&samples);
        let Some(base) = entries.first().map(|entry| entry.offset) else { return Vec::new() };
        let mut packets = Vec::new();
        let mut open: Option<Vec<u8>> = None;
        let mut next_sequence = None;
        for entry in entries {
            let at = usize::try_from(entry.offset - base).unwrap_or(usize::MAX);
            let page = bytes.get(at..).and_then(|rest| rest.get(..entry.length as usize)).and_then(Page::trusted);
            if page.is_none_or(|page| next_sequence != Some(page.sequence())) {
                // What goes on here began on a page that is not there.
                open = None;
            }
            next_sequence = page.map(|page| page.sequence().wrapping_add(1));
            if let Some(page) = page {
                take_packets(page, entry.start, &mut open, &mut packets);
            }
        }
        // Pages last a second: most of what lies on the first and the last one is neither heard nor pre-roll.
        let needed = samples.start.saturating_sub(PRE_ROLL as i64)..samples.end;
        packets.retain(|packet| packet.start + i64::from(packet.samples) > needed.start && packet.start < needed.end);
        packets
    }

    fn entries_for(&self, samples: &Range<i64>) -> &[Entry] {
        if samples.is_empty() {
            return &[];
        }
        let from = samples.start.saturating_sub((PRE_ROLL + LONGEST_PACKET) as i64);
        let first = self.entries.partition_point(|entry| entry.start + i64::from(entry.samples) <= from);
        let end = self.entries.partition_point(|entry| entry.start < samples.end);
        // A packet that ends on the first of these pages may begin on the one before; past the end of the sound the last
        // page is of no use.
        self.entries.get(first.saturating_sub(1)..end).unwrap_or(&[])
    }
}

/// The packets that end on a page whose first sample is known; `open` is the beginning of one that ends on a later page.
pub(super) fn take_packets(page: Page<'_>, start: i64, open: &mut Option<Vec<u8>>, packets: &mut Vec<Packet>) {
    let mut start = start;
    let mut continued = page.is_continued();
    if !continued {
        *open = None;
    }
    for (piece, ends) in page.pieces() {
        // The rest of a packet whose beginning is not here is of no use, but takes its time... which only its first
        // bytes would tell. Such a page is pre-roll (see `entries_for`), and what follows is placed by the next page.
        let known = !continued || open.is_some();
        continued = false;
        let mut data = open.take().unwrap_or_default();
        data.extend_from_slice(piece);
        if !ends {
            *open = known.then_some(data);
        } else if known && let Some(samples) = duration(&data) {
            packets.push(Packet { start, samples, data });
            start += i64::from(samples);
        }
    }
}
