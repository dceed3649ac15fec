//! Opus packets that are made here: silence (RFC 6716 section 3.1).

use super::Sample;

/// CELT frames, fullband and mono, that decode to silence: their configurations and lengths in samples, the longest first.
const SILENT: [(u8, u32); 4] = [(31, 960), (30, 480), (29, 240), (28, 120)];

/// Appends silence of this length, in samples of 48 kHz. Packets have 2.5 ms at least: what is shorter is one that is cut off.
pub(super) fn append_silence(out: &mut Vec<Sample>, mut samples: u64) {
    for (config, length) in SILENT {
        while samples >= u64::from(length) {
            out.push(silence(config, length));
            samples -= u64::from(length);
        }
    }
    if samples > 0 {
        out.push(silence(SILENT[SILENT.len() - 1].0, samples as u32));
    }
}

/// A packet of one frame (code 0): an empty range coder, so no band has energy.
fn silence(config: u8, duration: u32) -> Sample {
    Sample { data: vec![config << 3, 0xff, 0xfe], duration }
}
