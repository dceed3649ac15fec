//! From bytes, in order and in pieces of any size, to the index.

use super::index::{Entry, Gap, OpusIndex};
use super::opus_packet::{Head, HeadError, duration};
use super::page::{self, Page, Parsed};

/// A granule position that jumps further than this is taken for damage, not for a gap: 12 hours, in samples.
const MAX_JUMP: i64 = 12 * 3600 * 48_000;
/// Steps back up to this are an overlap to be dropped; further ones are damage: 1 s, in samples.
const MAX_OVERLAP: i64 = 48_000;

/// A first page later than this is where a stream was cut into, not one whose beginning is lost: 10 minutes, in samples.
const MAX_LATE_START: i64 = 600 * 48_000;

/// The longest recording that is indexed: 48 hours, in samples. A page that ends later is left out and the recording counts as
/// cut, so that a few granule positions do not claim years of silence.
pub const LONGEST: u64 = 48 * 3600 * 48_000;

/// Bytes that are read for a checksum in vain before resynchronisation gets coarser: 64 MiB. Headers inside each other can
/// claim 65,307 bytes each, so that looking behind every one costs 2,000 times the file's length.
pub(super) const IN_VAIN: u64 = 64 << 20;

/// Why there is no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No intact Ogg page in all the bytes.
    #[error("the audio is not an Ogg file")]
    NotOgg,
    /// Ogg pages, and no Opus among them.
    #[error("the Ogg file holds no Opus stream")]
    NoOpus,
    /// An Opus stream of a form that is not played: more than two channels.
    #[error("the Opus stream has more than two channels, or a mapping that is not known")]
    Unsupported,
    /// Headers, but not one packet of sound.
    #[error("the Opus stream ends before its first packet of sound")]
    NoSound,
}

/// Builds an [`OpusIndex`]. Holds one page of bytes at the most, besides what it was handed last.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// Bytes not yet read as pages, and where the first of them lies.
    carry: Vec<u8>,
    offset: u64,
    pages_seen: bool,
    unsupported: bool,
    stream: Option<Stream>,
    damaged_pages: u32,
    ignored_pages: u32,
    /// Whether bytes were skipped since the last page of ours.
    damage: bool,
    /// Bytes whose checksum was wrong.
    in_vain: u64,
}

/// The logical stream that is indexed.
#[derive(Debug)]
struct Stream {
    serial: u32,
    head: Head,
    /// Header packets still to come: the comment header.
    headers_left: u8,
    /// The first bytes of a packet that has not ended yet.
    open: Option<Vec<u8>>,
    last_sequence: u32,
    /// Granule position of the first sample, once known.
    first: Option<i64>,
    /// Granule position of the end of the last packet.
    end: i64,
    ended: bool,
    /// Whether pages were left out because they end after [`LONGEST`].
    too_long: bool,
    entries: Vec<Entry>,
    gaps: Vec<Gap>,
}

impl IndexBuilder {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.carry.is_empty() {
            let used = self.take_pages(bytes);
            self.carry.extend_from_slice(&bytes[used..]);
        } else {
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(bytes);
            let used = self.take_pages(&carry);
            carry.drain(..used);
            self.carry = carry;
        }
    }

    /// The index of everything that was pushed.
    pub fn finish(mut self) -> Result<OpusIndex, Error> {
        let rest = std::mem::take(&mut self.carry);
        // What looked like the beginning of a page may hide whole pages behind it.
        let mut at = 0;
        while at < rest.len() {
            at += self.take_pages(&rest[at..]);
            at += 1;
            self.offset += 1;
        }
        let Some(stream) = self.stream else {
            return Err(match (self.unsupported, self.pages_seen) {
                (true, _) => Error::Unsupported,
                (false, true) => Error::NoOpus,
                (false, false) => Error::NotOgg,
            });
        };
        let truncated = !rest.is_empty() || stream.open.is_some() || stream.too_long;
        stream.into_index(truncated, self.damaged_pages, self.ignored_pages)
    }

    /// Reads as many pages as there are; returns how many bytes were used up.
    fn take_pages(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            match page::parse(&bytes[at..]) {
                Parsed::Page(page) => {
                    self.take_page(page, self.offset + at as u64);
                    at += page.len();
                }
                Parsed::Incomplete => break,
                Parsed::Damaged(length) => {
                    self.note_damage();
                    self.in_vain += length as u64;
                    at += if self.in_vain > IN_VAIN { length } else { next_candidate(&bytes[at..]) };
                }
                Parsed::NotAPage => {
                    self.note_damage();
                    at += next_candidate(&bytes[at..]);
                }
            }
        }
        self.offset += at as u64;
        at
    }

    fn note_damage(&mut self) {
        if !self.damage {
            self.damaged_pages = self.damaged_pages.saturating_add(1);
            self.damage = true;
        }
    }

    #[cfg(test)]
    pub(super) fn checked_in_vain(&self) -> u64 {
        self.in_vain
    }

    fn take_page(&mut self, page: Page<'_>, offset: u64) {
        self.pages_seen = true;
        match &mut self.stream {
            Some(stream) if stream.serial == page.serial() && !stream.ended => {
                stream.take(page, offset, self.damage);
                self.damage = false;
            }
            None if page.begins_stream() => self.begin(page),
            _ => self.ignored_pages = self.ignored_pages.saturating_add(1),
        }
    }

    fn begin(&mut self, page: Page<'_>) {
        let first = page.pieces().next().map(|(packet, _)| packet).unwrap_or_default();
        match Head::parse(first) {
            Ok(head) => {
                self.stream = Some(Stream::new(page, head));
                self.damage = false;
            }
            Err(HeadError::Unsupported) => self.unsupported = true,
            Err(HeadError::NotOpus) => self.ignored_pages = self.ignored_pages.saturating_add(1),
        }
    }
}

/// The next place where a page may begin: the capture pattern, or as much of it as fits at the end.
fn next_candidate(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == b'O')) {
        at += found;
        let rest = &bytes[at..];
        let seen = rest.len().min(4);
        if rest[..seen] == b"OggS"[..seen] {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

impl Stream {
    fn new(page: Page<'_>, head: Head) -> Self {
        Self {
            serial: page.serial(),
            head,
            headers_left: 1,
            open: None,
            last_sequence: page.sequence(),
            first: None,
            end: 0,
            ended: page.ends_stream(),
            too_long: false,
            entries: Vec::new(),
            gaps: Vec::new(),
        }
    }

    fn take(&mut self, page: Page<'_>, offset: u64, damage: bool) {
        let lost = page.sequence() != self.last_sequence.wrapping_add(1);
        self.last_sequence = page.sequence();
        if lost {
            // What goes on here began on a page that is not there (RFC 3533 section 6, page_sequence_number).
            self.open = None;
        }
        if lost && self.headers_left > 0 && page.granule() > 0 {
            // The comment header went with the damage; what follows is sound.
            self.headers_left = 0;
        }
        let samples = self.count_samples(page);
        self.ended = page.ends_stream();
        let Some(samples) = samples else { return };
        if samples == 0 && page.granule() < 0 {
            self.entries.push(Entry { offset, length: page.len() as u32, start: self.end, samples: 0 });
            return;
        }
        let Some(start) = self.place(page, samples, damage || lost) else {
            self.too_long = true;
            return;
        };
        self.entries.push(Entry { offset, length: page.len() as u32, start, samples });
    }

    /// The samples of the packets that end on a page; `None` for a page of headers.
    fn count_samples(&mut self, page: Page<'_>) -> Option<u32> {
        let mut samples = 0_u32;
        let mut continued = page.is_continued();
        if !continued {
            self.open = None;
        }
        for (piece, ends) in page.pieces() {
            let known = !continued || self.open.is_some();
            continued = false;
            let mut begin = self.open.take().unwrap_or_default();
            if begin.len() < 2 {
                begin.extend_from_slice(&piece[..piece.len().min(2 - begin.len())]);
            }
            if !ends {
                self.open = known.then_some(begin);
            } else if self.headers_left > 0 {
                self.headers_left -= 1;
                if page.granule() <= 0 && self.headers_left == 0 && samples == 0 {
                    // Sound begins on a fresh page (RFC 7845 section 3).
                    return None;
                }
            } else if known {
                samples = samples.saturating_add(duration(&begin).unwrap_or(0));
            }
        }
        (self.headers_left == 0).then_some(samples)
    }

    /// Where a page's first sample lies, by its granule position; notes gaps and moves the end. `None` when it ends after
    /// [`LONGEST`].
    fn place(&mut self, page: Page<'_>, samples: u32, damaged: bool) -> Option<i64> {
        let (granule, samples) = (page.granule(), i64::from(samples));
        let Some(first) = self.first else { return Some(self.place_first(page, samples, damaged)) };
        let expected = self.end.saturating_add(samples);
        let jump = granule.saturating_sub(expected);
        let is_wild = granule < 0 || jump > MAX_JUMP || (jump < -MAX_OVERLAP && !page.ends_stream());
        let (start, end) = match (is_wild, page.ends_stream() && jump < 0) {
            (true, _) => (self.end, expected),
            // End trimming (RFC 7845 section 4.4): of this page's samples, never of those before it.
            (false, true) => (self.end, granule.max(self.end)),
            (false, false) => (granule - samples, granule.max(first)),
        };
        if end.saturating_sub(first).unsigned_abs() > LONGEST {
            return None;
        }
        if jump > 0 && !is_wild {
            let zero = first.saturating_add(i64::from(self.head.pre_skip));
            let (from, to) = ((self.end - zero).max(0), (start - zero).max(0));
            if to > from {
                self.gaps.push(Gap { start: from as u64, samples: (to - from) as u64, damaged });
            }
        }
        self.end = end;
        Some(start)
    }

    fn place_first(&mut self, page: Page<'_>, samples: i64, damaged: bool) -> i64 {
        let granule = page.granule();
        // On a stream of one page an end before the samples' is end trimming (RFC 7845 section 4.4), so that the first
        // sample is at zero; else the page says where the stream was cut into (section 4.5).
        let start = if page.ends_stream() && granule < samples { 0 } else { granule.saturating_sub(samples) };
        // Pages before this one are lost: the sound began at zero then, and does not move up.
        let is_late = damaged && (1..=MAX_LATE_START).contains(&start);
        let first = if is_late { 0 } else { start };
        if is_late {
            let heard = start - i64::from(self.head.pre_skip);
            self.gaps.extend(u64::try_from(heard).ok().filter(|&samples| samples > 0).map(|samples| Gap {
                start: 0,
                samples,
                damaged,
            }));
        }
        self.first = Some(first);
        self.end = granule.max(first);
        start
    }

    fn into_index(self, truncated: bool, damaged_pages: u32, ignored_pages: u32) -> Result<OpusIndex, Error> {
        let Some(first) = self.first else { return Err(Error::NoSound) };
        let zero = first.saturating_add(i64::from(self.head.pre_skip));
        let total = u64::try_from(self.end.saturating_sub(zero)).unwrap_or(0);
        if total == 0 {
            return Err(Error::NoSound);
        }
        let mut entries = self.entries;
        let mut latest = i64::MIN;
        for entry in &mut entries {
            // Ordered by time as well as by place, whatever the granule positions say.
            entry.start = entry.start.saturating_sub(zero).max(latest);
            latest = entry.start;
        }
        Ok(OpusIndex {
            head: self.head,
            total_samples: total,
            truncated,
            damaged_pages,
            ignored_pages,
            gaps: self.gaps,
            entries,
        })
    }
}
