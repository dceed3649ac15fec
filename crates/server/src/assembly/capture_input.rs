//! Capture inputs: captures that were read before, with what the assembly of a segment index needs of them.

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, CaptureStatus, Gap, Recording};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::MediaTime;
use echosphere_media::ogg::OpusIndex;

use super::missing;
use crate::rendering::{CaptureRenderer, Error, Rendering};

/// A capture with what its audio index says.
#[derive(Clone)]
pub struct CaptureInput {
    /// The capture.
    pub capture: Capture,
    /// What is missing inside it, in its own media time.
    pub gaps: Vec<Gap>,
    /// Where another process took over, in its own media time: a discontinuity.
    pub restarts: Vec<MediaTime>,
    /// Stretches of which more is known than when they were rendered, in its own media time.
    pub improved: Vec<std::ops::Range<MediaTime>>,
    /// Its segments, if somebody else made them and the recording does not have them yet.
    pub given: Vec<Segment>,
    /// Its sound, to listen to.
    pub renderer: Option<CaptureRenderer>,
    /// Whether it was cut at its end, and another capture has the rest: then nothing is missing there.
    pub is_end_filled: bool,
}

impl CaptureInput {
    /// A capture that came whole.
    pub fn new(capture: Capture, gaps: Vec<Gap>) -> Self {
        let (restarts, improved, given) = (Vec::new(), Vec::new(), Vec::new());
        Self { capture, gaps, restarts, improved, given, renderer: None, is_end_filled: false }
    }
}

/// Reads what is known of captures.
pub async fn load(
    rendering: &Rendering,
    recording: &Recording,
    captures: impl Iterator<Item = &Capture>,
) -> Result<Vec<CaptureInput>, Error> {
    let captures: Vec<Capture> = captures.cloned().collect();
    let mut inputs = Vec::new();
    for capture in &captures {
        inputs.push(match rendering.renderer(recording, &captures, capture).await? {
            None => CaptureInput::new(capture.clone(), Vec::new()),
            Some(renderer) => of(capture.clone(), renderer),
        });
    }
    Ok(inputs)
}

/// The other captures, each with its status, as a publication was decided on.
pub fn others(captures: &[Capture], own: CaptureId) -> Vec<(CaptureId, CaptureStatus)> {
    captures.iter().filter(|other| other.id != own).map(|other| (other.id, other.status)).collect()
}

/// A capture with its sound.
pub fn of(capture: Capture, renderer: CaptureRenderer) -> CaptureInput {
    let mut input = CaptureInput::new(capture, Vec::new());
    if let Some(index) = renderer.ogg_index() {
        input.gaps = of_ogg(index, false, MediaTime::ZERO);
    }
    if let Some(index) = renderer.log_index() {
        let fills = &renderer.audio().fills;
        input.gaps = missing::unfilled(index, fills);
        input.is_end_filled = missing::is_end_filled(index, fills);
        input.restarts = index.restarts.iter().map(|&sample| MediaTime::from_samples_48k(sample)).collect();
    }
    input.renderer = Some(renderer);
    input
}

/// What is missing of an Ogg file, in its own media time: gaps inside it, and the end of a cut upload, as far as the length of the
/// whole is known.
pub fn of_ogg(index: &OpusIndex, cut: bool, whole: MediaTime) -> Vec<Gap> {
    let samples = |count: u64| MediaTime::from_samples_48k(i64::try_from(count).unwrap_or(i64::MAX));
    let reason = |damaged: bool| if damaged { "damaged" } else { "packets_lost" };
    let lost = index.gaps().iter().map(|gap| Gap {
        start: samples(gap.start),
        duration: samples(gap.samples),
        reason: reason(gap.damaged).to_owned(),
    });
    let mut gaps: Vec<Gap> = lost.collect();
    if cut || index.is_truncated() {
        let start = samples(index.total_samples());
        let reason = if cut { "upload_cut" } else { "damaged" };
        // The index has this gap too, but not how long it should be.
        gaps.retain(|gap| gap.start < start);
        gaps.push(Gap { start, duration: (whole - start).max(MediaTime::ZERO), reason: reason.to_owned() });
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use echosphere_media::ogg::IndexBuilder;

    #[test]
    fn the_end_of_a_damaged_file_is_missing_whenever_it_is_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/agent-sessions/order/body.bin");
        let body = std::fs::read(path).unwrap();
        let start = body.windows(4).position(|window| window == b"OggS").unwrap();
        let mut builder = IndexBuilder::default();
        builder.push(&body[start..start + (body.len() - start) / 2]);
        let index = builder.finish().unwrap();
        let end = MediaTime::from_samples_48k(index.total_samples() as i64);
        let gap = |reason: &str, duration| Gap { start: end, duration, reason: reason.to_owned() };
        assert_eq!(of_ogg(&index, false, MediaTime::ZERO), [gap("damaged", MediaTime::ZERO)]);
        let whole = end + MediaTime::from_millis(1_500);
        assert_eq!(of_ogg(&index, true, whole), [gap("upload_cut", MediaTime::from_millis(1_500))]);
    }
}
