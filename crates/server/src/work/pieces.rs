//! Captures that were read before, as they are composed.

use echosphere_domain::id::CaptureId;
use echosphere_domain::recording::{Capture, CaptureStatus, Gap, Recording};
use echosphere_domain::time::MediaTime;
use echosphere_media::ogg::OpusIndex;

use super::compose::Piece;
use super::{Error, filling};
use crate::app::App;
use crate::render::Source;
use crate::sources;

/// Reads what is known of captures.
pub(super) async fn load(
    app: &App,
    recording: &Recording,
    captures: impl Iterator<Item = &Capture>,
) -> Result<Vec<Piece>, Error> {
    let captures: Vec<Capture> = captures.cloned().collect();
    let mut pieces = Vec::new();
    for capture in &captures {
        pieces.push(match sources::load(app, recording, &captures, capture).await? {
            None => Piece::new(capture.clone(), Vec::new()),
            Some(source) => of(capture.clone(), source),
        });
    }
    Ok(pieces)
}

/// What a publication is told of the captures that it was decided beside.
pub(super) fn beside(captures: &[Capture], own: CaptureId) -> Vec<(CaptureId, CaptureStatus)> {
    captures.iter().filter(|other| other.id != own).map(|other| (other.id, other.status)).collect()
}

/// A capture with its sound.
pub(super) fn of(capture: Capture, source: Source) -> Piece {
    let mut piece = Piece::new(capture, Vec::new());
    if let Some(index) = source.ogg_index() {
        piece.gaps = of_ogg(index, false, MediaTime::ZERO);
    }
    if let Some(index) = source.log_index() {
        let fills = &source.audio().fills;
        piece.gaps = filling::unfilled(index, fills);
        piece.is_end_filled = filling::is_end_filled(index, fills);
        piece.restarts = index.restarts.iter().map(|&sample| MediaTime::from_samples_48k(sample)).collect();
    }
    piece.source = Some(source);
    piece
}

/// What is missing of an Ogg file, in its own media time: holes, and the end of a cut upload, as far as the length of the
/// whole is known.
pub(super) fn of_ogg(index: &OpusIndex, cut: bool, whole: MediaTime) -> Vec<Gap> {
    let samples = |count: u64| MediaTime::from_samples_48k(i64::try_from(count).unwrap_or(i64::MAX));
    let reason = |damaged: bool| if damaged { "damaged" } else { "packets_lost" };
    let holes = index.gaps().iter().map(|gap| Gap {
        start: samples(gap.start),
        duration: samples(gap.samples),
        reason: reason(gap.damaged).to_owned(),
    });
    let mut gaps: Vec<Gap> = holes.collect();
    if cut || index.is_truncated() {
        let start = samples(index.total_samples());
        let reason = if cut { "upload_cut" } else { "damaged" };
        // The index says so too, and not how long it should have been.
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
