//! Builds the index of a capture in hindsight: where every packet is on the timeline, and what is missing.

use std::ops::Range;

use echosphere_domain::ranges::joined;

use super::{Assembler, Away, MOVED};
use crate::clock::{self, LONGEST};
use crate::log::ended;
use crate::sound::index::{Extent, Gap, Index};
use crate::sound::stream::LONGEST_PACKET;
use crate::sound::{Layout, side_gaps};

impl Assembler {
    /// The index of what was logged so far; `None` when no packet was received.
    pub fn index(&self) -> Option<Index> {
        let zero = self.zero?;
        let mut index = Index { zero, ..Index::default() };
        let mut end = 0;
        for stream in self.streams.values() {
            let Some(span) = stream.span() else { continue };
            let hindsight = stream.clock.placement(zero);
            // What was heard live stays where it was, unless hindsight knows much better.
            let placement = if stream.live.steps.is_empty() {
                hindsight
            } else {
                let (placement, moved) =
                    stream.live.corrected(&hindsight, span.start, span.end.max(span.start + 1), MOVED);
                let both = |rtp: u64| [stream.live.sample(rtp), placement.sample(rtp)].into_iter().flatten();
                index.improved.extend(moved.into_iter().filter_map(|moved| {
                    let (start, end) = (both(moved.start).min()?, both(moved.end - 1).max()?);
                    Some(Extent { start: start - LONGEST_PACKET, end: end + LONGEST_PACKET })
                }));
                placement
            };
            end = end.max(stream.samples(&placement, zero).map_or(0, |samples| samples.end));
            index.gaps.extend(stream.losses(&placement).into_iter().map(|side_gap| gap(&side_gap, "packets_lost")));
            let late = self.late.iter().filter(|late| late.stream == stream.about.stream);
            index.improved.extend(late.filter_map(|late| {
                Some(Extent {
                    start: placement.sample(late.first)?,
                    end: placement.sample(late.last)? + LONGEST_PACKET,
                })
            }));
            stream.extend_chunks(&placement, &mut index.chunks);
            index.streams.push(self.placed(stream, placement));
        }
        let at = |wall: i64| clock::samples(wall.saturating_sub(zero));
        end = end.max(self.natural_end().map_or(0, at)).clamp(0, LONGEST);
        index.samples = end as u64;
        let away = self.away.iter().map(|away| gap(&(at(away.from)..away.to.map_or(end, at)), away.reason));
        let away: Vec<Gap> = away.collect();
        index.is_mixed = self.layout == Layout::Mix;
        let open = self.is_cut().then_some(LONGEST - end);
        index.side_gaps = side_gaps::of(&self.sides(&index), &away, end, open);
        index.gaps.extend(away);
        index.restarts = self.restarts.iter().map(|&wall| at(wall)).collect();
        tidy(&mut index, end);
        Some(index)
    }

    /// The streams by side, as placed in the index.
    fn sides<'a>(&'a self, index: &'a Index) -> Vec<side_gaps::OnSide<'a>> {
        let streams = index.streams.iter().filter_map(|placed| {
            let state = self.streams.get(&placed.stream)?;
            let person = self.people.get(&placed.participant_sid);
            Some(side_gaps::OnSide {
                agent: self.is_agent(&placed.participant_sid),
                identity: person.map_or(placed.participant_sid.as_str(), |person| person.identity.as_str()),
                runs: state.extents(placed.placement.as_ref()?),
                losses: state.losses(placed.placement.as_ref()?),
            })
        });
        streams.collect()
    }

    /// Whether the sound ends because we lost it, and not because the conversation ended or was no longer to be recorded.
    fn is_cut(&self) -> bool {
        let is_lost = self.away.iter().any(Away::is_lost);
        let is_paused = self.away.iter().any(|away| away.to.is_none() && !away.is_lost());
        let ended = self.ended.as_ref().map(|(_, reason)| reason.as_str());
        !is_paused && (is_lost || matches!(ended, None | Some("connection_lost" | ended::DISK_FULL | ended::MISSED)))
    }

    /// When the conversation ended, apart from its last packet: when the last participant left, when nothing reached us any more,
    /// or when the room was closed or we stopped.
    fn natural_end(&self) -> Option<i64> {
        match self.ended.as_ref().map(|(at, reason)| (*at, reason.as_str())) {
            Some((at, ended::STOPPED | ended::MAX_DURATION | ended::DISK_FULL)) => Some(at),
            Some((at, ended::ROOM_ENDED)) => self.goes_on_until().or(Some(at)),
            _ => self.goes_on_until(),
        }
    }

    /// Where the conversation ends if nobody returns to the room, or the connection does not: when the last participant left, or
    /// when it was lost. `None` while it goes on. Whether anything after it belongs to the recording is not known yet.
    pub fn goes_on_until(&self) -> Option<i64> {
        let everybody_left = self.people.values().all(|person| person.gone);
        let lost = self.away.iter().filter(|away| away.is_lost()).map(|away| away.from);
        lost.chain(self.last_gone.filter(|_| everybody_left)).min()
    }
}

fn gap(range: &Range<i64>, reason: &str) -> Gap {
    Gap { start: range.start, samples: range.end - range.start, reason: reason.to_owned() }
}

/// Keeps gaps within the sound only, in order, and drops packet losses that another gap explains.
fn tidy(index: &mut Index, end: i64) {
    index.gaps.retain_mut(|gap| {
        let (start, until) = (gap.start.clamp(0, end), (gap.start + gap.samples).clamp(0, end));
        (gap.start, gap.samples) = (start, until - start);
        gap.samples > 0
    });
    let all = index.gaps.clone();
    let inside = |gap: &Gap, other: &Gap| {
        other.reason != "packets_lost"
            && other.start <= gap.start + 9_600
            && other.start + other.samples + 9_600 >= gap.start + gap.samples
    };
    index.gaps.retain(|gap| gap.reason != "packets_lost" || !all.iter().any(|other| inside(gap, other)));
    index.gaps.sort_by_key(|gap| (gap.start, gap.samples));
    index.gaps.dedup();
    let improved = joined(index.improved.iter().map(|extent| extent.start..extent.end));
    index.improved = improved.into_iter().map(|Range { start, end }| Extent { start, end }).collect();
}

#[cfg(test)]
mod tests;
