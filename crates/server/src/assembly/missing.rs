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
    let behind: Vec<&SideGap> = index.side_gaps.iter().filter(|side_gap| is_after_end(index, side_gap)).collect();
    let end =
        |agent: bool| fills.iter().filter(|fill| fill.agent == agent).map(|fill| fill.range().end).max().unwrap_or(0);
    // Each side took its own path to the session.
    let end_together = (end(true) - end(false)).abs() < SHORTEST_END;
    let is_filled = |side_gap: &&SideGap| {
        !side_gap.several && fills.iter().any(|fill| fill.agent == side_gap.agent && fill.start == side_gap.start)
    };
    !behind.is_empty() && behind.iter().all(is_filled) && end_together
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
mod tests {
    use super::*;
    use echosphere_domain::id::CaptureId;
    use echosphere_recorder::sound;

    const S: i64 = 48_000;

    fn gap(start: i64, samples: i64, reason: &str) -> sound::Gap {
        sound::Gap { start, samples, reason: reason.to_owned() }
    }

    fn side_gap(start: i64, samples: i64, agent: bool, several: bool) -> SideGap {
        SideGap { start, samples, agent, several }
    }

    fn fill(start: i64, samples: i64, agent: bool) -> Fill {
        let from = CaptureId::new(uuid::Uuid::from_u128(2));
        Fill { start, samples, agent, from, at: start }
    }

    fn told(gaps: &[Gap]) -> Vec<(&str, i64, i64)> {
        gaps.iter().map(|gap| (gap.reason.as_str(), gap.start.as_millis(), gap.duration.as_millis())).collect()
    }

    #[test]
    fn a_gap_is_gone_when_both_sides_of_it_are_filled() {
        let index = Index {
            gaps: vec![
                gap(10 * S, 5 * S, "connection_lost"),
                gap(30 * S, 2 * S, "paused"),
                gap(40 * S, S, "packets_lost"),
            ],
            side_gaps: vec![
                side_gap(10 * S, 5 * S, true, false),
                side_gap(10 * S, 5 * S, false, false),
                side_gap(40 * S, S, false, false),
            ],
            ..Index::default()
        };
        let pause = ("paused", 30_000, 2_000);
        let lost = ("packets_lost", 40_000, 1_000);
        assert_eq!(told(&unfilled(&index, &[])), [("connection_lost", 10_000, 5_000), pause, lost]);
        let agent = fill(10 * S, 5 * S, true);
        assert_eq!(
            told(&unfilled(&index, std::slice::from_ref(&agent))),
            [("connection_lost", 10_000, 5_000), pause, lost]
        );
        let both = [agent.clone(), fill(10 * S, 5 * S, false)];
        assert_eq!(told(&unfilled(&index, &both)), [pause, lost]);
        // The session ended in the middle of the side gap.
        let half = [agent, fill(10 * S, 2 * S, false)];
        assert_eq!(told(&unfilled(&index, &half)), [("connection_lost", 12_000, 3_000), pause, lost]);
    }

    #[test]
    fn an_end_that_was_cut_is_filled_on_both_sides_or_is_not() {
        let open = |agent, several| side_gap(20 * S, 1_000 * S, agent, several);
        let index =
            Index { samples: 20 * 48_000, side_gaps: vec![open(true, false), open(false, false)], ..Index::default() };
        let both = [fill(20 * S, 9 * S, true), fill(20 * S, 9 * S - 2_400, false)];
        assert!(is_end_filled(&index, &both) && !is_end_filled(&index, &both[..1]) && !is_end_filled(&index, &[]));
        let others = Index { side_gaps: vec![open(true, false), open(false, true)], ..index.clone() };
        assert!(!is_end_filled(&others, &both));
        let ended = Index { side_gaps: Vec::new(), ..index };
        assert!(!is_end_filled(&ended, &[]), "nothing is missing");
    }

    #[test]
    fn who_else_was_there_is_still_missing() {
        let index = Index {
            gaps: vec![gap(10 * S, 5 * S, "recorder_restarted")],
            side_gaps: vec![side_gap(10 * S, 5 * S, true, false), side_gap(10 * S, 5 * S, false, true)],
            ..Index::default()
        };
        let both = [fill(10 * S, 5 * S, true), fill(10 * S, 5 * S, false)];
        assert_eq!(told(&unfilled(&index, &both)), [("recorder_restarted", 10_000, 5_000)]);
    }
}
