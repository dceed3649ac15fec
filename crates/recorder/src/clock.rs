//! From RTP time to the wall clock, with hindsight.
//!
//! A packet arrives some time after it was spoken, never before. So of all packets of a stream those that were fastest tell
//! where its clock stands: the lower envelope of `arrival - RTP time`. With hindsight a straight line below that envelope
//! follows a sender's clock that runs too fast or too slow. Packets of many seconds are kept as one number, so that a live
//! stream and a whole call cost the same to ask.

use std::collections::BTreeMap;

/// Ticks a second of Opus in RTP (RFC 7587 section 4.1).
pub const RATE: i64 = 48_000;
/// RTP ticks that are summed up in one number.
const BUCKET: i64 = 10 * RATE;
/// A sender's crystal is not further off than this (parts of a million); beyond it the measurement is wrong.
const MAX_DRIFT: f64 = 1e-3;
/// A line needs to be seen this long, in buckets, before its slope is believed.
const MIN_BUCKETS: usize = 6;
/// A pause in which the sender's clock may have stood still or jumped, in nanoseconds.
const PAUSE: i64 = 500_000_000;
/// A jump of the clock over such a pause is believed from this size on, in nanoseconds.
const JUMP: i64 = 150_000_000;
/// Packets that must have come after a pause before they are compared with those before it.
const EVIDENCE: u32 = 100;
/// A stream, or a recording, is cut here (48 h): what lies further was not measured but made up.
pub const LONGEST: i64 = 48 * 3600 * RATE;
/// With fewer packets than this a stream's clock is uncertain, and a sender report is welcome.
const FEW: u32 = 10;
/// Placement changes in steps of this size, in samples (2.5 ms): between two steps packets follow each other exactly.
const STEP: i64 = 120;

/// A packet, or a sender report: one point that the clock passes below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Point {
    rtp: i64,
    delay: i64,
}

/// A stretch of RTP time in which the sender's clock ran on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Stretch {
    from_rtp: i64,
    packets: u32,
    buckets: BTreeMap<i64, Point>,
    best: Option<i64>,
    reported: Option<i64>,
}

impl Stretch {
    fn take(&mut self, point: Point) {
        self.packets += 1;
        let bucket = self.buckets.entry(point.rtp.div_euclid(BUCKET)).or_insert(point);
        if point.delay < bucket.delay {
            *bucket = point;
        }
        self.best = Some(self.best.map_or(point.delay, |best| best.min(point.delay)));
    }

    /// The line below all points that lies closest to them: the edge of their lower convex hull over the middle.
    fn line(&self) -> Line {
        // A report is up to 20 ms nearer to the speaker's mouth than the fastest packet, and only some streams get one in
        // time: it counts where there is next to nothing else, so that all streams of a room lie alike.
        let reported = self.reported.filter(|_| self.packets < FEW);
        let best = self.best.into_iter().chain(reported).min().unwrap_or(0);
        let flat = Line { at: 0, delay: best as f64, slope: 0.0 };
        if self.buckets.len() < MIN_BUCKETS {
            return flat;
        }
        let hull = lower_hull(self.buckets.values().copied());
        let middle = self.buckets.values().map(|point| point.rtp as f64).sum::<f64>() / self.buckets.len() as f64;
        let edge = hull.windows(2).find(|edge| edge[1].rtp as f64 >= middle);
        let Some([from, to]) = edge.and_then(|edge| <&[Point; 2]>::try_from(edge).ok()) else { return flat };
        let slope = (to.delay - from.delay) as f64 / (to.rtp - from.rtp) as f64;
        // Nanoseconds a tick; a tick is 20,833 ns.
        if slope.abs() > MAX_DRIFT * 1e9 / RATE as f64 {
            return flat;
        }
        Line { at: from.rtp, delay: from.delay as f64, slope }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    at: i64,
    delay: f64,
    slope: f64,
}

impl Line {
    fn delay_at(&self, rtp: i64) -> f64 {
        self.delay + self.slope * (rtp - self.at) as f64
    }
}

/// Andrew's monotone chain; the points come in the order of their RTP times.
fn lower_hull(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut hull: Vec<Point> = Vec::new();
    for point in points {
        while let [.., a, b] = hull[..] {
            let left = i128::from(b.rtp - a.rtp) * i128::from(point.delay - a.delay);
            let right = i128::from(b.delay - a.delay) * i128::from(point.rtp - a.rtp);
            if left > right {
                break;
            }
            hull.pop();
        }
        hull.push(point);
    }
    hull
}

/// What is known of a stream's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clock {
    stretches: Vec<Stretch>,
    newest: Option<(i64, i64)>,
    /// A stretch after a pause, until it is known whether the clock jumped.
    open: Option<Stretch>,
}

impl Clock {
    /// A packet with this (extended) RTP time arrived, in nanoseconds since the Unix epoch.
    pub fn packet(&mut self, rtp: u64, arrived: i64) {
        let point = point(rtp, arrived);
        let paused = self.newest.is_some_and(|(_, before)| arrived.saturating_sub(before) > PAUSE);
        if self.stretches.is_empty() {
            self.stretches.push(Stretch { from_rtp: i64::MIN, ..Stretch::default() });
        } else if paused {
            self.settle();
            self.open = Some(Stretch { from_rtp: point.rtp, ..Stretch::default() });
        }
        self.newest = Some(self.newest.map_or((point.rtp, arrived), |(newest, _)| (newest.max(point.rtp), arrived)));
        match &mut self.open {
            Some(open) if point.rtp >= open.from_rtp => {
                open.take(point);
                if open.packets >= EVIDENCE {
                    self.settle();
                }
            }
            // In order, or a late one of before the pause.
            _ => {
                if let Some(stretch) = self.stretches.iter_mut().rev().find(|stretch| stretch.from_rtp <= point.rtp) {
                    stretch.take(point);
                }
            }
        }
    }

    /// A sender report arrived. It counts while there are only a few packets, when its sender's clock and ours agree so far
    /// that it can be true.
    pub fn report(&mut self, rtp: u64, ntp: i64) {
        let point = point(rtp, ntp);
        let Some(stretch) = self.stretches.last_mut() else { return };
        if stretch.best.is_some_and(|best| (point.delay - best).abs() < 50_000_000) {
            stretch.reported = Some(stretch.reported.map_or(point.delay, |known| known.min(point.delay)));
        }
    }

    /// About how many bytes of memory this holds.
    pub(crate) fn held(&self) -> usize {
        // A node of a B-tree is half full at worst.
        let buckets = self.stretches.iter().chain(&self.open).map(|stretch| stretch.buckets.len()).sum::<usize>();
        buckets * 2 * size_of::<(i64, Point)>() + self.stretches.capacity() * size_of::<Stretch>()
    }

    /// Decides whether the clock jumped over the last pause.
    fn settle(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Some(last) = self.stretches.last_mut() else { return };
        let expected = last.line().delay_at(open.from_rtp) as i64;
        let jumped = open.packets >= EVIDENCE && open.best.is_some_and(|best| (best - expected).abs() > JUMP);
        if jumped {
            self.stretches.push(open);
            return;
        }
        for point in open.buckets.values() {
            last.take(*point);
        }
        last.packets += open.packets;
    }

    /// Where packets go on a timeline of samples that begins at `zero` (nanoseconds since the Unix epoch).
    pub fn placement(&self, zero: i64) -> Placement {
        let mut placement = Placement::default();
        let newest = self.newest.map_or(0, |(rtp, _)| rtp);
        for (number, stretch) in self.stretches.iter().enumerate() {
            let line = stretch.line();
            let first = stretch.buckets.values().next().map_or(0, |point| point.rtp);
            let end = self.stretches.get(number + 1).map_or(newest + BUCKET, |next| next.from_rtp).min(first + LONGEST);
            let offset = |rtp: i64| samples(nanos(rtp) + line.delay_at(rtp) as i64 - zero) - rtp;
            let mut current = offset(first.max(stretch.from_rtp));
            placement.steps.push(Step { from_rtp: stretch.from_rtp, offset: current });
            // Half a step early and half a step late are the farthest that a packet gets.
            let mut rtp = first;
            while rtp < end {
                let wanted = offset(rtp);
                if (wanted - current).abs() > STEP {
                    current += STEP * (wanted - current).signum();
                    placement.steps.push(Step { from_rtp: rtp, offset: current });
                } else {
                    rtp += RATE;
                }
            }
        }
        placement
    }
}

/// Far beyond any call, and near enough that no sum of two overflows.
fn ticks(rtp: u64) -> i64 {
    rtp.min(1 << 46) as i64
}

fn point(rtp: u64, at: i64) -> Point {
    let rtp = ticks(rtp);
    Point { rtp, delay: at.clamp(-(1 << 61), 1 << 61) - nanos(rtp) }
}

/// The length of samples, or ticks, of 48 kHz in nanoseconds, rounded down.
pub fn nanos(ticks: i64) -> i64 {
    (i128::from(ticks) * 62_500 / 3) as i64
}

/// The length of a stretch of time, to the nearest sample.
pub fn samples(nanos: i64) -> i64 {
    (i128::from(nanos) * 3 + 31_250).div_euclid(62_500) as i64
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    /// Numbers that look random, the same in each run.
    fn random(seed: &mut u64) -> f64 {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    struct Line {
        ppm: f64,
        jitter_ms: f64,
        loss: f64,
        outages: Vec<(i64, i64)>,
        seconds: i64,
        start_rtp: i64,
        seed: u64,
    }

    /// How far any packet lies from where it was spoken, in milliseconds, by hindsight.
    fn worst(line: &Line) -> f64 {
        let (zero, mut seed) = (1_795_439_500_000 * MS, line.seed | 1);
        let spoken = |n: i64| zero + (n as f64 * 20e6 * (1.0 + line.ppm * 1e-6)) as i64;
        let mut clock = Clock::default();
        let mut sent = Vec::new();
        for n in 0..line.seconds * 50 {
            let out = line.outages.iter().any(|(from, to)| (from * 50..to * 50).contains(&n));
            if out || random(&mut seed) < line.loss {
                continue;
            }
            let arrived = spoken(n) + (random(&mut seed) * line.jitter_ms * 1e6) as i64;
            sent.push((arrived, n));
        }
        sent.sort_unstable();
        for &(arrived, n) in &sent {
            clock.packet((line.start_rtp + n * 960) as u64, arrived);
        }
        let placement = clock.placement(zero);
        let off = |&(_, n): &(i64, i64)| {
            let sample = placement.sample((line.start_rtp + n * 960) as u64).unwrap();
            ((sample * 62_500 / 3 + zero - spoken(n)) as f64 / 1e6).abs()
        };
        sent.iter().map(off).fold(0.0, f64::max)
    }

    #[test]
    fn four_hours_of_drift_jitter_loss_and_outages() {
        for ppm in [-100.0, 0.0, 100.0] {
            let line = Line {
                ppm,
                jitter_ms: 500.0,
                loss: 0.05,
                outages: vec![(100, 130), (4000, 4030), (14_000, 14_030)],
                seconds: 4 * 3600,
                start_rtp: 4_000_000_000,
                seed: 77,
            };
            let worst = worst(&line);
            assert!(worst < 20.0, "{ppm} ppm: {worst} ms");
        }
    }

    #[test]
    fn a_clock_that_stood_still_while_muted_goes_on_where_it_is_heard() {
        let mut clock = Clock::default();
        for n in 0..500 {
            clock.packet(n * 960, 20 * MS * n as i64);
        }
        for n in 0..500 {
            clock.packet((500 + n) * 960, 20 * MS * (500 + n) as i64 + 7_000 * MS);
        }
        let placement = clock.placement(0);
        assert_eq!(placement.sample(499 * 960), Some(499 * 960));
        assert_eq!(placement.sample(500 * 960), Some(500 * 960 + 7 * 48_000));
    }

    #[test]
    fn what_was_rendered_stays() {
        let step = |from_rtp, offset| Step { from_rtp, offset };
        let old = Placement { steps: vec![step(i64::MIN, 10)] };
        let new = Placement { steps: vec![step(i64::MIN, 500), step(2_000, 620)] };
        let both = old.followed_by(&new, 1_000);
        assert_eq!(both.steps, [step(i64::MIN, 10), step(1_000, 500), step(2_000, 620)]);
        assert_eq!(old.difference(&new, 0, 900), 490);
        assert_eq!(both.difference(&new, 1_000, 9_000), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_packet_lies_within_20_ms_of_where_it_was_spoken(
            ppm in -100.0..100.0_f64,
            jitter_ms in 0.0..500.0_f64,
            loss in 0.0..0.05_f64,
            outage in prop::option::of((20_i64..500, 1_i64..30)),
            seconds in 60_i64..1_800,
            start_rtp in 0_i64..5_000_000_000,
            seed in any::<u64>(),
        ) {
            let outages = outage.map(|(at, length)| (at, at + length)).into_iter().collect();
            let line = Line { ppm, jitter_ms, loss, outages, seconds, start_rtp, seed };
            let worst = worst(&line);
            prop_assert!(worst < 20.0, "{worst} ms");
        }

        #[test]
        fn no_numbers_make_it_panic(points in prop::collection::vec((any::<u64>(), any::<i64>()), 0..50), zero in any::<i64>()) {
            let mut clock = Clock::default();
            for (rtp, at) in points {
                clock.packet(rtp % (1 << 50), at >> 12);
                clock.report(rtp % (1 << 50), at >> 12);
            }
            let placement = clock.placement(zero >> 12);
            prop_assert!(placement.steps.is_sorted_by_key(|step| step.from_rtp));
            let _ = placement.sample(5);
        }
    }
}
