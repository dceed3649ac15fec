//! Places the turns of transcripts on the media timeline, when they are read.

use super::{Alignment, Transcript, Turn};
use crate::time::{MediaTime, WallTime};
use crate::timeline::Timeline;

/// A turn with its place on the timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// The turn.
    pub turn: Turn,
    /// When it began, by the wall clock.
    pub started_at: Option<WallTime>,
    /// When it ended, by the wall clock.
    pub ended_at: Option<WallTime>,
    /// Where it begins in the media; `None` without media or time.
    pub start: Option<MediaTime>,
    /// Where it ends; never before `start`.
    pub end: Option<MediaTime>,
    /// Whether the times are a guess.
    pub approximate: bool,
}

/// Places the turns of all captures on one timeline, in the order in which they began. Turns without any time keep their place
/// after the turn that they followed.
pub fn place<'a>(transcripts: impl IntoIterator<Item = &'a Transcript>, timeline: &Timeline) -> Vec<Placed> {
    let mut placed: Vec<(WallTime, Placed)> = Vec::new();
    for transcript in transcripts {
        let mut last = WallTime::from_nanos(i64::MIN);
        for turn in &transcript.turns {
            let one = place_turn(turn, &transcript.alignment, timeline);
            last = one.started_at.unwrap_or(last);
            placed.push((last, one));
        }
    }
    placed.sort_by_key(|(order, _)| *order);
    placed.into_iter().map(|(_, one)| one).collect()
}

fn place_turn(turn: &Turn, alignment: &Alignment, timeline: &Timeline) -> Placed {
    if turn.earlier {
        let made = turn.reported.created;
        return Placed {
            turn: turn.clone(),
            started_at: made,
            ended_at: made,
            start: None,
            end: None,
            approximate: false,
        };
    }
    let time = |time: Option<WallTime>| time.map(|time| alignment.time(time));
    let times = turn.reported;
    let spoken = turn.is_spoken();
    let (start, end, mut approximate) = match (turn.refined, time(times.start), time(times.created)) {
        (Some(refined), _, _) => (Some(refined.start), Some(refined.end), refined.approximate),
        // Where there is sound and the line was not found in it (yet), reported times alone are not enough.
        (None, Some(start), _) => {
            let is_reported = times.end.is_some() && timeline.spans().is_empty();
            (Some(start), Some(time(times.end).unwrap_or(start).max(start)), !is_reported)
        }
        (None, None, created) => (created, created, spoken),
    };
    let at = |time: Option<WallTime>| time.and_then(|time| timeline.locate(time));
    let (first, last) = (at(start), at(end));
    // A line that was spoken outside of what was kept is shown at its edge.
    approximate |= spoken && first.is_some_and(|position| !position.exact);
    let (start_media, end_media) = (first.map(|position| position.media), last.map(|position| position.media));
    Placed {
        turn: turn.clone(),
        started_at: start,
        ended_at: end,
        start: start_media,
        end: end_media.max(start_media),
        approximate,
    }
}
