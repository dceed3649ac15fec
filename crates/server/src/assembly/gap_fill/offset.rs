//! Finds where a session's sound has the samples of a room's side gap: by the clocks first, then by comparing both around the gap.

use std::ops::Range;

use echosphere_media::offset::{self, Features, Fit, Pair};
use echosphere_recorder::sound::SideGap;

use crate::rendering::{CaptureRenderer, Error, Rendering};

/// Samples of one millisecond.
const MS: i64 = 48;
/// How far the clocks of two machines may be apart, in samples (3 s).
pub(super) const WIDEST: i64 = 144_000;
/// How much is compared before and after a side gap, in samples (20 s).
const AROUND: i64 = 960_000;
/// A shift that was found this near to a side gap holds for it too (60 s): clocks drift slowly.
const NEAR: i64 = 2_880_000;

/// What is known of the offset between a room's sound and a session's.
pub(super) struct Offset<'a> {
    room: &'a CaptureRenderer,
    is_mixed: bool,
    session: &'a CaptureRenderer,
    /// How much later the room's sound began, by the clocks: the session's sample number is the room's plus this.
    lag: i64,
    /// What was found last, for the agent's side and for the others'.
    found: [Option<Found>; 2],
}

#[derive(Clone, Copy)]
struct Found {
    /// Where in the room, in samples.
    at: i64,
    /// What is added to `lag`; `None` when the two are not the same sound.
    shift: Option<i64>,
}

impl<'a> Offset<'a> {
    pub(super) fn new(room: &'a CaptureRenderer, is_mixed: bool, session: &'a CaptureRenderer, lag: i64) -> Self {
        Self { room, is_mixed, session, lag, found: [None, None] }
    }

    /// What is added to the samples of a side gap to get the session's. `None` when the session has another sound around it.
    pub(super) async fn near(&mut self, rendering: &Rendering, side_gap: &SideGap) -> Result<Option<i64>, Error> {
        let side = usize::from(!side_gap.agent);
        let is_near = |found: &Found| (found.at - side_gap.start).abs() < NEAR;
        if self.found[side].is_none_or(|found| !is_near(&found)) {
            match self.listen(rendering, side_gap).await {
                // Where one of the two is lost there is nothing to compare; all else goes on.
                Err(Error::MasterLost(key)) => {
                    tracing::error!(%key, "a side gap cannot be filled: what is around it is gone");
                    self.found[side] = Some(Found { at: side_gap.start, shift: None });
                }
                heard => heard?,
            }
        }
        // The two sides took different paths to the agent, so each has a shift of its own; that of the other is better than none.
        let other = self.found[1 - side].filter(is_near).and_then(|found| found.shift);
        let shift = self.found[side].and_then(|found| found.shift).or(other);
        Ok(shift.map(|shift| self.lag + shift))
    }

    /// Compares both sides around a side gap.
    async fn listen(&mut self, rendering: &Rendering, side_gap: &SideGap) -> Result<(), Error> {
        let end = side_gap.range().end;
        let length = i64::try_from(self.room.audio().samples).unwrap_or(i64::MAX);
        let before = whole((side_gap.start - AROUND).max(0)..side_gap.start);
        let after = whole(end..(end + AROUND).min(length).max(end));
        let (mut agent, mut others) = (Vec::new(), Vec::new());
        for range in [before, after].into_iter().filter(|range| !range.is_empty()) {
            let theirs = range.start + self.lag - WIDEST..range.end + self.lag + WIDEST;
            let first = self.room.listen(rendering, range).await?;
            let second = self.session.listen(rendering, theirs).await?;
            let pair = |channel| Pair { first: Features::of(&first, channel), second: Features::of(&second, channel) };
            if self.is_mixed {
                let mix = Pair { first: Features::of(&first, 0), second: Features::of(&mixed(&second), 0) };
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
                // Nobody is heard: the other side's shift, or what was found further away, or the clocks.
                Fit::Silent => any.or(self.found[side].and_then(|found| found.shift)).or(Some(0)),
                Fit::Unlike => any,
            };
            self.found[side] = Some(Found { at: side_gap.start, shift });
        }
        tracing::debug!(side_gap = side_gap.start, agent = ?fits[0], others = ?fits[1], "a session was laid beside a room");
        Ok(())
    }
}

/// Cut to whole steps of 10 ms, in which both sounds are compared.
fn whole(range: Range<i64>) -> Range<i64> {
    range.start..range.start + (range.end - range.start) / (10 * MS) * (10 * MS)
}

/// Interleaved stereo with the mix of both sides in each channel.
fn mixed(stereo: &[i16]) -> Vec<i16> {
    let pairs = stereo.as_chunks::<2>().0.iter();
    pairs.flat_map(|pair| [pair[0].saturating_add(pair[1]); 2]).collect()
}
