//! The init section: what the packets of a track are.

use super::EDIT;
use super::boxes::{boxed, full, halves, words};
use crate::SAMPLE_RATE;

/// How the streams of the packets become agent left, everybody else right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One stereo stream, with the agent on the left.
    Stereo,
    /// One stereo stream, with the agent on the right.
    Swapped,
    /// One mono stream, on both sides.
    Mono,
    /// Two mono streams in each packet, the agent's first.
    Voices,
}

impl Layout {
    /// Streams, coupled streams, and which decoded channel each side is (RFC 7845 section 5.1.1).
    const fn mapping(self) -> [u8; 4] {
        match self {
            Self::Stereo => [1, 1, 0, 1],
            Self::Swapped => [1, 1, 1, 0],
            Self::Mono => [1, 0, 0, 0],
            Self::Voices => [2, 0, 0, 1],
        }
    }
}

/// A transformation that changes nothing (section 8.3.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// The track's number.
const TRACK: u32 = 1;

/// The init section of a track, whose output is louder by `gain`, in 1/256 dB.
pub fn init(layout: Layout, gain: i16) -> Vec<u8> {
    let mut out = Vec::with_capacity(800);
    boxed(&mut out, *b"ftyp", |out| {
        out.extend_from_slice(b"iso6\0\0\0\0iso6cmfcOpusmp41");
    });
    boxed(&mut out, *b"moov", |out| {
        full(out, *b"mvhd", 0, 0, |out| {
            words(out, [0, 0, SAMPLE_RATE, 0, 0x1_0000]);
            halves(out, [0x100]);
            out.extend_from_slice(&[0; 10]);
            words(out, MATRIX);
            words(out, [0; 6]);
            words(out, [TRACK + 1]);
        });
        boxed(out, *b"trak", |out| track(out, layout, gain));
        boxed(out, *b"mvex", |out| {
            full(out, *b"trex", 0, 0, |out| words(out, [TRACK, 1, 960, 0, 0]));
        });
    });
    out
}

fn track(out: &mut Vec<u8>, layout: Layout, gain: i16) {
    // Enabled, and in the movie.
    full(out, *b"tkhd", 0, 3, |out| {
        words(out, [0, 0, TRACK, 0, 0, 0, 0]);
        halves(out, [0, 1, 0x100, 0]);
        words(out, MATRIX);
        words(out, [0, 0]);
    });
    boxed(out, *b"edts", |out| {
        // One edit, without an end, of what is there from this media time on.
        full(out, *b"elst", 0, 0, |out| {
            words(out, [1, 0, EDIT]);
            halves(out, [1, 0]);
        });
    });
    boxed(out, *b"mdia", |out| {
        full(out, *b"mdhd", 0, 0, |out| {
            words(out, [0, 0, SAMPLE_RATE, 0]);
            // No language ("und").
            halves(out, [0x55c4, 0]);
        });
        full(out, *b"hdlr", 0, 0, |out| {
            out.extend_from_slice(b"\0\0\0\0soun\0\0\0\0\0\0\0\0\0\0\0\0EchoSphere\0");
        });
        boxed(out, *b"minf", |out| {
            full(out, *b"smhd", 0, 0, |out| words(out, [0]));
            boxed(out, *b"dinf", |out| {
                full(out, *b"dref", 0, 0, |out| {
                    words(out, [1]);
                    // The data are in the same file.
                    full(out, *b"url ", 0, 1, |_| {});
                });
            });
            boxed(out, *b"stbl", |out| sample_table(out, layout, gain));
        });
    });
}

fn sample_table(out: &mut Vec<u8>, layout: Layout, gain: i16) {
    full(out, *b"stsd", 0, 0, |out| {
        words(out, [1]);
        boxed(out, *b"Opus", |out| {
            out.extend_from_slice(&[0; 6]);
            halves(out, [1]);
            words(out, [0, 0]);
            halves(out, [2, 16, 0, 0]);
            words(out, [SAMPLE_RATE << 16]);
            boxed(out, *b"dOps", |out| {
                let [streams, coupled, left, right] = layout.mapping();
                // Version 0, two channels, no pre-skip: the edit list has it.
                out.extend_from_slice(&[0, 2, 0, 0]);
                words(out, [SAMPLE_RATE]);
                out.extend_from_slice(&gain.to_be_bytes());
                out.extend_from_slice(&[1, streams, coupled, left, right]);
            });
        });
    });
    full(out, *b"stts", 0, 0, |out| words(out, [0]));
    full(out, *b"stsc", 0, 0, |out| words(out, [0]));
    full(out, *b"stsz", 0, 0, |out| words(out, [0, 0]));
    full(out, *b"stco", 0, 0, |out| words(out, [0]));
    // Every sample wants the four before it to be decoded first: 80 ms (section 8.9.3, `roll`).
    full(out, *b"sgpd", 1, 0, |out| {
        out.extend_from_slice(b"roll");
        words(out, [2, 1]);
        out.extend_from_slice(&(-4_i16).to_be_bytes());
    });
}
