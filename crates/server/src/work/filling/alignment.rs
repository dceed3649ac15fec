//! Where a session has what we have: its clock first, then both sounds around the hole, laid side by side.

use std::ops::Range;

use echosphere_media::offset::{self, Fit, Pair, Sound};
use echosphere_recorder::sound::Hole;

use crate::app::App;
use crate::render::Source;
use crate::work::Error;

/// Samples of one millisecond.
const MS: i64 = 48;
/// How far the clocks of two machines may be apart, in samples (3 s).
pub(super) const WIDEST: i64 = 144_000;
/// How much is compared before and behind a hole, in samples (20 s).
const AROUND: i64 = 960_000;
/// A shift that was found this near to a hole holds for it too (60 s): clocks drift slowly.
const NEAR: i64 = 2_880_000;

/// What is known of how a session lies beside a room.
pub(super) struct Alignment<'a> {
    room: &'a Source,
    is_mixed: bool,
    session: &'a Source,
    /// What the clocks say: the session's sample is ours and this.
    behind: i64,
    /// What was found last, for the agent's side and for the others'.
    found: [Option<Found>; 2],
}

#[derive(Clone, Copy)]
struct Found {
    /// Where.
    at: i64,
    /// What, beside `behind`; `None` when the two are not the same sound.
    shift: Option<i64>,
}

impl<'a> Alignment<'a> {
    pub(super) fn new(room: &'a Source, is_mixed: bool, session: &'a Source, behind: i64) -> Self {
        Self { room, is_mixed, session, behind, found: [None, None] }
    }

    /// Where the session has a hole's samples: ours and this. `None` when it has another sound around it.
    pub(super) async fn near(&mut self, app: &App, hole: &Hole) -> Result<Option<i64>, Error> {
        let side = usize::from(!hole.agent);
        let is_near = |found: &Found| (found.at - hole.start).abs() < NEAR;
        if self.found[side].is_none_or(|found| !is_near(&found)) {
            self.listen(app, hole).await?;
        }
        // The two sides went different ways to the agent, so that each has a shift of its own; that of the other is better than none.
        let other = self.found[1 - side].filter(is_near).and_then(|found| found.shift);
        let shift = self.found[side].and_then(|found| found.shift).or(other);
        Ok(shift.map(|shift| self.behind + shift))
    }

    /// Compares both sides around a hole.
    async fn listen(&mut self, app: &App, hole: &Hole) -> Result<(), Error> {
        let end = hole.range().end;
        let length = i64::try_from(self.room.audio().samples).unwrap_or(i64::MAX);
        let before = whole((hole.start - AROUND).max(0)..hole.start);
        let after = whole(end..(end + AROUND).min(length).max(end));
        let (mut agent, mut others) = (Vec::new(), Vec::new());
        for range in [before, after].into_iter().filter(|range| !range.is_empty()) {
            let theirs = range.start + self.behind - WIDEST..range.end + self.behind + WIDEST;
            let objects = app.objects.as_ref();
            let first = self.room.listen(objects, &app.renderers, range).await?;
            let second = self.session.listen(objects, &app.renderers, theirs).await?;
            let pair = |channel| Pair { first: Sound::of(&first, channel), second: Sound::of(&second, channel) };
            if self.is_mixed {
                let mix = Pair { first: Sound::of(&first, 0), second: Sound::of(&mixed(&second), 0) };
                agent.push(mix.clone());
                others.push(mix);
            } else {
                agent.push(pair(0));
                others.push(pair(1));
            }
        }
        let widest = (WIDEST / MS) as usize;
        let fits = [offset::find(&agent, widest), offset::find(&others, widest)];
        let heard = |fit: Fit| if let Fit::Shift(ms) = fit { Some(ms * MS) } else { None };
        let any = fits.into_iter().find_map(heard);
        for (side, fit) in fits.into_iter().enumerate() {
            let shift = match fit {
                Fit::Shift(_) => heard(fit),
                // Nobody is heard: what was found further away, or the clocks.
                Fit::Silent => any.or(self.found[side].and_then(|found| found.shift)).or(Some(0)),
                Fit::Unlike => any,
            };
            self.found[side] = Some(Found { at: hole.start, shift });
        }
        tracing::debug!(hole = hole.start, agent = ?fits[0], others = ?fits[1], "a session was laid beside a room");
        Ok(())
    }
}

/// Without what is less than 10 ms at the end: both sounds are compared in such steps.
fn whole(range: Range<i64>) -> Range<i64> {
    range.start..range.start + (range.end - range.start) / (10 * MS) * (10 * MS)
}

/// Both sides of interleaved stereo in each of them.
fn mixed(stereo: &[i16]) -> Vec<i16> {
    let pairs = stereo.as_chunks::<2>().0.iter();
    pairs.flat_map(|pair| [pair[0].saturating_add(pair[1]); 2]).collect()
}
