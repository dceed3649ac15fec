//! Finds side gaps: what was unintentionally not recorded of one side, for another source to fill.

use std::collections::BTreeSet;
use std::ops::Range;

use echosphere_domain::ranges::{joined, without};

use super::index::{Gap, SideGap};
use super::stream::SHORTEST_GAP;

/// Nothing this close to a pause is filled, in samples (200 ms): clocks may differ by this much.
const PAUSE_MARGIN: i64 = 9_600;
/// Whoever is heard this shortly before or after a side gap was present during it, in samples (10 s).
const AROUND: i64 = 480_000;

/// A stream and the side it is on.
pub(super) struct OnSide<'a> {
    /// Whether it is an agent's.
    pub agent: bool,
    /// The identity of its participant.
    pub identity: &'a str,
    /// Stretches of which all packets were received, in order.
    pub runs: Vec<Range<i64>>,
    /// Stretches whose packets were sent and not received.
    pub losses: Vec<Range<i64>>,
}

/// The side gaps of both sides. `away` is when nothing reached us, or nothing was to be recorded; `end` is the end of the sound. If
/// the conversation went on after it for an unknown time, each side has one more side gap there, of at most `open` samples.
pub(super) fn of(streams: &[OnSide<'_>], away: &[Gap], end: i64, open: Option<i64>) -> Vec<SideGap> {
    let mut side_gaps = Vec::new();
    for agent in [true, false] {
        let side: Vec<&OnSide<'_>> = streams.iter().filter(|stream| stream.agent == agent).collect();
        let missing = side.iter().flat_map(|stream| stream.losses.clone());
        let missing = missing.chain(away.iter().filter(|away| away.reason != "paused").map(Gap::range));
        let kept = side.iter().flat_map(|stream| stream.runs.clone());
        let pauses = away.iter().filter(|away| away.reason == "paused").map(Gap::range);
        let pauses = pauses.map(|pause| pause.start - PAUSE_MARGIN..pause.end + PAUSE_MARGIN);
        let missing = without(&joined(missing), &joined(kept.chain(pauses)));
        for side_gap in missing.into_iter().map(|side_gap| side_gap.start.max(0)..side_gap.end.min(end)) {
            if side_gap.end - side_gap.start < SHORTEST_GAP {
                continue;
            }
            let several = people(&side, &side_gap) > 1;
            side_gaps.push(SideGap { start: side_gap.start, samples: side_gap.end - side_gap.start, agent, several });
        }
        if let Some(samples) = open {
            side_gaps.push(SideGap { start: end, samples, agent, several: people(&side, &(end..end)) > 1 });
        }
    }
    side_gaps
}

/// How many people were present during a side gap.
fn people(side: &[&OnSide<'_>], side_gap: &Range<i64>) -> usize {
    let there = side.iter().filter(|stream| {
        let (Some(first), Some(last)) = (stream.runs.first(), stream.runs.last()) else { return false };
        first.start < side_gap.end + AROUND && last.end > side_gap.start - AROUND
    });
    there.map(|stream| stream.identity).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::*;

    const S: i64 = 48_000;

    fn stream(agent: bool, identity: &str, runs: &[Range<i64>]) -> OnSide<'static> {
        let runs: Vec<Range<i64>> = runs.iter().map(|run| run.start * S..run.end * S).collect();
        let losses = runs.windows(2).map(|pair| pair[0].end..pair[1].start).collect();
        OnSide { agent, identity: Box::leak(identity.to_owned().into_boxed_str()), runs, losses }
    }

    fn gap(start: i64, end: i64, reason: &str) -> Gap {
        Gap { start: start * S, samples: (end - start) * S, reason: reason.to_owned() }
    }

    fn summary(side_gaps: &[SideGap]) -> Vec<(i64, i64, bool, bool)> {
        side_gaps
            .iter()
            .map(|side_gap| {
                (side_gap.start / S, (side_gap.start + side_gap.samples) / S, side_gap.agent, side_gap.several)
            })
            .collect()
    }

    #[test]
    fn a_side_is_missing_when_nobody_of_it_came() {
        let streams = [
            stream(true, "helper", &[0..10, 13..60]),
            stream(false, "bob", &[0..60]),
            stream(false, "carol", &[0..30, 40..60]),
        ];
        // Bob was heard while Carol's packets were lost: what a session has of the users' side may be his.
        assert_eq!(summary(&of(&streams, &[], 60 * S, None)), [(10, 13, true, false)]);
    }

    #[test]
    fn who_was_away_missed_both_sides_and_a_pause_is_nobodys_to_fill() {
        let streams = [
            stream(true, "helper", &[0..20, 30..60]),
            stream(false, "bob", &[0..20, 30..60]),
            stream(false, "carol", &[28..60]),
        ];
        let away = [gap(20, 30, "connection_lost"), gap(22, 25, "paused")];
        let side_gaps = of(&streams, &away, 60 * S, None);
        let edges = [(20 * S, 22 * S - PAUSE_MARGIN), (25 * S + PAUSE_MARGIN, 30 * S)];
        let agent: Vec<_> = side_gaps
            .iter()
            .filter(|side_gap| side_gap.agent)
            .map(|side_gap| (side_gap.start, side_gap.start + side_gap.samples))
            .collect();
        assert_eq!(agent, edges);
        let others: Vec<_> = side_gaps
            .iter()
            .filter(|side_gap| !side_gap.agent)
            .map(|side_gap| side_gap.start + side_gap.samples)
            .collect();
        assert_eq!(others, [edges[0].1, 28 * S], "Carol came back to us first");
        assert!(side_gaps.iter().all(|side_gap| side_gap.several != side_gap.agent));
    }

    #[test]
    fn after_a_sound_that_was_cut_there_is_a_hole_without_a_known_end() {
        let streams =
            [stream(true, "helper", &[0..10]), stream(false, "bob", &[0..8]), stream(false, "carol", &[0..9])];
        let side_gaps = of(&streams, &[], 10 * S, Some(100 * S));
        assert_eq!(summary(&side_gaps), [(10, 110, true, false), (10, 110, false, true)]);
    }
}
