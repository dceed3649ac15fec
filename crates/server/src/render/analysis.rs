//! What is measured while a recording is rendered: peaks for the waveform, levels for the voice activity.
//!
//! Kept as one object for each revision: `ESA1`, then for each capture its id and both lists with their lengths.

use echosphere_domain::id::CaptureId;
use echosphere_media::render::Window;

const MAGIC: &[u8; 4] = b"ESA1";

/// The measurements of one capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureAnalysis {
    /// The capture.
    pub capture: CaptureId,
    /// Peaks of each frame, see `echosphere_media::peaks`.
    pub peaks: Vec<i8>,
    /// Levels of each half frame and channel, see `echosphere_media::activity`.
    pub levels: Vec<u8>,
}

impl CaptureAnalysis {
    /// Of a capture of which nothing was rendered yet.
    pub fn new(capture: CaptureId) -> Self {
        Self { capture, peaks: Vec::new(), levels: Vec::new() }
    }

    /// Takes the measurements of the next window.
    pub fn push(&mut self, window: &Window) {
        self.peaks.extend_from_slice(&window.peaks);
        self.levels.extend_from_slice(&window.levels);
    }

    /// The levels of one channel: 0 the agent's, 1 everybody else's.
    pub fn channel(&self, channel: usize) -> Vec<u8> {
        self.levels.iter().skip(channel).step_by(2).copied().collect()
    }
}

/// The measurements of a revision, in the order of its captures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Analysis {
    /// Of each capture.
    pub captures: Vec<CaptureAnalysis>,
}

impl Analysis {
    /// The measurements as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for capture in &self.captures {
            out.extend_from_slice(capture.capture.as_uuid().as_bytes());
            out.extend_from_slice(&(capture.peaks.len() as u32).to_le_bytes());
            out.extend(capture.peaks.iter().map(|&peak| peak as u8));
            out.extend_from_slice(&(capture.levels.len() as u32).to_le_bytes());
            out.extend_from_slice(&capture.levels);
        }
        out
    }

    /// Takes back what [`Analysis::to_bytes`] made; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut captures = Vec::new();
        while !rest.is_empty() {
            let (id, behind) = rest.split_first_chunk::<16>()?;
            rest = behind;
            let peaks = list(&mut rest)?.iter().map(|&byte| byte as i8).collect();
            let levels = list(&mut rest)?.to_vec();
            captures.push(CaptureAnalysis { capture: CaptureId::new(uuid::Uuid::from_bytes(*id)), peaks, levels });
        }
        Some(Self { captures })
    }

    /// The peaks of the whole recording, in the order of its media.
    pub fn peaks(&self) -> Vec<i8> {
        self.captures.iter().flat_map(|capture| capture.peaks.iter().copied()).collect()
    }
}

fn list<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (list, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = behind;
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stored_and_taken_back(peaks in prop::collection::vec(any::<i8>(), 0..50), levels in prop::collection::vec(any::<u8>(), 0..50)) {
            let capture = CaptureId::new(uuid::Uuid::from_u128(7));
            let analysis = Analysis { captures: vec![CaptureAnalysis { capture, peaks, levels }] };
            prop_assert_eq!(Analysis::from_bytes(&analysis.to_bytes()), Some(analysis));
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Analysis::from_bytes(&[MAGIC, bytes.as_slice()].concat());
        }
    }
}
