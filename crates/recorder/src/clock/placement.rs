//! Where the packets of a stream lie on the timeline.

use super::ticks;

/// From one RTP time on, packets lie this many samples further.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Step {
    /// The first RTP time that it is for.
    #[prost(sint64, tag = "1")]
    pub from_rtp: i64,
    /// What is added to an RTP time to get a sample of the timeline.
    #[prost(sint64, tag = "2")]
    pub offset: i64,
}

/// Where the packets of a stream lie on the recording's timeline.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Placement {
    /// In the order of their RTP times.
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

    /// This placement for what it was used for up to `rtp`, and `newer` from there on: what was rendered stays where it is.
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

    /// The farthest that any packet between two RTP times lies from where `other` has it, in samples.
    pub fn difference(&self, other: &Self, from: u64, to: u64) -> i64 {
        let edges = self.steps.iter().chain(&other.steps).map(|step| step.from_rtp);
        let inside =
            edges.filter(|rtp| (ticks(from)..=ticks(to)).contains(rtp)).filter_map(|rtp| u64::try_from(rtp).ok());
        let apart = |rtp| Some((self.sample(rtp)? - other.sample(rtp)?).abs());
        inside.chain([from, to]).filter_map(apart).max().unwrap_or(0)
    }
}
