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
                let index = OpusIndex::from_bytes(&bytes);
                let gaps = index.map(|index| of_ogg(&index, false, MediaTime::ZERO)).unwrap_or_default();
                Piece::new(capture.clone(), gaps)
            }
        });
    }
    Ok(pieces)
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
        gaps.push(Gap { start, duration: (whole - start).max(MediaTime::ZERO), reason: reason.to_owned() });
    }
    gaps
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
