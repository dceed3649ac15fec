//! Captures that were read before, as they are composed.

use echosphere_domain::recording::{Capture, Gap, Source};
use echosphere_domain::time::MediaTime;
use echosphere_media::ogg::OpusIndex;
use echosphere_recorder::sound::Index;

use super::Error;
use super::compose::Piece;
use crate::app::App;

/// Reads what is known of captures.
pub(super) async fn load(app: &App, captures: impl Iterator<Item = &Capture>) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    for capture in captures {
        let index = app.store.audio_index(capture.id).await?;
        pieces.push(match (capture.source, index) {
            (_, None) => Piece::new(capture.clone(), Vec::new()),
            (Source::Recorder, Some(bytes)) => Index::from_bytes(&bytes)
                .map_or_else(|| Piece::new(capture.clone(), Vec::new()), |index| of_log(capture.clone(), &index)),
            (_, Some(bytes)) => {
                let holes = OpusIndex::from_bytes(&bytes).map(|index| holes(&index)).unwrap_or_default();
                Piece::new(capture.clone(), holes)
            }
        });
    }
    Ok(pieces)
}

/// What is missing inside an Ogg file.
pub(super) fn holes(index: &OpusIndex) -> Vec<Gap> {
    let reason = |damaged: bool| if damaged { "damaged" } else { "packets_lost" };
    let samples = |count: u64| MediaTime::from_samples_48k(i64::try_from(count).unwrap_or(i64::MAX));
    let holes = index.gaps().iter().map(|gap| Gap {
        start: samples(gap.start),
        duration: samples(gap.samples),
        reason: reason(gap.damaged).to_owned(),
    });
    holes.collect()
}

/// A capture log.
pub(super) fn of_log(capture: Capture, index: &Index) -> Piece {
    let at = MediaTime::from_samples_48k;
    let gaps = index.gaps.iter().map(|gap| Gap {
        start: at(gap.start),
        duration: at(gap.samples),
        reason: gap.reason.clone(),
    });
    Piece {
        gaps: gaps.collect(),
        restarts: index.restarts.iter().map(|&sample| at(sample)).collect(),
        improved: index.improved.iter().map(|extent| at(extent.start)..at(extent.end)).collect(),
        capture,
    }
}
