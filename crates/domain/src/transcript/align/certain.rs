//! Whether a line is certainly where it was found.

use super::assign::{Claim, Sound};
use super::evidence::Evidence;
use super::{MS, SECOND};
use crate::time::WallTime;

/// A told beginning within this much of the sound's confirms it, and a told end.
const CONFIRMED_START: i64 = 350 * MS;
const CONFIRMED_END: i64 = 500 * MS;
/// Where much is heard that nobody says, within this much.
const CONFIRMED_IN_NOISE: i64 = 200 * MS;
/// So much sound that nobody says, within so much time around a line, may be taken for a part of it (or hide it).
const UNSAID: i64 = 2_500 * MS;
const NEARBY: i64 = 5 * SECOND;
/// Lines that are told within this of a stretch may be of it.
const TOGETHER: i64 = 1_500 * MS;
/// How much more the next best place of a line has to cost, for this one to be sure.
const SURE: f64 = 2.0;
/// How far the length of the sound may be from what the text takes, where nothing else tells the end: the logarithm of their ratio.
const FITTING: f64 = 0.3;

/// What voices speak in a second on the average, and by how much faster one may be for a line.
pub(super) const USUAL_RATE: f64 = 14.0;
const FASTER: f64 = 1.15;
/// So much less of a line is another line.
const CUT: i64 = 400 * MS;

/// What was found of the lines of one voice.
pub(super) struct Found<'f> {
    pub lines: &'f [Evidence],
    pub claims: &'f [Option<Claim>],
    /// Which spans some line claims.
    pub claimed: Vec<bool>,
    pub sound: &'f Sound<'f>,
    /// Letters that the voice speaks in a second.
    pub rate: f64,
    /// Whether it speaks in noise.
    pub noisy: bool,
}

impl Found<'_> {
    /// Whether the line with this number certainly is its stretch, from its first sound to its last.
    pub fn is_certain(&self, number: usize) -> bool {
        let (line, Some(claim)) = (&self.lines[number], &self.claims[number]) else { return false };
        // A line next to it that is told of the same time, and of which nothing is heard, may be a part of it.
        let is_part = |other: &usize| {
            let near = |time: WallTime| {
                time >= claim.stretch.start.plus_nanos(-TOGETHER) && time <= claim.stretch.end.plus_nanos(TOGETHER)
            };
            self.claims.get(*other).is_some_and(Option::is_none)
                && self.lines[*other].unheard > 0.0
                && self.lines[*other].around().is_some_and(near)
        };
        if [number.checked_sub(1), Some(number + 1)].iter().flatten().any(is_part) {
            return false;
        }
        // The end of a line that was interrupted is told to within seconds; in noise it may go on unheard.
        if self.noisy && line.end.is_some_and(|(earliest, latest)| latest > earliest) {
            return false;
        }
        let is_noisy = self.sound.unclaimed_around(&self.claimed, claim, NEARBY) >= UNSAID;
        let near = |off: Option<i64>, most: i64| {
            off.is_some_and(|off| off <= if is_noisy { CONFIRMED_IN_NOISE } else { most })
        };
        let (start, end) = line.off(&claim.stretch);
        let (start, end) = (near(start, CONFIRMED_START), near(end, CONFIRMED_END));
        let is_sure = claim.margin >= SURE && !is_noisy;
        // What follows a line closely may be a laugh: then less is enough for the text, at a usual speed.
        let enough = line.letters / (FASTER * self.rate.max(USUAL_RATE));
        let is_all_needed = (start || self.sound.speech_without(claim, false, CUT) < enough)
            && (end || self.sound.speech_without(claim, true, CUT) < enough);
        let fits = line.misfit(claim.stretch.speech, self.rate) <= FITTING && is_all_needed;
        match (start, end) {
            (true, true) => true,
            (true, false) | (false, true) => is_sure && fits,
            (false, false) => is_sure && fits && !line.is_timed(),
        }
    }
}
