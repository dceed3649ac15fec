//! Places links, their packets and the gaps that are believed on the media timeline.

use super::granules::Findings;
use super::index::{self, Entry, Gap};
use super::link::Link;

/// The longest recording that is indexed: 48 hours, in samples. What comes after is left out, and the recording counts as
/// truncated.
pub const LONGEST: u64 = 48 * 3600 * 48_000;

/// The most gaps that are listed. Later ones are left out, and the recording counts as truncated.
pub(super) const MOST_GAPS: usize = 10_000;

/// Links with their places.
#[derive(Debug, Default)]
pub(super) struct Placed {
    pub(super) links: Vec<index::Link>,
    pub(super) gaps: Vec<Gap>,
    /// The length of all, in samples.
    pub(super) total: u64,
    /// Whether entries were left out because they end after [`LONGEST`].
    pub(super) is_too_long: bool,
    /// Whether gaps were left out.
    pub(super) has_more_gaps: bool,
    /// Samples of silence that may still be believed.
    silence: u64,
}

/// Places links and their entries. Gaps that granule positions claim are believed in order, as long as the whole is no longer than
/// `longest`; where one is not believed, an unknown amount is missing.
pub(super) fn place(links: Vec<Link>, entries: &mut Vec<Entry>, longest: u64) -> Placed {
    let packets: u64 = links.iter().map(|link| link.samples.unsigned_abs()).sum();
    let mut placed = Placed { silence: longest.min(LONGEST).saturating_sub(packets), ..Placed::default() };
    let ends: Vec<usize> = links.iter().skip(1).map(|link| link.first_entry).chain([entries.len()]).collect();
    for (link, end) in links.into_iter().zip(ends) {
        if placed.is_too_long {
            break;
        }
        let is_end_lost = link.is_end_lost;
        if link.is_playable {
            placed.playable(link, end, entries);
        } else {
            placed.unplayable(&link);
        }
        if is_end_lost {
            placed.gap(placed.total, 0, true);
        }
    }
    placed
}

impl Placed {
    /// Places a stretch of sound that is there and cannot be played, as a gap.
    fn unplayable(&mut self, link: &Link) {
        let heard = link.samples.saturating_sub(i64::from(link.head.pre_skip)).max(0).unsigned_abs();
        let heard = heard.min(LONGEST.saturating_sub(self.total));
        self.gap(self.total, heard, true);
        self.total += heard;
    }

    fn playable(&mut self, link: Link, end: usize, entries: &mut Vec<Entry>) {
        let Findings { claims, losses, trim } = link.granules.finish();
        let (mut claims, mut losses) = (claims.into_iter().peekable(), losses.into_iter().peekable());
        let start = self.total as i64;
        let mut at = start - i64::from(link.head.pre_skip);
        for number in link.first_entry..end {
            let claim = claims.next_if(|claim| claim.entry == number);
            let loss = losses.next_if(|&entry| entry == number);
            let believed = claim.filter(|claim| self.believe(claim.samples));
            match (believed, claim.is_some() || loss.is_some()) {
                (Some(claim), _) => {
                    let (from, to) = (at.max(start), (at + claim.samples).max(start));
                    if from < to {
                        self.gap(from.unsigned_abs(), from.abs_diff(to), claim.lost);
                    }
                    at += claim.samples;
                }
                (None, true) => self.gap(at.max(start).unsigned_abs(), 0, true),
                (None, false) => {}
            }
            let Some(entry) = entries.get_mut(number) else { break };
            if at.saturating_add(i64::from(entry.samples)) > LONGEST as i64 {
                self.is_too_long = true;
                entries.truncate(number);
                break;
            }
            entry.start = at;
            at += i64::from(entry.samples);
        }
        // A position that leaves nothing to be heard is not believed.
        let trim = if self.is_too_long || at - trim <= start { 0 } else { trim };
        self.total = (at - trim).max(start).unsigned_abs();
        let range = start.unsigned_abs()..self.total;
        self.links.push(index::Link { head: link.head, first_entry: link.first_entry, heard: range });
    }

    fn believe(&mut self, samples: i64) -> bool {
        let left = self.silence.checked_sub(samples.unsigned_abs());
        self.silence = left.unwrap_or(self.silence);
        left.is_some()
    }

    /// Notes a gap; one without a length only where no other gap ends.
    fn gap(&mut self, start: u64, samples: u64, damaged: bool) {
        let is_noted = self.gaps.last().is_some_and(|last| last.start + last.samples >= start);
        if self.gaps.len() >= MOST_GAPS {
            self.has_more_gaps = true;
        } else if samples > 0 || !is_noted {
            self.gaps.push(Gap { start, samples, damaged });
        }
    }
}
