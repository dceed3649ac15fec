//! One utterance that is told as several lines: they share its stretch, each by the length of its text.

use std::collections::HashMap;

use super::assign::{Claim, Sound};
use super::evidence::Evidence;
use crate::time::WallTime;

/// What the lines share makes a better length for all of them together, by so much of a logarithm.
const BETTER: f64 = 0.1;

/// The times of lines that share a stretch, by their numbers.
pub(super) fn share(
    lines: &[Evidence],
    claims: &[Option<Claim>],
    sound: &Sound<'_>,
    rate: f64,
) -> HashMap<usize, (WallTime, WallTime)> {
    let mut shared = HashMap::new();
    let mut first = 0;
    while first < lines.len() {
        let next = (first + 1..lines.len()).find(|&line| claims[line].is_some()).unwrap_or(lines.len());
        if let Some(claim) = &claims[first] {
            // Lines that are not heard after one that is, and that were told near to it.
            let together = first..next;
            if together.len() > 1 && is_shared(&lines[together.clone()], claim, rate) {
                shared.extend(together.clone().zip(parts(&lines[together], claim, sound)));
            }
        } else if let Some(claim) = claims.get(next).and_then(Option::as_ref) {
            let together = first..next + 1;
            if is_shared(&lines[together.clone()], claim, rate) {
                shared.extend(together.clone().zip(parts(&lines[together], claim, sound)));
            }
        }
        first = next;
    }
    shared
}

/// Whether a stretch that one line claimed has the length of all of them.
fn is_shared(lines: &[Evidence], claim: &Claim, rate: f64) -> bool {
    let is_possible = lines.iter().all(|line| line.unheard > 0.0);
    let all = lines[0].with_letters(lines.iter().map(|line| line.letters).sum());
    let speech = claim.stretch.speech;
    let alone = lines.iter().map(|line| line.misfit(speech, rate)).fold(f64::INFINITY, f64::min);
    is_possible && all.misfit(speech, rate) + BETTER < alone
}

/// The stretch, cut by the lengths of the texts, and in a pause where one is near.
fn parts(lines: &[Evidence], claim: &Claim, sound: &Sound<'_>) -> Vec<(WallTime, WallTime)> {
    let total: f64 = lines.iter().map(|line| line.letters).sum();
    let length = claim.stretch.end.since(claim.stretch.start);
    let slack = length / 6;
    let (mut parts, mut start, mut said) = (Vec::new(), claim.stretch.start, 0.0);
    for line in &lines[..lines.len() - 1] {
        said += line.letters;
        let about = claim.stretch.start.plus_nanos((length as f64 * said / total) as i64).max(start);
        let pauses = (claim.from..claim.to - 1).map(|span| sound.pause_after(span));
        let near =
            pauses.filter(|(from, to)| from.since(about).abs().min(to.since(about).abs()) <= slack && *from > start);
        let (end, next) = near.max_by_key(|(from, to)| to.since(*from)).unwrap_or((about, about));
        parts.push((start, end));
        start = next;
    }
    parts.push((start, claim.stretch.end));
    parts
}
