//! Reads one link: a logical Opus stream of a file that may hold several in a row (RFC 7845 section 3, "chained").

use super::granules::{Granules, Seen};
use super::index::Entry;
use super::joiner::{Joiner, follows};
use super::opus_packet::{Head, duration};
use super::page::Page;

/// The number of bytes at the beginning of a packet that determine its duration.
const TOC: usize = 2;

/// How far the comment header was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comments {
    /// It is expected on the next page.
    Expected,
    /// It continues on the next page.
    Open,
    /// It is over, or there is none: what follows is sound.
    Over,
}

/// How long packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lengths {
    /// There was none yet.
    Unknown,
    /// All have this length, in samples.
    One(u32),
    /// They differ.
    Mixed,
}

impl Lengths {
    /// With these as well.
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, other) | (other, Self::Unknown) => other,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

/// A link, page by page.
#[derive(Debug)]
pub(super) struct Link {
    /// The number of its logical stream.
    pub(super) serial: u32,
    /// Its identification header.
    pub(super) head: Head,
    /// Whether it can be played. If not, only its length is determined.
    pub(super) is_playable: bool,
    /// Its first entry in the index.
    pub(super) first_entry: usize,
    /// The samples of its packets.
    pub(super) samples: i64,
    /// The length of its packets.
    pub(super) lengths: Lengths,
    /// What its granule positions say.
    pub(super) granules: Granules,
    /// Whether something is missing between its last page and the next link.
    pub(super) is_end_lost: bool,
    comments: Comments,
    last_sequence: u32,
    joiner: Joiner,
    /// Whether something was lost since the last page on which packets end.
    lost: bool,
    /// Pages after the first one.
    pages: u32,
}

impl Link {
    /// Begins with the page of the identification header.
    pub(super) fn new(page: Page<'_>, (head, is_playable): (Head, bool), first_entry: usize) -> Self {
        Self {
            serial: page.serial(),
            head,
            is_playable,
            first_entry,
            samples: 0,
            lengths: Lengths::Unknown,
            granules: Granules::default(),
            is_end_lost: false,
            comments: Comments::Expected,
            last_sequence: page.sequence(),
            joiner: Joiner::default(),
            lost: false,
            pages: 0,
        }
    }

    /// Whether there were pages after the first one.
    pub(super) fn has_pages(&self) -> bool {
        self.pages > 0
    }

    /// Whether the last packet has not ended, or something was lost after the last page on which a packet ends.
    pub(super) fn is_cut(&self) -> bool {
        self.joiner.is_open() || self.lost
    }

    /// Takes the next page, which begins at byte `offset` of the file. `damage` is whether bytes before it could not be
    /// read.
    pub(super) fn take(&mut self, page: Page<'_>, offset: u64, damage: bool, entries: &mut Vec<Entry>) {
        let follows = follows(self.last_sequence, page.sequence());
        self.last_sequence = page.sequence();
        self.lost |= damage || !follows;
        self.pages = self.pages.saturating_add(1);
        if self.comments != Comments::Over && self.is_comments(page, follows) {
            return;
        }
        self.comments = Comments::Over;
        let (mut samples, mut last_packet) = (0_u32, 0);
        let lengths = &mut self.lengths;
        let all = self.joiner.read(page, TOC, |packet| {
            if let Some(duration) = duration(packet) {
                samples += duration;
                last_packet = duration;
                *lengths = lengths.with(Lengths::One(duration));
            }
        });
        if self.is_playable {
            let (number, was_lost) = (entries.len(), self.lost);
            self.note(page, samples, last_packet, all, number);
            let page_entry = Entry { offset, length: page.len() as u32, start: 0, samples };
            // A gap that may turn out to be before this page must not end up in the middle of a run.
            let may_join = number > self.first_entry && !was_lost && !self.granules.speak_of(number);
            let has_joined = may_join && entries.last_mut().is_some_and(|run| run.join(&page_entry));
            // A page without any byte of a packet is of no use, unless a packet continues across it.
            if !has_joined && (samples > 0 || page.has_payload() || self.joiner.is_open()) {
                entries.push(page_entry);
            }
        }
        self.samples += i64::from(samples);
    }

    fn note(&mut self, page: Page<'_>, samples: u32, last_packet: u32, all: bool, entry: usize) {
        if samples > 0 {
            self.granules.take(Seen {
                entry,
                granule: page.granule(),
                begin: self.samples,
                end: self.samples + i64::from(samples),
                last_packet: i64::from(last_packet),
                lost: self.lost,
                ends_stream: page.ends_stream(),
            });
        }
        if !all && !self.lost {
            // A packet whose beginning was on no page, though none is missing.
            self.granules.lose(entry);
        }
        self.lost &= samples == 0;
    }

    /// Whether a page after the identification header belongs to the comment header, whose pages hold nothing else (RFC 7845
    /// section 3).
    fn is_comments(&mut self, page: Page<'_>, follows: bool) -> bool {
        let mut pieces = page.pieces();
        let Some((piece, ends)) = pieces.next() else { return true };
        let belongs = match self.comments {
            // Some writers omit the header's signature; sound has a granule position.
            Comments::Expected if follows => {
                piece.starts_with(b"OpusTags") || (page.granule() <= 0 && pieces.next().is_none())
            }
            Comments::Expected => piece.starts_with(b"OpusTags") || (page.is_continued() && page.granule() <= 0),
            Comments::Open => follows || (page.is_continued() && page.granule() <= 0),
            Comments::Over => false,
        };
        if belongs {
            self.comments = if ends { Comments::Over } else { Comments::Open };
            // The index does not find sound on a page of the header: it is lost.
            self.lost |= page.pieces().nth(1).is_some();
        }
        belongs
    }
}
