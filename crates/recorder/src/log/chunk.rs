//! A chunk: the entries of one capture that were received within a few seconds, stored as one object.

use bytes::Bytes;
use prost::Message as _;
use uuid::Uuid;

use super::frame::{self, Frames};
use super::packet_of::packet_of;
use super::{Entry, Packet};

const MAGIC: &[u8; 4] = b"ESC1";
/// Bytes before the first frame: magic, the capture's id, the chunk's number.
const HEAD: usize = 4 + 16 + 4;

/// Why bytes are not a valid chunk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// They begin with something else.
    #[error("not a chunk of a capture log")]
    NotAChunk,
    /// They are a chunk, but of another capture or with another number.
    #[error("chunk {number} of capture {capture} lies where another one belongs")]
    Misplaced {
        /// The capture named in the chunk.
        capture: Uuid,
        /// The number given in the chunk.
        number: u32,
    },
}

/// A decoded chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// The capture.
    pub capture: Uuid,
    /// Its position among the capture's chunks, from 0.
    pub number: u32,
    /// Its entries.
    pub entries: Vec<Entry>,
    /// Whether it is damaged; `entries` has what could be read.
    pub is_torn: bool,
}

/// The beginning of a chunk, to which [`append`] adds entries.
pub fn begin(capture: Uuid, number: u32, capacity: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + capacity);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(capture.as_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out
}

/// Whether a chunk has no entry yet.
pub fn is_empty(chunk: &[u8]) -> bool {
    chunk.len() <= HEAD
}

/// Appends an entry as a frame.
pub fn append(out: &mut Vec<u8>, entry: &Entry) {
    frame::append(out, |out| entry.encode_raw(out));
}

/// The head of a chunk, and its frames.
pub(super) fn open(bytes: &[u8]) -> Result<(&[u8; HEAD], Frames<'_>), Error> {
    let (head, frames) = bytes.split_first_chunk::<HEAD>().ok_or(Error::NotAChunk)?;
    if head.starts_with(MAGIC) { Ok((head, Frames::new(frames))) } else { Err(Error::NotAChunk) }
}

/// Decodes a chunk; the payloads of its packets share its bytes. A damaged frame costs itself and the frames after it, no more.
pub fn decode(bytes: &Bytes) -> Result<Chunk, Error> {
    let (head, mut frames) = open(bytes)?;
    let (mut capture, mut number) = ([0; 16], [0; 4]);
    capture.copy_from_slice(&head[4..20]);
    number.copy_from_slice(&head[20..]);
    let mut entries = Vec::new();
    let mut damaged = false;
    for payload in frames.by_ref() {
        match Entry::decode(bytes.slice_ref(payload)) {
            Ok(entry) => entries.push(entry),
            // The checksum is right, yet it is not an entry: written by something else.
            Err(_) => damaged = true,
        }
    }
    let is_torn = damaged || frames.is_torn();
    Ok(Chunk { capture: Uuid::from_bytes(capture), number: u32::from_le_bytes(number), entries, is_torn })
}

/// The packets of a chunk, which share its bytes, as far as it can be read.
pub fn packets(bytes: &Bytes) -> Result<impl Iterator<Item = Packet>, Error> {
    let (_, frames) = open(bytes)?;
    Ok(frames.filter_map(|entry| packet_of(bytes, entry)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Body, Pause};
    use proptest::prelude::*;

    #[test]
    fn entries_come_back() {
        let entry = |number| Entry {
            number,
            at: -5,
            body: Some(Body::Packet(Packet { stream: 1, sequence: 9, rtp: 960, payload: vec![1, 2, 3].into() })),
        };
        let mut bytes = begin(Uuid::from_u128(7), 3, 0);
        assert!(is_empty(&bytes));
        append(&mut bytes, &entry(0));
        append(&mut bytes, &entry(1));
        assert!(!is_empty(&bytes));
        let chunk = decode(&bytes.clone().into()).unwrap();
        assert_eq!((chunk.capture, chunk.number, chunk.is_torn), (Uuid::from_u128(7), 3, false));
        assert_eq!(chunk.entries, [entry(0), entry(1)]);
        append(&mut bytes, &Entry { number: 2, at: -5, body: Some(Body::Pause(Pause { paused: true })) });
        let packets: Vec<Packet> = packets(&bytes.into()).unwrap().collect();
        assert_eq!(packets.into_iter().map(Body::Packet).map(Some).collect::<Vec<_>>(), [entry(0).body, entry(1).body]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes.clone().into());
            let bytes = [begin(Uuid::nil(), 0, 0), bytes].concat().into();
            let chunk = decode(&bytes).unwrap();
            let read = chunk.entries.into_iter().filter(|entry| matches!(entry.body, Some(Body::Packet(_))));
            prop_assert!(packets(&bytes).unwrap().count() >= read.count());
        }
    }
}
