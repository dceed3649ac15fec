//! Takes Opus packets apart into frames and puts frames together, without decoding them (RFC 6716 section 3 and appendix B).

use smallvec::{SmallVec, smallvec};

use crate::ogg::packet_duration;

/// The most bytes of a frame (RFC 6716 section 3.4, R2).
const LARGEST: usize = 1_275;
/// The bits of the first byte that say what the frames are: configuration and channels (RFC 6716 section 3.1).
const KIND: u8 = 0xfc;

/// The bytes of a packet's frames. Nearly all packets have one.
type FrameBytes<'p> = SmallVec<[&'p [u8]; 2]>;

/// The frames of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frames<'p> {
    /// What they are: the packet's first byte, with code 0.
    pub kind: u8,
    /// How long each lasts, in samples of 48 kHz: 120 to 2,880.
    pub samples: u32,
    /// The bytes of each: 0 to 1,275.
    pub frames: FrameBytes<'p>,
}

impl<'p> Frames<'p> {
    /// Takes a packet apart. `None` when it breaks RFC 6716's rules.
    pub fn parse(packet: &'p [u8]) -> Option<Self> {
        let whole = packet_duration(packet)?;
        let (&toc, rest) = packet.split_first()?;
        let frames = match toc & 3 {
            0 => smallvec![rest],
            1 if rest.len().is_multiple_of(2) => {
                let (first, second) = rest.split_at(rest.len() / 2);
                smallvec![first, second]
            }
            1 => return None,
            2 => {
                let (length, rest) = length(rest)?;
                let (first, second) = rest.split_at_checked(length)?;
                smallvec![first, second]
            }
            _ => several(rest)?,
        };
        if frames.iter().any(|frame| frame.len() > LARGEST) {
            return None;
        }
        Some(Self { kind: toc & KIND, samples: whole / frames.len() as u32, frames })
    }

    /// Whether nothing is heard of it: the encoder had nothing to send (at most a byte a frame), or a CELT frame says that it is silent
    /// (RFC 6716 section 4.3).
    pub fn is_silent(&self) -> bool {
        self.frames.iter().all(|frame| frame.len() < 2 || (is_celt(self.kind) && says_silence(frame)))
    }
}

/// Whether frames of this kind have no SILK layer.
pub fn is_celt(kind: u8) -> bool {
    kind >= 0x80
}

/// Whether the first symbol of a CELT frame, of which one in 32,768 is so, says that no band has energy.
fn says_silence(frame: &[u8]) -> bool {
    matches!(frame, [0xff, 0xfe | 0xff, ..])
}

/// The frames of a packet with code 3.
fn several(rest: &[u8]) -> Option<FrameBytes<'_>> {
    let (&head, mut rest) = rest.split_first()?;
    let count = usize::from(head & 0x3f);
    let mut padding = 0;
    if head & 0x40 != 0 {
        loop {
            let (&more, after) = rest.split_first()?;
            rest = after;
            padding += usize::from(more.min(254));
            if more != 255 {
                break;
            }
        }
    }
    let has_lengths = head & 0x80 != 0;
    let mut lengths = Vec::with_capacity(count);
    if has_lengths {
        for _ in 1..count {
            let (next, after) = length(rest)?;
            lengths.push(next);
            rest = after;
        }
    }
    let (mut rest, _) = rest.split_at_checked(rest.len().checked_sub(padding)?)?;
    if !has_lengths {
        if !rest.len().is_multiple_of(count) {
            return None;
        }
        lengths = vec![rest.len() / count; count - 1];
    }
    let mut frames = FrameBytes::with_capacity(count);
    for length in lengths {
        let (frame, after) = rest.split_at_checked(length)?;
        frames.push(frame);
        rest = after;
    }
    frames.push(rest);
    Some(frames)
}

/// Reads a length of one or two bytes (RFC 6716 section 3.2.1).
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [first @ 0..252, rest @ ..] => Some((usize::from(*first), rest)),
        [first, second, rest @ ..] => Some((usize::from(*first) + 4 * usize::from(*second), rest)),
        _ => None,
    }
}

fn append_length(out: &mut Vec<u8>, length: usize) {
    if length < 252 {
        out.push(length as u8);
    } else {
        let low = 252 + (length & 3);
        out.extend_from_slice(&[low as u8, ((length - low) / 4) as u8]);
    }
}

/// Appends a packet of frames of one kind, at least one, that last 120 ms at most all together.
pub fn append_packet(out: &mut Vec<u8>, kind: u8, frames: &[&[u8]]) {
    append(out, kind, frames, false);
}

/// A packet of two streams, each of frames of one kind: the first one says how long it is, so that the other can follow it (RFC 6716 appendix
/// B).
pub fn packet_of_two(first: (u8, &[&[u8]]), second: (u8, &[&[u8]])) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, first.0, first.1, true);
    append(&mut out, second.0, second.1, false);
    out
}

fn append(out: &mut Vec<u8>, kind: u8, frames: &[&[u8]], is_delimited: bool) {
    let Some((last, before)) = frames.split_last() else { return };
    if before.is_empty() {
        out.push(kind & KIND);
    } else {
        // Frames of any length, without padding.
        out.extend_from_slice(&[kind | 3, 0x80 | frames.len() as u8]);
        for frame in before {
            append_length(out, frame.len());
        }
    }
    if is_delimited {
        append_length(out, last.len());
    }
    for frame in frames {
        out.extend_from_slice(frame);
    }
}

#[cfg(test)]
mod tests;
