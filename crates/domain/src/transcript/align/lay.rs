//! Aligns two recordings of one conversation by when their voices speak: however far apart their clocks are, and also where one of
//! them leaves something out.
//!
//! For every shift it counts, voice by voice, how much speech of the one coincides with speech of the other. The best shift is
//! believed when it explains most of what the session has, clearly more than any other does. What it does not explain is aligned by
//! itself.

use std::ops::Range;

use super::super::Role;
use super::shifts::{Shift, Shifts, Side, covered};
use super::speech::{Span, SpeechSpans, joined};
use super::{MS, SECOND};
use crate::time::WallTime;

/// The most spans of one role; an hour of continuous speech has fewer.
const MOST_SPANS: usize = 6_000;
/// Recordings that are together longer than this (48 h) are not aligned.
const LONGEST: i64 = 48 * 3600 * SECOND;
/// The share of a session's speech, beyond what chance explains, that has to coincide with the room's.
const BELIEVED: f64 = 0.6;
/// By how much that share has to exceed the one at any shift that is not nearly the same.
const BETTER: f64 = 0.12;
/// At least this many spans with the same edges, to within [`EDGE`], are no coincidence; a fifth of all at least.
const SAME: usize = 4;
const SAME_SHARE: usize = 5;
const EDGE: i64 = 60 * MS;
/// Less speech than this says nothing.
const LEAST: i64 = 1_500 * MS;
/// The share of a span that has to coincide with speech for the span to be explained.
const EXPLAINED: f64 = 0.6;
/// Edges no further apart than this are the same.
const SAME_EDGE: i64 = 250 * MS;
/// The most pieces.
const PIECES: usize = 8;

/// The alignment of a session's sound with a room's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// In the order of the session's time.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    start: WallTime,
    end: WallTime,
    /// What is added to the session's times, for the agent's voice and for the user's.
    agent: i64,
    user: i64,
}

impl Laid {
    /// What is added to a time of the session's sound to get the room's; and whether that was found at this time rather than
    /// nearby.
    pub fn offset(&self, role: Role, time: WallTime) -> (i64, bool) {
        let far = |piece: &Piece| piece.start.since(time).max(time.since(piece.end)).max(0);
        let Some(piece) = self.pieces.iter().min_by_key(|piece| far(piece)) else { return (0, false) };
        let is_there = far(piece) <= SECOND || self.pieces.len() == 1;
        (if role == Role::User { piece.user } else { piece.agent }, is_there)
    }

    /// Where each piece begins, in the session's time, and its offset.
    pub(super) fn steps(&self) -> impl Iterator<Item = (WallTime, i64)> + '_ {
        self.pieces.iter().map(|piece| (piece.start, piece.agent))
    }
}

/// Aligns a session with a room; `None` when they do not have the same sound, or too little of it to decide.
pub fn lay(session: &SpeechSpans, room: &SpeechSpans) -> Option<Laid> {
    let mut sides = [Role::Agent, Role::User].map(|role| (of_role(session, role), of_role(room, role)));
    let mut pieces = Vec::new();
    while pieces.len() < PIECES {
        let Some(offset) = best(&sides) else { break };
        let [agent, user] = [0, 1].map(|side| fine(&sides[side], offset));
        let either = agent.or(user).unwrap_or(offset);
        let (agent, user) = (agent.unwrap_or(either), user.unwrap_or(either));
        let (mut explained, mut same): (Vec<Span>, Vec<Span>) = Default::default();
        for (side, offset) in sides.iter_mut().zip([agent, user]) {
            same.extend(side.0.iter().filter(|span| is_same(&span.shifted(offset), &side.1)));
            let is_explained =
                |span: &&Span| covered(&span.shifted(offset), &side.1) as f64 >= EXPLAINED * span.length() as f64;
            let (found, left): (Vec<Span>, Vec<Span>) = side.0.iter().partition(is_explained);
            explained.extend(found);
            side.0 = left;
        }
        // Speech may coincide with other speech; where both begin and end together they are the same.
        let sure = if same.len() >= SAME { &same } else { &explained };
        let (Some(start), Some(end)) = (sure.iter().map(|s| s.start).min(), sure.iter().map(|s| s.end).max()) else {
            break;
        };
        pieces.push(Piece { start, end, agent, user });
    }
    pieces.sort_by_key(|piece| piece.start);
    (!pieces.is_empty()).then_some(Laid { pieces })
}

fn of_role(speech: &SpeechSpans, role: Role) -> Vec<Span> {
    let mut spans: Vec<Span> =
        speech.voices.iter().filter(|voice| voice.role == role).flat_map(|voice| voice.spans.clone()).collect();
    spans = joined(spans, 0);
    // In a very long call phrases are enough, not every breath.
    let mut bridged = 200 * MS;
    while spans.len() > MOST_SPANS {
        spans = joined(spans, bridged);
        bridged *= 2;
    }
    spans
}

/// The shift at which most speech coincides with speech.
fn best(sides: &[Side; 2]) -> Option<i64> {
    let sides: Vec<&Side> = sides.iter().filter(|(session, room)| !session.is_empty() && !room.is_empty()).collect();
    let session = extent(sides.iter().map(|side| &side.0))?;
    let room = extent(sides.iter().map(|side| &side.1))?;
    let speech: i64 = sides.iter().flat_map(|side| &side.0).map(Span::length).sum();
    if speech < LEAST || room.end.since(session.start).saturating_sub(room.start.since(session.end)) > LONGEST {
        return None;
    }
    let shifts = Shifts::of(&sides, &session, &room);
    let peaks = shifts.peaks();
    let most = *peaks.first()?;
    // The clocks are believed where they fit about as well as anything else: what sounds every second fits everywhere. What a
    // session has from before and after the room's sound says nothing about them.
    let in_room = |shift: Shift| {
        let [start, end] = [room.start, room.end].map(|time| time.plus_nanos(-shift.nanos));
        fit(&sides, shift, &(start..end), &room)
    };
    let here = shifts.around_none();
    if let Some(none) = here.filter(|none| 2 * none.common >= most.common)
        && let Some(clocks) = in_room(none).filter(|clocks| *clocks >= BELIEVED - BETTER)
        && in_room(most).is_none_or(|best| best - clocks < BETTER)
    {
        return Some(none.nanos);
    }
    let share = |shift: Shift| fit(&sides, shift, &session, &room).unwrap_or(0.0);
    let next = peaks.get(1).map_or(0.0, |next| share(*next));
    if share(most) >= BELIEVED && share(most) - next >= BETTER {
        return Some(most.nanos);
    }
    // When a session left something out, less of it coincides, but each span that does has the same beginning and the same end.
    let stretches: usize = sides.iter().map(|side| side.0.len()).sum();
    let tried = here.iter().chain(peaks.iter().filter(|peak| here.is_none_or(|here| !here.is_near(peak.nanos))));
    let mut found: Vec<(Vec<WallTime>, i64)> = tried.map(|shift| (same(&sides, shift.nanos), shift.nanos)).collect();
    found.sort_by_key(|(same, offset)| (std::cmp::Reverse(same.len()), offset.abs()));
    let (best, offset) = found.first().filter(|(same, _)| same.len() >= SAME.max(stretches / SAME_SHARE))?;
    // What fits equally well elsewhere may be anywhere.
    let lies_elsewhere =
        |(other, _): &(Vec<WallTime>, i64)| 2 * best.iter().filter(|start| other.contains(start)).count() >= best.len();
    (!found[1..].iter().any(lies_elsewhere)).then_some(*offset)
}

/// From the first of some spans to the last.
fn extent<'s>(sides: impl Iterator<Item = &'s Vec<Span>>) -> Option<Range<WallTime>> {
    let of_side = |spans: &Vec<Span>| Some(spans.first()?.start..spans.last()?.end);
    sides.filter_map(of_side).reduce(|one, other| one.start.min(other.start)..one.end.max(other.end))
}

/// The share of what a session says in `range`, beyond what chance explains, that coincides with the room's speech at a shift;
/// `None` where that is too little to decide.
fn fit(sides: &[&Side], shift: Shift, range: &Range<WallTime>, room: &Range<WallTime>) -> Option<f64> {
    let range = [Span { start: range.start, end: range.end }];
    let (mut speech, mut chance) = (0, 0.0);
    for (mine, theirs) in sides {
        let said: i64 = mine.iter().map(|span| covered(span, &range)).sum();
        speech += said;
        chance += theirs.iter().map(Span::length).sum::<i64>() as f64 / room.end.since(room.start) as f64 * said as f64;
    }
    (speech >= LEAST).then(|| (shift.common as f64 - chance) / (speech as f64 - chance).max(1.0))
}

/// Whether a span is one of these, from its beginning to its end.
fn is_same(stretch: &Span, spans: &[Span]) -> bool {
    let near = spans.partition_point(|other| other.start < stretch.start.plus_nanos(-EDGE));
    let is_near = |one: WallTime, other: WallTime| one.since(other).abs() <= EDGE;
    spans.get(near).is_some_and(|other| is_near(other.start, stretch.start) && is_near(other.end, stretch.end))
}

/// Where those spans of a session begin that have a counterpart with the same beginning and the same end.
fn same(sides: &[&Side], about: i64) -> Vec<WallTime> {
    let of_side = |side: &&Side| {
        let offset = fine(side, about);
        let found = side.0.iter().filter(|span| offset.is_some_and(|offset| is_same(&span.shifted(offset), &side.1)));
        found.map(|span| span.start).collect::<Vec<_>>()
    };
    sides.iter().flat_map(of_side).collect()
}

/// The shift of one side, to a few milliseconds: the median over its edges.
fn fine((session, room): &Side, about: i64) -> Option<i64> {
    let edges = |spans: &[Span]| -> Vec<WallTime> {
        let mut edges: Vec<WallTime> = spans.iter().flat_map(|span| [span.start, span.end]).collect();
        edges.sort_unstable();
        edges
    };
    let theirs = edges(room);
    let nearest = |edge: WallTime| {
        let after = theirs.partition_point(|other| *other < edge);
        let around = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|at| theirs.get(at));
        around.map(|other| other.since(edge)).min_by_key(|apart| apart.abs())
    };
    let mut apart: Vec<i64> = edges(session)
        .into_iter()
        .filter_map(|edge| nearest(edge.plus_nanos(about)))
        .filter(|apart| apart.abs() <= SAME_EDGE)
        .collect();
    apart.sort_unstable();
    apart.get(apart.len() / 2).map(|middle| about + middle)
}
