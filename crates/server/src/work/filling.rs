//! Holes in what the recorder heard are filled with what a session of the same room has.
//!
//! A session has the agent and one user, each on a side of its own. So each side of a hole is filled by itself, and only where
//! nobody of that side was heard: whoever else was on it is then still missing, which the gaps go on saying. Where the sound lies in
//! the session is found by ear ([`alignment`]); its clock is another machine's. Nothing moves: the timeline and its length stay.

mod alignment;

use std::ops::Range;

use echosphere_domain::id::CaptureId;
use echosphere_domain::ranges::{common, joined, without};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Fill, Gap, Source as CaptureSource};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Role;
use echosphere_domain::transcript::align::lay;
use echosphere_media::tracks::CONCEALED;
use echosphere_recorder::sound::{Hole, Index};

use self::alignment::Alignment;
use super::Error;
use super::align::{levels, of_levels};
use super::compose::Piece;
use super::redaction::Withheld;
use crate::app::App;
use crate::render::Source;

/// What is shorter is not worth a seam: a decoder conceals that much.
const SHORTEST: i64 = CONCEALED;
/// What a session has behind the end of ours is put there from this length on (1 s): a session ends a little later than its room.
const SHORTEST_END: i64 = 48_000;

/// A session that may have what is missing.
struct Session {
    capture: CaptureId,
    started_at: WallTime,
    source: Source,
    /// What it has itself, in its own samples: neither lost nor withheld.
    has: Vec<Range<i64>>,
}

impl Session {
    fn of(piece: &Piece, withheld: &Withheld) -> Option<Self> {
        let capture = &piece.capture;
        let is_kept = matches!(capture.status, CaptureStatus::Complete | CaptureStatus::Partial);
        let source = piece.source.clone().filter(|_| is_kept && capture.source == CaptureSource::Upload)?;
        let started_at = capture.started_at?;
        let sound = 0..i64::try_from(source.audio().samples).unwrap_or(i64::MAX);
        let lost = piece.gaps.iter().map(|gap| {
            let start = gap.start.as_samples_48k();
            start..start.saturating_add(gap.duration.as_samples_48k())
        });
        let missing = joined(lost.chain(withheld.of_sound(started_at)));
        let has = without(&[sound], &missing);
        Some(Self { capture: capture.id, started_at, source, has })
    }
}

/// Fills the holes of the recorder's captures among these from the sessions among them: each piece tells what is left to be missing,
/// and what has to be rendered again. Returns the captures whose sound is another one than before.
pub(super) async fn fill(
    app: &App,
    pieces: &mut [Piece],
    withheld: &Withheld,
) -> Result<Vec<(CaptureId, Audio)>, Error> {
    let sessions: Vec<Session> = pieces.iter().filter_map(|piece| Session::of(piece, withheld)).collect();
    let mut changed = Vec::new();
    for piece in pieces.iter_mut().filter(|piece| has_log(&piece.capture)) {
        let (Some(source), Some(started_at)) = (piece.source.clone(), piece.capture.started_at) else { continue };
        let (Some(index), Some(audio)) = (source.log_index(), piece.capture.audio.as_mut()) else { continue };
        let fills = fills(app, &source, index, started_at, &sessions).await?;
        let differ = audio.fills.iter().filter(|fill| !fills.contains(fill));
        let differ = differ.chain(fills.iter().filter(|fill| !audio.fills.contains(fill)));
        let differ: Vec<Range<MediaTime>> = differ.map(|fill| media(&fill.range())).collect();
        if differ.is_empty() {
            continue;
        }
        piece.improved.extend(differ);
        piece.gaps = unfilled(index, &fills);
        piece.is_end_filled = is_end_filled(index, &fills);
        let end = fills.iter().map(|fill| fill.range().end).max().unwrap_or(0);
        audio.samples = index.samples.max(u64::try_from(end).unwrap_or(0));
        audio.fills = fills;
        changed.push((piece.capture.id, audio.clone()));
    }
    Ok(changed)
}

/// Whether a capture is one of the recorder's, and its log is still there.
fn has_log(capture: &Capture) -> bool {
    capture.source == CaptureSource::Recorder && capture.audio.as_ref().is_some_and(|audio| !audio.is_gone)
}

async fn fills(
    app: &App,
    room: &Source,
    index: &Index,
    started_at: WallTime,
    sessions: &[Session],
) -> Result<Vec<Fill>, Error> {
    let mut fills: Vec<Fill> = Vec::new();
    for session in sessions {
        // Where the session has what lies at our first sample, as far as clocks can be believed.
        let behind = MediaTime::from_nanos(started_at.since(session.started_at)).as_samples_48k();
        let by_clock = fill_from(app, room, index, session, behind, &mut fills).await?;
        if !by_clock && let Some(off) = clock_offset(app, room, started_at, session).await? {
            fill_from(app, room, index, session, behind - off, &mut fills).await?;
        }
    }
    fills.sort_by_key(|fill| (fill.start, fill.agent));
    Ok(fills)
}

/// By how much a session's clock is off the room's, in samples: found in the whole of both sounds, however much it is.
async fn clock_offset(app: &App, room: &Source, started_at: WallTime, session: &Session) -> Result<Option<i64>, Error> {
    let ours = of_levels(started_at, &levels(app, room).await?);
    let theirs = of_levels(session.started_at, &levels(app, &session.source).await?);
    let laid = lay(&theirs, &ours);
    tracing::debug!(session = %session.capture, ?laid, "a session was looked for in the whole of its room");
    Ok(laid.map(|laid| MediaTime::from_nanos(laid.offset(Role::Agent, session.started_at).0).as_samples_48k()))
}

/// Fills what this session has, if it lies there. False when there is something to be filled and the session has another sound there.
async fn fill_from(
    app: &App,
    room: &Source,
    index: &Index,
    session: &Session,
    behind: i64,
    fills: &mut Vec<Fill>,
) -> Result<bool, Error> {
    let mut alignment = Alignment::new(room, index.is_mixed, &session.source, behind);
    let (mut is_wanted, mut is_found) = (false, false);
    for hole in &index.holes {
        let filled = fills.iter().filter(|fill| fill.agent == hole.agent).map(Fill::range);
        let left = without(&[hole.range()], &joined(filled));
        is_wanted |= !left.is_empty();
        if left.is_empty() || !session.may_have(hole, behind) {
            continue;
        }
        let Some(shift) = alignment.near(app, hole).await? else { continue };
        is_found = true;
        let has = session.has.iter().map(|has| has.start.saturating_sub(shift)..has.end.saturating_sub(shift));
        let has: Vec<Range<i64>> = has.collect();
        let parts = common(&left, &has);
        let shortest = if is_behind(index, hole) { SHORTEST_END } else { SHORTEST };
        for part in parts.into_iter().filter(|part| part.end - part.start >= shortest) {
            let (start, samples) = (part.start, part.end - part.start);
            fills.push(Fill { start, samples, agent: hole.agent, from: session.capture, at: start + shift });
        }
    }
    Ok(is_found || !is_wanted)
}

impl Session {
    /// Whether it was going on about then.
    fn may_have(&self, hole: &Hole, behind: i64) -> bool {
        let from = hole.start + behind - alignment::WIDEST;
        let to = hole.range().end + behind + alignment::WIDEST;
        self.has.iter().any(|has| has.start < to && has.end > from)
    }
}

/// Whether a hole lies behind the end of what we heard.
fn is_behind(index: &Index, hole: &Hole) -> bool {
    u64::try_from(hole.start).is_ok_and(|start| start >= index.samples)
}

/// Whether what we did not hear of the end was filled, both sides of it, up to the same place.
pub(super) fn is_end_filled(index: &Index, fills: &[Fill]) -> bool {
    let behind: Vec<&Hole> = index.holes.iter().filter(|hole| is_behind(index, hole)).collect();
    let end =
        |agent: bool| fills.iter().filter(|fill| fill.agent == agent).map(|fill| fill.range().end).max().unwrap_or(0);
    // Each side is on its own way to the session.
    let end_together = (end(true) - end(false)).abs() < SHORTEST_END;
    let is_filled =
        |hole: &&Hole| !hole.several && fills.iter().any(|fill| fill.agent == hole.agent && fill.start == hole.start);
    !behind.is_empty() && behind.iter().all(is_filled) && end_together
}

fn media(samples: &Range<i64>) -> Range<MediaTime> {
    MediaTime::from_samples_48k(samples.start)..MediaTime::from_samples_48k(samples.end)
}

/// What is missing of a capture log after its holes were filled.
pub(super) fn unfilled(index: &Index, fills: &[Fill]) -> Vec<Gap> {
    let of_side = |agent: bool| {
        let holes = index.holes.iter().filter(|hole| hole.agent == agent);
        let (several, alone): (Vec<&Hole>, Vec<&Hole>) = holes.partition(|hole| hole.several);
        let filled = joined(fills.iter().filter(|fill| fill.agent == agent).map(Fill::range));
        let mut left = without(&joined(alone.into_iter().map(Hole::range)), &filled);
        left.extend(several.into_iter().map(Hole::range));
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
    use echosphere_recorder::sound;

    const S: i64 = 48_000;

    fn gap(start: i64, samples: i64, reason: &str) -> sound::Gap {
        sound::Gap { start, samples, reason: reason.to_owned() }
    }

    fn hole(start: i64, samples: i64, agent: bool, several: bool) -> Hole {
        Hole { start, samples, agent, several }
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
            holes: vec![
                hole(10 * S, 5 * S, true, false),
                hole(10 * S, 5 * S, false, false),
                hole(40 * S, S, false, false),
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
        // The session ended in the middle of the hole.
        let half = [agent, fill(10 * S, 2 * S, false)];
        assert_eq!(told(&unfilled(&index, &half)), [("connection_lost", 12_000, 3_000), pause, lost]);
    }

    #[test]
    fn an_end_that_was_cut_is_filled_on_both_sides_or_is_not() {
        let open = |agent, several| hole(20 * S, 1_000 * S, agent, several);
        let index =
            Index { samples: 20 * 48_000, holes: vec![open(true, false), open(false, false)], ..Index::default() };
        let both = [fill(20 * S, 9 * S, true), fill(20 * S, 9 * S - 2_400, false)];
        assert!(is_end_filled(&index, &both) && !is_end_filled(&index, &both[..1]) && !is_end_filled(&index, &[]));
        let others = Index { holes: vec![open(true, false), open(false, true)], ..index.clone() };
        assert!(!is_end_filled(&others, &both));
        let ended = Index { holes: Vec::new(), ..index };
        assert!(!is_end_filled(&ended, &[]), "nothing is missing");
    }

    #[test]
    fn who_else_was_there_is_still_missing() {
        let index = Index {
            gaps: vec![gap(10 * S, 5 * S, "recorder_restarted")],
            holes: vec![hole(10 * S, 5 * S, true, false), hole(10 * S, 5 * S, false, true)],
            ..Index::default()
        };
        let both = [fill(10 * S, 5 * S, true), fill(10 * S, 5 * S, false)];
        assert_eq!(told(&unfilled(&index, &both)), [("recorder_restarted", 10_000, 5_000)]);
    }
}
