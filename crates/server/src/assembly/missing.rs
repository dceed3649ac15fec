//! What is missing of a capture log, after its side gaps were filled from sessions.

use std::ops::Range;

use echosphere_domain::ranges::{common, joined, without};
use echosphere_domain::recording::{Fill, Gap};
use echosphere_domain::time::MediaTime;
use echosphere_media::tracks::CONCEALED;
use echosphere_recorder::sound::{Index, SideGap};

/// What is shorter is not worth a seam: a decoder conceals that much.
pub(super) const SHORTEST: i64 = CONCEALED;
/// What a session has after the end of ours is put there from this length on (1 s): a session ends a little later than its room.
pub(super) const SHORTEST_END: i64 = 48_000;

/// Whether a side gap lies after the end of what we heard.
pub(super) fn is_after_end(index: &Index, side_gap: &SideGap) -> bool {
    u64::try_from(side_gap.start).is_ok_and(|start| start >= index.samples)
}

/// Whether the end that was not heard was filled on both sides, up to the same place (less than `SHORTEST_END` apart).
pub fn is_end_filled(index: &Index, fills: &[Fill]) -> bool {
    let after_end: Vec<&SideGap> = index.side_gaps.iter().filter(|side_gap| is_after_end(index, side_gap)).collect();
    let end =
        |agent: bool| fills.iter().filter(|fill| fill.agent == agent).map(|fill| fill.range().end).max().unwrap_or(0);
    // Each side took its own path to the session.
    let end_together = (end(true) - end(false)).abs() < SHORTEST_END;
    let is_filled = |side_gap: &&SideGap| {
        !side_gap.several && fills.iter().any(|fill| fill.agent == side_gap.agent && fill.start == side_gap.start)
    };
    !after_end.is_empty() && after_end.iter().all(is_filled) && end_together
}

/// A stretch of samples in media time.
pub(super) fn media(samples: &Range<i64>) -> Range<MediaTime> {
    MediaTime::from_samples_48k(samples.start)..MediaTime::from_samples_48k(samples.end)
}

/// What is missing of a capture log after its side gaps were filled.
pub fn unfilled(index: &Index, fills: &[Fill]) -> Vec<Gap> {
    let of_side = |agent: bool| {
        let side_gaps = index.side_gaps.iter().filter(|side_gap| side_gap.agent == agent);
        let (several, alone): (Vec<&SideGap>, Vec<&SideGap>) = side_gaps.partition(|side_gap| side_gap.several);
        let filled = joined(fills.iter().filter(|fill| fill.agent == agent).map(Fill::range));
        let mut left = without(&joined(alone.into_iter().map(SideGap::range)), &filled);
        left.extend(several.into_iter().map(SideGap::range));
        left
    };
    let left = joined(of_side(true).into_iter().chain(of_side(false)));
    let mut gaps = Vec::new();
    for gap in &index.gaps {
        let all = gap.range();
        let is_touched = fills.iter().any(|fill| fill.start < all.end && fill.range().end > all.start);
        let parts = if is_touched && gap.reason != "paused" {
            let parts = common(&[all], &left);
            parts.into_iter().filter(|part| part.end - part.start >= SHORTEST).collect()
        } else {
            vec![all]
        };
        gaps.extend(parts.iter().map(media).map(|part| Gap {
            start: part.start,
            duration: part.end - part.start,
            reason: gap.reason.clone(),
        }));
    }
    gaps
}

#[cfg(test)]
mod tests;
