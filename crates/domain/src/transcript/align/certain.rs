//! Decides whether a line is certainly where it was found in the sound.

use super::assign::{Claim, VoiceSound};
use super::evidence::Evidence;
use super::{MS, SECOND};
use crate::time::WallTime;

/// A reported beginning within this of the sound's confirms it, and so does a reported end.
const CONFIRMED_START: i64 = 350 * MS;
const CONFIRMED_END: i64 = 500 * MS;
/// The same where there is much sound that belongs to no line.
const CONFIRMED_IN_NOISE: i64 = 200 * MS;
/// At least this much unclaimed sound, within this time around a line, may be mistaken for a part of it (or hide it).
const UNSAID: i64 = 2_500 * MS;
const NEARBY: i64 = 5 * SECOND;
/// A line reported within this of a stretch may be part of it.
const TOGETHER: i64 = 1_500 * MS;
/// How much more the next best place of a line has to cost, for this one to be certain.
const SURE: f64 = 2.0;
/// How far the length of the sound may be from what the text takes, where the reported times do not confirm both edges: the
/// logarithm of their ratio.
const FITTING: f64 = 0.3;

/// Letters per second that voices speak on average, and by how much faster one may be for a line.
pub(super) const USUAL_RATE: f64 = 14.0;
const FASTER: f64 = 1.15;
/// When more than this can be cut from an edge of a stretch and the text still fits, the edge may belong to something
/// else.
const CUT: i64 = 400 * MS;

/// What was found out about the lines of one voice.
pub(super) struct Found<'f> {
    pub lines: &'f [Evidence],
    pub claims: &'f [Option<Claim>],
    /// Which spans some line claims.
    pub claimed: Vec<bool>,
    pub sound: &'f VoiceSound<'f>,
    /// Letters per second that the voice speaks.
    pub rate: f64,
    /// Whether it speaks in noise.
    pub noisy: bool,
}

impl Found<'_> {
    /// Whether the line with this number certainly is its stretch, from its first sound to its last.
    pub fn is_certain(&self, number: usize) -> bool {
        let (line, Some(claim)) = (&self.lines[number], &self.claims[number]) else { return false };
        // A neighbouring line that is reported for the same time, and is not found in the sound, may be a part of it.
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
        // The end of an interrupted line is reported only to within seconds; in noise it may go on unheard.
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
        // What closely follows a line may be a laugh: without it, the rest must be too short for the text at a usual
        // speed.
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
