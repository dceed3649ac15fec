//! The chunks of one capture in a single object: where each of them is, then the chunks. `docs/capture-log.md` describes the format.

use std::ops::Range;

use uuid::Uuid;

const MAGIC: &[u8; 4] = b"ESL1";
/// Bytes before the lengths: magic, the capture's id, the number of chunks.
const FIXED: usize = 4 + 16 + 4;
/// The most chunks that an object may have: two days of one every two seconds are 86,400.
const MOST: u32 = 1 << 20;

/// Where the chunks of a capture are in the object that has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The capture.
    pub capture: Uuid,
    /// The bytes of each chunk, by its number.
    chunks: Vec<Range<u64>>,
}

/// How many bytes of an object with so many chunks are its table.
pub fn table_length(chunks: u32) -> u64 {
    FIXED as u64 + 4 * u64::from(chunks.min(MOST))
}

impl Table {
    /// The table of chunks of these lengths, in bytes.
    pub fn new(capture: Uuid, lengths: &[u32]) -> Self {
        let mut at = table_length(lengths.len() as u32);
        let range = |length: &u32| {
            let begin = at;
            at += u64::from(*length);
            begin..at
        };
        Self { capture, chunks: lengths.iter().map(range).collect() }
    }

    /// Reads a table from the beginning of an object; `None` when it does not begin with one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, lengths) = bytes.split_first_chunk::<FIXED>()?;
        let (capture, count) = head.strip_prefix(MAGIC)?.split_first_chunk::<16>()?;
        let count = u32::from_le_bytes(count.try_into().ok()?);
        let lengths = lengths.get(..4 * usize::try_from(count).ok().filter(|_| count <= MOST)?)?;
        let lengths: Vec<u32> = lengths.as_chunks::<4>().0.iter().map(|length| u32::from_le_bytes(*length)).collect();
        Some(Self::new(Uuid::from_bytes(*capture), &lengths))
    }

    /// The bytes that an object begins with, before its chunks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + 4 * self.chunks.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(self.capture.as_bytes());
        out.extend_from_slice(&(self.chunks.len() as u32).to_le_bytes());
        for chunk in &self.chunks {
            out.extend_from_slice(&((chunk.end - chunk.start) as u32).to_le_bytes());
        }
        out
    }

    /// The bytes of a chunk.
    pub fn chunk(&self, number: u32) -> Option<Range<u64>> {
        self.chunks.get(number as usize).cloned()
    }

    /// The length of the object, in bytes.
    pub fn length(&self) -> u64 {
        self.chunks.last().map_or(FIXED as u64, |last| last.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_lie_one_after_another(lengths in prop::collection::vec(0_u32..100_000, 0..50)) {
            let table = Table::new(Uuid::from_u128(5), &lengths);
            let bytes = table.to_bytes();
            prop_assert_eq!(bytes.len() as u64, table_length(lengths.len() as u32));
            let mut at = bytes.len() as u64;
            for (number, length) in lengths.iter().enumerate() {
                let range = table.chunk(number as u32).unwrap();
                prop_assert_eq!((range.start, range.end - range.start), (at, u64::from(*length)));
                at = range.end;
            }
            prop_assert_eq!(table.length(), at);
            prop_assert_eq!(table.chunk(lengths.len() as u32), None);
            prop_assert_eq!(Table::parse(&[bytes, vec![1, 2, 3]].concat()), Some(table));
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            Table::parse(&bytes);
            Table::parse(&[MAGIC.as_slice(), &bytes].concat());
        }
    }
}
