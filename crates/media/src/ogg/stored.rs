//! The form in which an index is kept: a fixed head, then gaps and pages as little-endian numbers (20 bytes a page, about
//! 72 KB for an hour).

use super::index::{Entry, Gap, OpusIndex};
use super::opus_packet::Head;

const MAGIC: &[u8; 4] = b"ESO1";

/// The bytes are no index that this version wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored audio index cannot be read")]
pub struct Corrupt;

impl OpusIndex {
    /// The index as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + self.gaps.len() * 17 + self.entries.len() * 20);
        out.extend_from_slice(MAGIC);
        out.push(self.head.channels);
        out.extend_from_slice(&self.head.pre_skip.to_le_bytes());
        out.extend_from_slice(&self.head.gain.to_le_bytes());
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
        out
    }

    /// Takes back what [`OpusIndex::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(Corrupt)?;
        let rest = &mut rest;
        let head = Head {
            channels: number(rest, u8::from_le_bytes)?,
            pre_skip: number(rest, u16::from_le_bytes)?,
            gain: number(rest, i16::from_le_bytes)?,
        };
        let total_samples = number(rest, u64::from_le_bytes)?;
        let truncated = number(rest, u8::from_le_bytes)? != 0;
        let damaged_pages = number(rest, u32::from_le_bytes)?;
        let ignored_pages = number(rest, u32::from_le_bytes)?;
        let gaps = list(rest, |rest| {
            Ok(Gap {
                start: number(rest, u64::from_le_bytes)?,
                samples: number(rest, u64::from_le_bytes)?,
                damaged: number(rest, u8::from_le_bytes)? != 0,
            })
        })?;
        let entries = list(rest, |rest| {
            Ok(Entry {
                offset: number(rest, u64::from_le_bytes)?,
                length: number(rest, u32::from_le_bytes)?,
                start: number(rest, i64::from_le_bytes)?,
                samples: number(rest, u32::from_le_bytes)?,
            })
        })?;
        let plausible = entries.iter().all(|entry: &Entry| {
            entry.offset < 1 << 48
                && entry.start.unsigned_abs() < 1 << 48
                && (entry.length as usize) <= super::page::MAX_LEN
        });
        if !rest.is_empty() || !plausible || total_samples >= 1 << 48 {
            return Err(Corrupt);
        }
        Ok(Self { head, total_samples, truncated, damaged_pages, ignored_pages, gaps, entries })
    }
}

fn number<const N: usize, T>(rest: &mut &[u8], read: fn([u8; N]) -> T) -> Result<T, Corrupt> {
    let (bytes, behind) = rest.split_first_chunk::<N>().ok_or(Corrupt)?;
    *rest = behind;
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
