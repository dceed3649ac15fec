//! Opus packets that are made here: silence (RFC 6716 section 3.1).

use super::Sample;
use crate::opus_frames::append_packet;

/// CELT frames, fullband and mono, that decode to silence: their kinds and lengths in samples, the longest first.
const KINDS: [(u8, u32); 4] = [(0xf8, 960), (0xf0, 480), (0xe8, 240), (0xe0, 120)];
/// The bytes of a silent CELT frame of any kind: an empty range coder, so no band has energy.
pub(super) const SILENT: [u8; 2] = [0xff, 0xfe];

/// Appends silence of this length, in samples of 48 kHz.
pub(super) fn append_silence(out: &mut Vec<Sample>, samples: u64) {
    append_silence_of(out, samples, |kind| {
        let mut packet = Vec::new();
        append_packet(&mut packet, kind, &[&SILENT]);
        packet
    });
}

/// Appends silence of this length, in samples of 48 kHz, in packets of frames of these kinds. Packets have 2.5 ms at least: what is
/// shorter is one that is cut off.
pub(super) fn append_silence_of(out: &mut Vec<Sample>, mut samples: u64, packet: impl Fn(u8) -> Vec<u8>) {
    for (kind, length) in KINDS {
        while samples >= u64::from(length) {
            out.push(Sample { data: packet(kind), duration: length });
            samples -= u64::from(length);
        }
    }
    if samples > 0 {
        out.push(Sample { data: packet(KINDS[KINDS.len() - 1].0), duration: samples as u32 });
    }
}
