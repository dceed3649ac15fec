//! Splits a stretch of sound among several lines that are one utterance, by the lengths of their texts.

use std::collections::HashMap;

use super::assign::{Claim, VoiceSound};
use super::evidence::Evidence;
use crate::time::WallTime;

/// How much better the stretch has to fit the length of all the lines together than that of any one of them: as a
/// difference of logarithms.
const BETTER: f64 = 0.1;

/// The times of lines that share a stretch, by line number.
pub(super) fn share(
    lines: &[Evidence],
    claims: &[Option<Claim>],
    sound: &VoiceSound<'_>,
    rate: f64,
) -> HashMap<usize, (WallTime, WallTime)> {
    let mut shared = HashMap::new();
    let mut at = 0;
    while at < lines.len() {
        if claims[at].is_some() {
            at += 1;
            continue;
        }
        // Lines that were not found, between two that were.
        let end = (at..lines.len()).find(|&line| claims[line].is_some()).unwrap_or(lines.len());
        let before = at.checked_sub(1).map(|line| (line, line..end));
        let after = (end < lines.len()).then_some((end, at..end + 1));
        let with = [before, after].into_iter().flatten().filter(|(line, _)| !shared.contains_key(line));
        let with = with.filter_map(|(line, together)| {
            let claim = claims[line].as_ref()?;
            Some((gain(&lines[together.clone()], claim, rate)?, claim, together))
        });
        if let Some((_, claim, together)) = with.max_by(|a, b| a.0.total_cmp(&b.0)) {
            shared.extend(together.clone().zip(parts(&lines[together], claim, sound)));
        }
        at = end;
    }
    shared
}

/// How much better a stretch that one line claimed fits the length of all of them; `None` when it does not.
fn gain(lines: &[Evidence], claim: &Claim, rate: f64) -> Option<f64> {
    let is_possible = lines.iter().all(|line| line.unheard > 0.0);
    let all = lines[0].with_letters(lines.iter().map(|line| line.letters).sum());
    let speech = claim.stretch.speech;
    let alone = lines.iter().map(|line| line.misfit(speech, rate)).fold(f64::INFINITY, f64::min);
    let gain = alone - all.misfit(speech, rate);
    (is_possible && gain > BETTER).then_some(gain)
}

/// The stretch, divided by the lengths of the texts, and in a pause where one is near.
fn parts(lines: &[Evidence], claim: &Claim, sound: &VoiceSound<'_>) -> Vec<(WallTime, WallTime)> {
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
