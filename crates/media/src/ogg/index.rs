//! The index of an Ogg/Opus file: for each run of pages its bytes and its place on the media timeline.

use std::ops::Range;

use super::joiner::Joiner;
use super::opus_packet::{Head, duration};
use super::page::{MAX_LEN, Page};

/// The pre-roll after a seek that the decoder needs to converge (RFC 7845 section 4.6: at least 80 ms), in samples.
pub const PRE_ROLL: u64 = 3_840;
/// The longest packet (120 ms), in samples.
pub(super) const LONGEST_PACKET: u64 = 5_760;
/// A run of pages is no longer than this: a second, in samples.
const RUN: u32 = 48_000;

/// A run of consecutive pages of audio, with nothing in between and nothing missing.
///
/// A page of a second, as the SDKs write them, is a run of its own; pages of one packet make runs of up to a second (see
/// [`Entry::join`]).
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

impl Entry {
    /// Adds a page that begins where this run ends, unless the run would become longer than a second or the longest page. True when
    /// it did.
    pub(super) fn join(&mut self, page: &Self) -> bool {
        let (length, samples) = (self.length + page.length, self.samples + page.samples);
        let fits = self.offset + u64::from(self.length) == page.offset && length as usize <= MAX_LEN && samples <= RUN;
        if fits {
            (self.length, self.samples) = (length, samples);
        }
        fits
    }
}

/// A stretch without packets; it is rendered as silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first sample.
    pub start: u64,
    /// Its length in samples; 0 when an unknown amount is missing: what follows comes too early then.
    pub samples: u64,
    /// Whether something was there that could not be read (else nothing was sent).
    pub damaged: bool,
}

/// One of the logical streams that follow one another in a file (RFC 7845 section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub(super) head: Head,
    /// The first entry that belongs to it.
    pub(super) first_entry: usize,
    /// Where it is heard, in samples.
    pub(super) heard: Range<u64>,
}

impl Link {
    /// Gain to apply when decoding, in 1/256 dB.
    pub fn gain(&self) -> i16 {
        self.head.gain
    }

    /// Samples at its beginning that the decoder needs and that are not heard.
    pub fn pre_skip(&self) -> u16 {
        self.head.pre_skip
    }

    /// Channels: 1 or 2.
    pub fn channels(&self) -> u8 {
        self.head.channels
    }

    /// Where it is heard, in samples of the media timeline: without its pre-skip, and without the padding at its end.
    pub fn heard(&self) -> Range<i64> {
        self.heard.start as i64..self.heard.end as i64
    }
}

/// Where each stretch of sound of an Ogg/Opus file is.
///
/// Media time zero is the first sample that is to be heard: the granule position of the first sample plus the pre-skip. Each link
/// continues where the one before ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusIndex {
    pub(super) links: Vec<Link>,
    pub(super) total_samples: u64,
    pub(super) truncated: bool,
    pub(super) damaged_pages: u32,
    pub(super) ignored_pages: u32,
    pub(super) unheard_pages: u32,
    pub(super) gaps: Vec<Gap>,
    pub(super) entries: Vec<Entry>,
    /// The length of every packet, in samples; 0 when they differ, or when it was indexed by a version that did not look.
    pub(super) packet: u32,
}

/// A packet with its place on the media timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The number of its link.
    pub link: usize,
    /// The media time of its first sample; in the pre-skip it is before the time at which its link is heard.
    pub start: i64,
    /// Its length in samples.
    pub samples: u32,
    /// Its bytes.
    pub data: Vec<u8>,
}

impl OpusIndex {
    /// The links that can be played, in order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The length of the sound, in samples of 48 kHz.
    pub fn total_samples(&self) -> u64 {
        self.total_samples
    }

    /// What is missing inside that length.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Whether the file ends in the middle of a page or packet, or in bytes that cannot be read.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// How often bytes were skipped that are not an intact page of a stream that has begun.
    pub fn damaged_pages(&self) -> u32 {
        self.damaged_pages
    }

    /// Pages of other logical streams at the same time, which hold no sound that is played.
    pub fn ignored_pages(&self) -> u32 {
        self.ignored_pages
    }

    /// Pages that ought to be heard and are not: of a second Opus stream at the same time, or of a stream of another kind in a
    /// place of its own.
    pub fn unheard_pages(&self) -> u32 {
        self.unheard_pages
    }

    /// Whether a range of samples is nothing but silence, because it is in a gap.
    pub fn is_silent(&self, samples: Range<i64>) -> bool {
        self.heard_in(&samples).all(|number| {
            let (heard, entries) = (self.links[number].heard(), self.entries_of(number));
            let (from, to) = (samples.start.max(heard.start), samples.end.min(heard.end));
            let first = entries.partition_point(|entry| entry.start + i64::from(entry.samples) <= from);
            entries[first..].iter().find(|entry| entry.samples > 0).is_none_or(|entry| entry.start >= to)
        })
    }

    /// The bytes that are needed to decode a range of samples, pre-roll included; empty when there are none.
    pub fn byte_range(&self, samples: Range<i64>) -> Range<u64> {
        let mut entries = self.heard_in(&samples).flat_map(|number| self.entries_for(number, &samples));
        let Some(first) = entries.next() else { return 0..0 };
        let last = entries.next_back().unwrap_or(first);
        first.offset..last.offset + u64::from(last.length)
    }

    /// The packets of a range of samples, pre-roll included, from the bytes of [`OpusIndex::byte_range`].
    ///
    /// Bytes that are not what the index was made of yield fewer packets, never a panic.
    pub fn packets(&self, samples: Range<i64>, bytes: &[u8]) -> Vec<Packet> {
        let mut packets = Vec::new();
        self.for_each_packet(samples, bytes, |link, start, samples, data| {
            packets.push(Packet { link, start, samples, data: data.to_vec() });
        });
        packets
    }

    /// Passes on the same packets, none of which is kept: link, start, length and bytes of each, as in a [`Packet`].
    pub fn for_each_packet(&self, samples: Range<i64>, bytes: &[u8], mut each: impl FnMut(usize, i64, u32, &[u8])) {
        let base = self.byte_range(samples.clone()).start;
        for link in self.heard_in(&samples) {
            let mut joiner = Joiner::default();
            // Pages last a second: most of what is on the first and the last one is neither heard nor pre-roll.
            let needed = self.begin(link, &samples).saturating_sub(PRE_ROLL as i64)..samples.end;
            for entry in self.entries_for(link, &samples) {
                let at = usize::try_from(entry.offset - base).unwrap_or(usize::MAX);
                let pages = bytes.get(at..).and_then(|rest| rest.get(..entry.length as usize)).unwrap_or_default();
                take_packets(pages, entry, &mut joiner, |start, samples, data| {
                    if start + i64::from(samples) > needed.start && start < needed.end {
                        each(link, start, samples, data);
                    }
                });
            }
        }
    }

    /// Where the packets end that begin before a moment: at that moment, unless one of them goes on. It is known without reading them
    /// where all have one length; else it is taken to be the moment.
    pub fn edge(&self, moment: i64) -> i64 {
        let next = self.entries.partition_point(|entry| entry.start + i64::from(entry.samples) <= moment);
        let length = i64::from(self.packet);
        match self.entries.get(next) {
            Some(entry) if length > 0 && entry.start < moment => {
                entry.start + (moment - entry.start + length - 1) / length * length
            }
            _ => moment,
        }
    }

    /// The numbers of the links that are heard in a range.
    fn heard_in(&self, samples: &Range<i64>) -> Range<usize> {
        let first = self.links.partition_point(|link| link.heard.end as i64 <= samples.start);
        let end = self.links.partition_point(|link| (link.heard.start as i64) < samples.end);
        first..if samples.is_empty() { first } else { end.max(first) }
    }

    /// Where the part of a range that is in a link begins.
    fn begin(&self, link: usize, samples: &Range<i64>) -> i64 {
        if link == 0 { samples.start } else { samples.start.max(self.links[link].heard.start as i64) }
    }

    /// All entries of a link.
    pub(super) fn entries_of(&self, link: usize) -> &[Entry] {
        let end = self.links.get(link + 1).map_or(self.entries.len(), |next| next.first_entry);
        self.entries.get(self.links[link].first_entry..end).unwrap_or(&[])
    }

    /// The entries of a link that are needed for a range.
    fn entries_for(&self, link: usize, samples: &Range<i64>) -> &[Entry] {
        let entries = self.entries_of(link);
        let from = self.begin(link, samples).saturating_sub((PRE_ROLL + LONGEST_PACKET) as i64);
        let first = entries.partition_point(|entry| entry.start + i64::from(entry.samples) <= from);
        let end = entries.partition_point(|entry| entry.start < samples.end);
        // A packet that ends on the first of these pages may begin on the one before; past the end of the sound the last
        // page is of no use.
        entries.get(first.saturating_sub(1)..end).unwrap_or(&[])
    }
}

/// Passes on the packets that end on the pages of an entry, whose bytes are given: start, length and bytes of each.
pub(super) fn take_packets(bytes: &[u8], entry: &Entry, joiner: &mut Joiner, mut each: impl FnMut(i64, u32, &[u8])) {
    let mut known = 0;
    read_packets(bytes, &mut joiner.clone(), |samples, _| known += samples);
    // The rest of a packet whose beginning is missing is of no use, but takes its time: what the others leave of the whole.
    let mut start = entry.start + i64::from(entry.samples) - known;
    read_packets(bytes, joiner, |samples, data| {
        each(start, samples as u32, data);
        start += samples;
    });
}

fn read_packets(bytes: &[u8], joiner: &mut Joiner, mut each: impl FnMut(i64, &[u8])) {
    for page in Page::all(bytes) {
        joiner.read(page, usize::MAX, |data| {
            if let Some(samples) = duration(data) {
                each(i64::from(samples), data);
            }
        });
    }
}
