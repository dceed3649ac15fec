//! Frames: how log entries are written to a file or object so that a torn or damaged end is detected.
//!
//! `length: u32 LE | CRC-32 of the payload: u32 LE | payload`. A mismatch ends the scan: after the first damaged frame nothing can
//! be trusted to be a frame.

/// Bytes before a payload.
const HEAD: usize = 8;
/// The longest payload, in bytes: far above any packet or message, far below what would exhaust memory.
pub const LONGEST: usize = 1 << 20;

/// Appends a frame.
pub fn append(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.extend_from_slice(&[0; HEAD]);
    write(out);
    let payload = &out[head + HEAD..];
    let (length, sum) = (payload.len() as u32, crc32fast::hash(payload));
    out[head..head + 4].copy_from_slice(&length.to_le_bytes());
    out[head + 4..head + HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// The frames in a sequence of bytes, as far as they are whole.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Frames<'a> {
    /// Reads frames from the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The bytes of the whole frames read so far.
    pub fn valid(&self) -> usize {
        self.at
    }

    /// Whether bytes are left that are not a whole frame.
    pub fn is_torn(&self) -> bool {
        self.at < self.bytes.len()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (sum, after) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        // A file that was extended before it was written ends in zeros: no frame is empty.
        if length == 0 || length > LONGEST {
            return None;
        }
        let payload = after.get(..length)?;
        if crc32fast::hash(payload) != u32::from_le_bytes(*sum) {
            return None;
        }
        self.at += HEAD + length;
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_cut_or_changed_what_was_before_is_read(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 0..20),
            cut in any::<prop::sample::Index>(),
            flip in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for payload in &payloads {
                append(&mut bytes, |out| out.extend_from_slice(payload));
                ends.push(bytes.len());
            }
            let keep = cut.index(bytes.len() + 1);
            bytes.truncate(keep);
            let mut intact = ends.iter().filter(|end| **end <= keep).count() - 1;
            if let Some((at, mask)) = flip && !bytes.is_empty() && mask != 0 {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
                intact = intact.min(ends.iter().filter(|end| **end <= at).count() - 1);
            }
            let mut frames = Frames::new(&bytes);
            let read: Vec<_> = frames.by_ref().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&read[..], &payloads[..intact]);
            prop_assert_eq!(frames.valid(), ends[intact]);
        }
    }
}
