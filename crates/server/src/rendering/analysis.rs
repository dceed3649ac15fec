//! What is measured while a recording is rendered: peaks for the waveform, levels for voice activity; and how it is stored.
//!
//! There is one object for each revision: `ESA3`, then, compressed (zlib, RFC 1950), for each capture its id, its peaks and its levels with their
//! lengths, how many tracks were measured by themselves, and of each its stream and its levels. Earlier versions wrote `ESA2`, which is not
//! compressed, and `ESA1`, which has no tracks either. A session that is not heard itself, since the room's own capture is, has levels and no peaks: it is not in the waveform,
//! but its lines are found in its own sound.

use std::io::{Read, Write};

use echosphere_domain::id::CaptureId;
use echosphere_media::aac::FRAME;
use echosphere_media::activity::{SILENCE, STEP};
use echosphere_media::peaks;
use echosphere_media::render::Window;
use echosphere_media::tracks::TrackLevels;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

const MAGIC: &[u8; 4] = b"ESA3";
const NOT_COMPRESSED: &[u8; 4] = b"ESA2";
const WITHOUT_TRACKS: &[u8; 4] = b"ESA1";
/// The most bytes of measurements, not compressed: of a day with 40 tracks.
const MOST: u64 = 1 << 29;
/// How many half frames there are in a frame.
const HALVES: usize = FRAME / STEP;

/// The measurements of one capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureAnalysis {
    /// The capture.
    pub capture: CaptureId,
    /// Peaks of each frame, see `echosphere_media::peaks`.
    pub peaks: Vec<i8>,
    /// Levels of each half frame and channel, see `echosphere_media::activity`.
    pub levels: Vec<u8>,
    /// Levels of each half frame of each track by itself, where the capture has several.
    pub tracks: Vec<TrackLevels>,
}

impl CaptureAnalysis {
    /// The measurements of a capture that has not been rendered yet.
    pub fn new(capture: CaptureId) -> Self {
        Self { capture, peaks: Vec::new(), levels: Vec::new(), tracks: Vec::new() }
    }

    /// Appends the measurements of the next window, which has this many frames. Where some are missing, their place stays empty, so
    /// that everything after it keeps its time.
    pub fn push(&mut self, window: &Window, frames: usize) {
        let before = self.levels.len() / 2;
        let after = before + frames * HALVES;
        self.peaks.extend_from_slice(&window.peaks);
        self.peaks.resize(after / HALVES * peaks::BYTES_PER_FRAME, 0);
        self.levels.extend_from_slice(&window.levels);
        self.levels.resize(2 * after, SILENCE);
        for track in &window.tracks {
            let known = self.tracks.iter().position(|known| known.stream == track.stream);
            let place = known.unwrap_or(self.tracks.len());
            if known.is_none() {
                self.tracks.push(TrackLevels { stream: track.stream, levels: Vec::new() });
            }
            let levels = &mut self.tracks[place].levels;
            levels.resize(before, SILENCE);
            levels.extend_from_slice(&track.levels);
        }
        self.tracks.iter_mut().for_each(|track| track.levels.resize(after, SILENCE));
    }

    /// Whether it was measured without its peaks: its waveform is drawn when somebody looks at it, if it is heard.
    pub fn lacks_peaks(&self) -> bool {
        self.peaks.is_empty() && !self.levels.is_empty()
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
        let mut out = Vec::new();
        let number = |out: &mut Vec<u8>, number: usize| out.extend_from_slice(&(number as u32).to_le_bytes());
        for capture in &self.captures {
            out.extend_from_slice(capture.capture.as_uuid().as_bytes());
            number(&mut out, capture.peaks.len());
            out.extend(capture.peaks.iter().map(|&peak| peak as u8));
            number(&mut out, capture.levels.len());
            out.extend_from_slice(&capture.levels);
            number(&mut out, capture.tracks.len());
            for track in &capture.tracks {
                number(&mut out, track.stream as usize);
                number(&mut out, track.levels.len());
                out.extend_from_slice(&track.levels);
            }
        }
        let mut encoder = ZlibEncoder::new(MAGIC.to_vec(), Compression::fast());
        // Memory takes everything.
        encoder.write_all(&out).and_then(|()| encoder.finish()).unwrap_or_default()
    }

    /// Reads what [`Analysis::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (magic, mut rest) = bytes.split_first_chunk::<4>()?;
        let mut inflated = Vec::new();
        let has_tracks = match magic {
            MAGIC => {
                let mut decoder = ZlibDecoder::new(rest).take(MOST);
                decoder.read_to_end(&mut inflated).ok()?;
                rest = &inflated;
                true
            }
            NOT_COMPRESSED => true,
            WITHOUT_TRACKS => false,
            _ => return None,
        };
        let mut captures = Vec::new();
        while !rest.is_empty() {
            let (id, after) = rest.split_first_chunk::<16>()?;
            rest = after;
            let mut capture = CaptureAnalysis::new(CaptureId::new(uuid::Uuid::from_bytes(*id)));
            capture.peaks = list(&mut rest)?.iter().map(|&byte| byte as i8).collect();
            capture.levels = list(&mut rest)?.to_vec();
            for _ in 0..if has_tracks { number(&mut rest)? } else { 0 } {
                let stream = number(&mut rest)?;
                capture.tracks.push(TrackLevels { stream, levels: list(&mut rest)?.to_vec() });
            }
            captures.push(capture);
        }
        Some(Self { captures })
    }

    /// What was measured of a capture.
    pub fn of(&self, capture: CaptureId) -> Option<&CaptureAnalysis> {
        self.captures.iter().find(|measured| measured.capture == capture)
    }

    /// The peaks of the whole recording, in the order of its media.
    pub fn peaks(&self) -> Vec<i8> {
        self.captures.iter().flat_map(|capture| capture.peaks.iter().copied()).collect()
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn list<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (list, after) = rest.split_at_checked(length as usize)?;
    *rest = after;
    Some(list)
}

#[cfg(test)]
mod tests;
