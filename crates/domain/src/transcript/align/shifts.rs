//! Counts how much speech of one recording coincides with speech of another, for each shift of the one.

use std::ops::Range;

use super::MS;
use super::speech::Span;
use crate::time::WallTime;

/// Shifts are counted in steps of this.
pub(super) const STEP: i64 = 10 * MS;
/// The most shifts that are examined more closely.
const PEAKS: usize = 12;
/// What is no further from a peak than this belongs to it.
const ELSEWHERE: i64 = 800 * MS;

/// One side of both recordings: the spans in which a role speaks in a session, and those in its room.
pub(super) type Side = (Vec<Span>, Vec<Span>);

/// A shift of the session's sound, and how much of its speech then coincides with the room's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    /// Nanoseconds that are added to the session's times.
    pub nanos: i64,
    /// Speech that coincides with speech, in nanoseconds.
    pub common: i64,
}

impl Shift {
    /// Whether another shift is nearly the same.
    pub fn is_near(&self, nanos: i64) -> bool {
        (self.nanos - nanos).abs() <= ELSEWHERE
    }
}

/// The speech that coincides at each shift.
pub(super) struct Shifts {
    /// The first shift, in steps.
    lowest: i64,
    /// What coincides at each, in steps.
    common: Vec<i64>,
}

impl Shifts {
    /// All shifts at which a session overlaps its room; `session` and `room` are from their first speech to their last.
    pub fn of(sides: &[&Side], session: &Range<WallTime>, room: &Range<WallTime>) -> Self {
        // Edges are rounded before they are compared, so that the four changes of two spans cancel each other; else what is left of
        // each would add up.
        let step = |time: WallTime| time.since(room.start).div_euclid(STEP);
        let lowest = -step(session.end);
        let mut slopes = vec![0_i32; (step(room.end) - step(session.start) - lowest) as usize + 2];
        let place = |theirs: WallTime, mine: WallTime| (step(theirs) - step(mine) - lowest) as usize;
        // What coincides is a piecewise linear function of the shift, given by where its slope changes.
        for (session, room) in sides {
            for mine in session {
                for theirs in room {
                    slopes[place(theirs.start, mine.end)] += 1;
                    slopes[place(theirs.start, mine.start)] -= 1;
                    slopes[place(theirs.end, mine.end)] -= 1;
                    slopes[place(theirs.end, mine.start)] += 1;
                }
            }
        }
        let (mut slope, mut common) = (0_i64, 0_i64);
        let sum = |change: &i32| {
            common += slope;
            slope += i64::from(*change);
            common
        };
        Self { lowest, common: slopes.iter().map(sum).collect() }
    }

    fn at(&self, step: usize) -> Shift {
        Shift { nanos: (self.lowest + step as i64) * STEP, common: self.common[step] * STEP }
    }

    /// The best of those that are nearly zero.
    pub fn around_none(&self) -> Option<Shift> {
        let place =
            |shift: i64| usize::try_from(shift.div_euclid(STEP) - self.lowest).unwrap_or(0).min(self.common.len());
        let near = (place(-ELSEWHERE)..place(ELSEWHERE)).map(|step| self.at(step));
        near.max_by_key(|shift| (shift.common, std::cmp::Reverse(shift.nanos.abs())))
    }

    /// Those at which most coincides, each further than [`ELSEWHERE`] from those before it.
    pub fn peaks(&self) -> Vec<Shift> {
        // The best of each block is enough to find them.
        let block = ((ELSEWHERE / STEP) as usize).div_ceil(2);
        let blocks = (0..self.common.len()).step_by(block);
        let best = blocks.filter_map(|from| {
            let steps = from..(from + block).min(self.common.len());
            steps.max_by_key(|step| self.common[*step]).map(|step| self.at(step))
        });
        let mut best: Vec<Shift> = best.collect();
        best.sort_by_key(|shift| (std::cmp::Reverse(shift.common), shift.nanos));
        let mut peaks: Vec<Shift> = Vec::new();
        for shift in best {
            if peaks.iter().all(|other| !other.is_near(shift.nanos)) {
                peaks.push(shift);
            }
            if peaks.len() == PEAKS {
                break;
            }
        }
        peaks
    }
}

/// How much of a stretch is speech, in nanoseconds.
pub(super) fn covered(stretch: &Span, spans: &[Span]) -> i64 {
    let first = spans.partition_point(|span| span.end <= stretch.start);
    let inside = spans[first..].iter().take_while(|span| span.start < stretch.end);
    inside.map(|span| span.end.min(stretch.end).since(span.start.max(stretch.start))).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::spans;
    use super::*;

    fn list() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((121_i64..9_000, 1_i64..5_000), 1..20).prop_map(|parts| {
            let mut at = 0;
            let edges = parts.iter().map(|(pause, length)| {
                let from = at + pause;
                at = from + length;
                (from, at)
            });
            spans(&edges.collect::<Vec<_>>())
        })
    }

    proptest! {
        #[test]
        fn is_what_falls_on_speech(session in list(), room in list()) {
            let whole = |spans: &[Span]| spans[0].start..spans[spans.len() - 1].end;
            let side = (session.clone(), room.clone());
            let shifts = Shifts::of(&[&side], &whole(&session), &whole(&room));
            for step in (0..shifts.common.len()).step_by(37).chain([shifts.common.len() - 1]) {
                let shift = shifts.at(step);
                let truth: i64 = session.iter().map(|span| covered(&span.shifted(shift.nanos), &room)).sum();
                // Each edge is at most a step off.
                let off = 4 * STEP * session.len().max(room.len()) as i64;
                prop_assert!((shift.common - truth).abs() <= off, "{shift:?} {truth}");
            }
            prop_assert_eq!(shifts.common.last(), Some(&0));
        }
    }
}
