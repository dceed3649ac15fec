//! The placement of a stream: at which sample of the timeline each packet begins.

use std::collections::BTreeSet;
use std::ops::Range;

use super::ticks;

/// The offset from RTP time to the timeline, from one RTP time on.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Step {
    /// The first RTP time to which it applies.
    #[prost(sint64, tag = "1")]
    pub from_rtp: i64,
    /// What is added to an RTP time to get a sample of the timeline.
    #[prost(sint64, tag = "2")]
    pub offset: i64,
}

/// Where the packets of a stream are on the recording's timeline.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Placement {
    /// The steps in order of RTP time.
    #[prost(message, repeated, tag = "1")]
    pub steps: Vec<Step>,
}

impl Placement {
    /// The sample at which the packet with this RTP time begins; `None` when the stream is not placed at all.
    pub fn sample(&self, rtp: u64) -> Option<i64> {
        let rtp = ticks(rtp);
        let after = self.steps.partition_point(|step| step.from_rtp <= rtp);
        let step = self.steps.get(after.saturating_sub(1))?;
        Some(rtp.saturating_add(step.offset))
    }

    /// Adds a step, which replaces everything from its RTP time on.
    pub(crate) fn step(&mut self, step: Step) {
        let known = self.steps.partition_point(|known| known.from_rtp < step.from_rtp);
        self.steps.truncate(known);
        self.steps.push(step);
    }

    /// The steps by which [`Placement::step`] turns this placement into `other`, which begins as this one does.
    pub(crate) fn changes_to(&self, other: &Self) -> Vec<Step> {
        let same = self.steps.iter().zip(&other.steps).take_while(|(mine, theirs)| mine == theirs).count();
        match (self.steps.get(same), other.steps.get(same..), other.steps.last()) {
            // No step is new, and some are gone.
            (Some(gone), Some([]), Some(last)) => vec![Step { from_rtp: gone.from_rtp, offset: last.offset }],
            (_, new, _) => new.unwrap_or_default().to_vec(),
        }
    }

    /// This placement up to `rtp`, and `newer` from there on: what was rendered stays where it is.
    pub fn followed_by(&self, newer: &Self, rtp: u64) -> Self {
        let from = ticks(rtp);
        let mut steps: Vec<Step> = self.steps.iter().copied().filter(|step| step.from_rtp < from).collect();
        let now = newer.steps.partition_point(|step| step.from_rtp <= from).saturating_sub(1);
        if let Some(step) = newer.steps.get(now) {
            let from_rtp = if steps.is_empty() { step.from_rtp } else { from };
            if steps.last().is_none_or(|last| last.offset != step.offset) {
                steps.push(Step { from_rtp, offset: step.offset });
            }
        }
        steps.extend(newer.steps.iter().copied().filter(|step| step.from_rtp > from));
        Self { steps }
    }

    /// This placement between two RTP times, but `better` wherever the two differ by more than `tolerance` samples; and the ranges
    /// of RTP times where they do.
    pub(crate) fn corrected(&self, better: &Self, from: u64, to: u64, tolerance: i64) -> (Self, Vec<Range<u64>>) {
        let edges = self.steps.iter().chain(&better.steps).filter_map(|step| u64::try_from(step.from_rtp).ok());
        let edges: BTreeSet<u64> = edges.filter(|rtp| (from..to).contains(rtp)).chain([from]).collect();
        let (mut placement, mut corrected) = (Self::default(), Vec::<Range<u64>>::new());
        for (&rtp, end) in edges.iter().zip(edges.iter().copied().skip(1).chain([to])) {
            let (Some(mine), Some(theirs)) = (self.sample(rtp), better.sample(rtp)) else { continue };
            let is_off = (mine - theirs).abs() > tolerance;
            let offset = if is_off { theirs } else { mine } - ticks(rtp);
            if placement.steps.last().is_none_or(|last| last.offset != offset) {
                let from_rtp = if placement.steps.is_empty() { i64::MIN } else { ticks(rtp) };
                placement.steps.push(Step { from_rtp, offset });
            }
            match corrected.last_mut() {
                Some(last) if is_off && last.end == rtp => last.end = end,
                _ if is_off => corrected.push(rtp..end),
                _ => {}
            }
        }
        (placement, corrected)
    }

    /// The largest distance between the places of a packet here and in `other`, between two RTP times, in samples.
    pub fn difference(&self, other: &Self, from: u64, to: u64) -> i64 {
        let edges = self.steps.iter().chain(&other.steps).map(|step| step.from_rtp);
        let inside =
            edges.filter(|rtp| (ticks(from)..=ticks(to)).contains(rtp)).filter_map(|rtp| u64::try_from(rtp).ok());
        let apart = |rtp| Some((self.sample(rtp)? - other.sample(rtp)?).abs());
        inside.chain([from, to]).filter_map(apart).max().unwrap_or(0)
    }
}
