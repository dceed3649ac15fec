//! Stores an index as bytes and reads it again: a fixed head, then gaps, entries and links as little-endian numbers (24 bytes per
//! entry, about 86 KB for an hour).

use super::index::{Entry, Gap, Link, OpusIndex};
use super::opus_packet::Head;

const MAGIC: &[u8; 4] = b"ESO3";
/// The mark of versions that did not say how long packets are.
const NO_LENGTH: &[u8; 4] = b"ESO2";
/// The mark of versions that knew one link only: they wrote its header in place of the number of unheard pages, and no
/// links.
const ONE_LINK: &[u8; 4] = b"ESO1";

/// The bytes are not an index that this version or an earlier one wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored audio index cannot be read")]
pub struct Corrupt;

impl OpusIndex {
    /// The index as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.gaps.len() * 17 + self.entries.len() * 24 + self.links.len() * 25);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&self.unheard_pages.to_le_bytes());
        out.extend_from_slice(&self.total_samples.to_le_bytes());
        out.push(u8::from(self.truncated));
        out.extend_from_slice(&self.damaged_pages.to_le_bytes());
        out.extend_from_slice(&self.ignored_pages.to_le_bytes());
        out.extend_from_slice(&(self.gaps.len() as u32).to_le_bytes());
        for gap in &self.gaps {
            out.extend_from_slice(&gap.start.to_le_bytes());
            out.extend_from_slice(&gap.samples.to_le_bytes());
            out.push(u8::from(gap.damaged));
        }
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend_from_slice(&entry.offset.to_le_bytes());
            out.extend_from_slice(&entry.length.to_le_bytes());
            out.extend_from_slice(&entry.start.to_le_bytes());
            out.extend_from_slice(&entry.samples.to_le_bytes());
        }
        out.extend_from_slice(&(self.links.len() as u32).to_le_bytes());
        for link in &self.links {
            out.push(link.head.channels);
            out.extend_from_slice(&link.head.pre_skip.to_le_bytes());
            out.extend_from_slice(&link.head.gain.to_le_bytes());
            out.extend_from_slice(&(link.first_entry as u32).to_le_bytes());
            out.extend_from_slice(&link.heard.start.to_le_bytes());
            out.extend_from_slice(&link.heard.end.to_le_bytes());
        }
        out.extend_from_slice(&self.packet.to_le_bytes());
        out
    }

    /// Reads what [`OpusIndex::to_bytes`] wrote, in this version or an earlier one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let (magic, mut rest) = bytes.split_first_chunk::<4>().ok_or(Corrupt)?;
        let rest = &mut rest;
        let only = match magic {
            MAGIC | NO_LENGTH => None,
            ONE_LINK => Some(head(rest)?),
            _ => return Err(Corrupt),
        };
        let unheard_pages = if only.is_none() { number(rest, u32::from_le_bytes)? } else { 0 };
        let total_samples = number(rest, u64::from_le_bytes)?;
        let truncated = number(rest, u8::from_le_bytes)? != 0;
        let damaged_pages = number(rest, u32::from_le_bytes)?;
        let ignored_pages = number(rest, u32::from_le_bytes)?;
        let (gaps, entries) = (list(rest, gap)?, list(rest, entry)?);
        let links = match only {
            Some(head) => vec![Link { head, first_entry: 0, heard: 0..total_samples }],
            None => list(rest, link)?,
        };
        let packet = if magic == MAGIC { number(rest, u32::from_le_bytes)? } else { 0 };
        let index = Self {
            links,
            total_samples,
            truncated,
            damaged_pages,
            ignored_pages,
            unheard_pages,
            gaps,
            entries,
            packet,
        };
        if rest.is_empty() && index.is_plausible() { Ok(index) } else { Err(Corrupt) }
    }

    fn is_plausible(&self) -> bool {
        let entries = self.entries.iter().all(|entry| {
            entry.offset < 1 << 48
                && entry.start.unsigned_abs() < 1 << 48
                && (entry.length as usize) <= super::page::MAX_LEN
        });
        let in_order = self.entries.is_sorted_by_key(|entry| entry.offset)
            && self.links.is_sorted_by_key(|link| link.first_entry)
            && self.links.is_sorted_by(|link, next| link.heard.end <= next.heard.start);
        let inside = self.links.iter().all(|link| {
            link.first_entry <= self.entries.len()
                && link.heard.start <= link.heard.end
                && link.heard.end <= self.total_samples
        });
        entries && in_order && inside && self.total_samples < 1 << 48 && self.packet <= 5_760
    }
}

fn head(rest: &mut &[u8]) -> Result<Head, Corrupt> {
    Ok(Head {
        channels: number(rest, u8::from_le_bytes)?,
        pre_skip: number(rest, u16::from_le_bytes)?,
        gain: number(rest, i16::from_le_bytes)?,
    })
}

fn gap(rest: &mut &[u8]) -> Result<Gap, Corrupt> {
    Ok(Gap {
        start: number(rest, u64::from_le_bytes)?,
        samples: number(rest, u64::from_le_bytes)?,
        damaged: number(rest, u8::from_le_bytes)? != 0,
    })
}

fn entry(rest: &mut &[u8]) -> Result<Entry, Corrupt> {
    Ok(Entry {
        offset: number(rest, u64::from_le_bytes)?,
        length: number(rest, u32::from_le_bytes)?,
        start: number(rest, i64::from_le_bytes)?,
        samples: number(rest, u32::from_le_bytes)?,
    })
}

fn link(rest: &mut &[u8]) -> Result<Link, Corrupt> {
    let head = head(rest)?;
    let first_entry = number(rest, u32::from_le_bytes)? as usize;
    Ok(Link { head, first_entry, heard: number(rest, u64::from_le_bytes)?..number(rest, u64::from_le_bytes)? })
}

fn number<const N: usize, T>(rest: &mut &[u8], read: fn([u8; N]) -> T) -> Result<T, Corrupt> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or(Corrupt)?;
    *rest = after;
    Ok(read(*bytes))
}

/// A counted list. It grows as its items are read, never by what the count claims.
fn list<T>(rest: &mut &[u8], item: fn(&mut &[u8]) -> Result<T, Corrupt>) -> Result<Vec<T>, Corrupt> {
    let count = number(rest, u32::from_le_bytes)?;
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(rest)?);
    }
    Ok(items)
}
