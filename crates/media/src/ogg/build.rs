//! Builds the index from the bytes of a file, which come in order and in pieces of any size.

use super::index::{Entry, OpusIndex};
use super::link::{Lengths, Link};
use super::opus_packet::Head;
use super::others::{Kind, Others};
use super::page::{self, Page, Parsed};
use super::place::{LONGEST, Placed, place};

/// Bytes that are checksummed in vain before resynchronisation gets coarser: 64 MiB. Headers inside each other can claim 65,307
/// bytes each, so that checking every one costs 2,000 times the file's length.
pub(super) const IN_VAIN: u64 = 64 << 20;

/// The most entries of an index: 55 hours of pages of a second, as the SDKs write them, or of runs of shorter ones. What comes
/// after is left out, and the recording counts as truncated.
pub(super) const MOST_ENTRIES: usize = 200_000;
/// The most links that are indexed.
pub(super) const MOST_LINKS: usize = 4_096;

/// Why there is no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No intact Ogg page in all the bytes.
    #[error("the audio is not an Ogg file")]
    NotOgg,
    /// Ogg pages, but no Opus stream among them.
    #[error("the Ogg file holds no Opus stream")]
    NoOpus,
    /// An Opus stream of a form that is not played: more than two channels, or an unknown version or mapping.
    #[error("the Opus stream has more than two channels, or a mapping that is not known")]
    Unsupported,
    /// Headers, but not one packet of sound.
    #[error("the Opus stream ends before its first packet of sound")]
    NoSound,
}

/// Builds an [`OpusIndex`]. Holds at most one page of bytes, besides what it was given last.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    /// Bytes not yet read as pages, and where in the file the first of them is.
    carry: Vec<u8>,
    offset: u64,
    pages_seen: bool,
    /// Links that have ended, and the one being read.
    links: Vec<Link>,
    link: Option<Link>,
    others: Others,
    entries: Vec<Entry>,
    damaged_pages: u32,
    /// Whether bytes were skipped since the last page of the link being read.
    damage: bool,
    /// Bytes whose checksum was wrong.
    in_vain: u64,
    /// Whether there was more than is indexed.
    is_full: bool,
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
    pub fn finish(self) -> Result<OpusIndex, Error> {
        self.finish_within(LONGEST)
    }

    /// The index of everything that was pushed. Silence that only granule positions claim is believed as long as the whole is no
    /// longer than `longest` samples.
    pub fn finish_within(mut self, longest: u64) -> Result<OpusIndex, Error> {
        let rest = std::mem::take(&mut self.carry);
        // What looked like the beginning of a page may hide whole pages that follow it.
        let mut at = 0;
        while at < rest.len() {
            at += self.take_pages(&rest[at..]);
            at += 1;
            self.offset += 1;
        }
        let is_cut = self.link.as_ref().is_some_and(Link::is_cut);
        let truncated = !rest.is_empty() || self.damage || is_cut || self.is_full;
        self.end_link(truncated);
        if self.links.is_empty() {
            return Err(if self.pages_seen { Error::NoOpus } else { Error::NotOgg });
        }
        self.entries.shrink_to_fit();
        let is_playable = self.links.iter().any(|link| link.is_playable);
        let played = self.links.iter().filter(|link| link.is_playable);
        let lengths = played.fold(Lengths::Unknown, |all, link| all.with(link.lengths));
        let Placed { links, gaps, total, is_too_long, has_more_gaps, .. } =
            place(self.links, &mut self.entries, longest);
        if links.iter().all(|link| link.heard.is_empty()) {
            return Err(if is_playable { Error::NoSound } else { Error::Unsupported });
        }
        Ok(OpusIndex {
            links,
            total_samples: total,
            truncated: truncated || is_too_long || has_more_gaps,
            damaged_pages: self.damaged_pages,
            ignored_pages: self.others.ignored(),
            unheard_pages: self.others.unheard(),
            gaps,
            entries: self.entries,
            packet: if let Lengths::One(length) = lengths { length } else { 0 },
        })
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
        self.is_full |= self.entries.len() >= MOST_ENTRIES || self.links.len() >= MOST_LINKS;
        if self.is_full {
            return;
        }
        let first = page.pieces().next().map(|(packet, _)| packet).unwrap_or_default();
        // The header says that a stream begins, whatever the flags say.
        if let Some(found) = Head::parse(first) {
            return self.begin(page, found);
        }
        match &mut self.link {
            Some(link) if link.serial == page.serial() => {
                link.take(page, offset, self.damage, &mut self.entries);
                self.damage = false;
                self.others.interleaved();
            }
            link => {
                let (is_begun, in_sound) = (link.is_some(), link.as_ref().is_none_or(Link::has_pages));
                if !self.others.take(page, in_sound) && is_begun {
                    // A page of a stream that never began counts as damage.
                    self.note_damage();
                }
            }
        }
    }

    /// Begins an Opus stream: the next link, or a stream parallel to the link whose header came just before.
    fn begin(&mut self, page: Page<'_>, found: (Head, bool)) {
        let mut link = Link::new(page, found, self.entries.len());
        let parallel = self.link.as_ref().filter(|link| !link.has_pages()).map(|link| (link.serial, link.is_playable));
        let sequence = page.sequence();
        match parallel {
            Some((serial, _)) if serial == link.serial => {}
            Some((serial, false)) if link.is_playable => self.others.begin(serial, sequence, Kind::Opus),
            Some(_) => return self.others.begin(link.serial, sequence, Kind::Opus),
            None if self.end_link(self.damage) => link.granules.lose(self.entries.len()),
            None => {}
        }
        self.others.group();
        self.link = Some(link);
        self.damage = false;
    }

    /// Ends the link being read. True when something is missing before the first one.
    fn end_link(&mut self, damage: bool) -> bool {
        let is_lost = self.others.end_link() || damage;
        let Some(mut link) = self.link.take() else { return is_lost };
        link.is_end_lost = is_lost || link.is_cut() || !link.has_pages();
        self.links.push(link);
        false
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
