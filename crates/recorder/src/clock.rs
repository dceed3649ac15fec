//! From RTP time to the wall clock, with hindsight.
//!
//! A packet arrives some time after it was spoken, never before. So of all packets of a stream those that were fastest tell
//! where its clock stands: the lower envelope of `arrival - RTP time`. With hindsight a straight line below that envelope
//! follows a sender's clock that runs too fast or too slow. Packets of many seconds are kept as one number, so that a live
//! stream and a whole call cost the same to ask.
//!
//! A sender's RTP clock also stands still: libwebrtc counts samples, and an agent whose queue runs empty gives none for some 90 ms at
//! each of its turns. Then the envelope steps up and stays up, whereas behind a queue in the network it comes down again. So packets
//! above the line are kept apart until one lies on it again, which says that the clock ran on, or until so many came that it cannot
//! be chance. Should one come lower after all, the step is taken back. Sender reports, where there are any, tell either sooner.

mod extend;
mod placement;
#[cfg(test)]
mod stalled;
#[cfg(test)]
mod standing;
mod steps;
mod stretch;

use std::collections::{BTreeMap, VecDeque};

pub use extend::RtpTimes;
pub use placement::{Placement, Step};
use stretch::{BUCKET, Cell, Point, Stretch};

/// Ticks a second of Opus in RTP (RFC 7587 section 4.1).
pub const RATE: i64 = 48_000;
/// A stream, or a recording, is cut here (48 h): what lies further was not measured but made up.
pub const LONGEST: i64 = 48 * 3600 * RATE;
/// Placement changes in steps of this size, in samples (2.5 ms): between two steps packets follow each other exactly.
const STEP: i64 = 120;

const MS: i64 = 1_000_000;
/// A pause in which the sender's clock may have jumped, in nanoseconds.
const PAUSE: i64 = 500 * MS;
/// A jump of the clock over such a pause is believed at once from this size on, in nanoseconds. Fewer packets than [`EVIDENCE`] that
/// are further ahead than this have a wrong time.
const JUMP: i64 = 150 * MS;
/// Packets that must have come after a jump before it is believed at once.
const EVIDENCE: u32 = 100;
/// With fewer packets than this a stream's clock is uncertain, and nothing is said of a step.
const FEW: u32 = 10;
/// What lies no further above the line than this lies on it, in nanoseconds.
const CLOSE: i64 = 10 * MS;
/// Packets overtake each other by this much at most, in nanoseconds (600 ms).
const WAIT: i64 = 600 * MS;
/// A queue in the network is over after this long, in RTP ticks (10 min): later a step is not taken back any more.
const QUEUE: i64 = 600 * RATE;
/// A queue in the network is not longer than this, in nanoseconds (1 s).
const LONGEST_QUEUE: i64 = 1_000 * MS;
/// Sender reports that are remembered: about a minute.
const REPORTS: usize = 16;

/// What is known of a stream's clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clock {
    stretches: Vec<Stretch>,
    /// The highest RTP time that can be true, and when the last packet arrived.
    newest: Option<(i64, i64)>,
    /// The delays of packets above the line that came just now, by their RTP times.
    waiting: BTreeMap<i64, i64>,
    /// The highest RTP time and the latest arrival of all others.
    passed: Option<(i64, i64)>,
    /// What came since the last packet on the line, in the order of RTP times.
    above: Vec<Cell>,
    /// What is so far ahead of the line that the sender's clock jumped, or else has wrong times; and whether it came behind a pause.
    ahead: Option<(Stretch, bool)>,
    reports: VecDeque<Report>,
}

/// A sender report, and the highest RTP time of the packets that had come before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Report {
    point: Point,
    newest: i64,
}

impl Clock {
    /// A packet with this (extended) RTP time arrived, in nanoseconds since the Unix epoch. False when it is so far ahead of the
    /// clock that its time is taken to be wrong, until [`Clock::is_ahead`] says otherwise.
    pub fn packet(&mut self, rtp: u64, arrived: i64) -> bool {
        let point = Point::new(rtp, arrived);
        if self.stretches.is_empty() {
            self.stretches.push(Stretch::from(i64::MIN));
        }
        if self.is_beyond(point) {
            let is_after_pause = self.newest.is_some_and(|(_, at)| arrived.saturating_sub(at) > PAUSE);
            return self.jump(point, is_after_pause);
        }
        self.less_ahead();
        self.newest = Some((self.newest.map_or(point.rtp, |(newest, _)| newest.max(point.rtp)), arrived));
        self.sort_in(point);
        // Packets come out of their order: what is above the line waits until those before it are there.
        while let Some((&rtp, &delay)) = self.waiting.first_key_value()
            && arrived.saturating_sub(delay.saturating_add(nanos(rtp))) >= WAIT
        {
            self.waiting.pop_first();
            self.take_above(Point { rtp, delay });
        }
        true
    }

    fn sort_in(&mut self, point: Point) {
        let Some(last) = self.stretches.last_mut() else { return };
        if point.rtp < last.from_rtp {
            self.stretch_at(point.rtp).take(point);
        } else if last.packets == 0 || last.above(point) <= CLOSE {
            // Those that wait arrived before it, and yet are later than it is: they were spoken before it.
            self.take_all_above();
            self.take_on_line(point);
        } else {
            let double = self.waiting.insert(point.rtp, point.delay);
            if let Some(double) = double.filter(|double| *double < point.delay) {
                self.waiting.insert(point.rtp, double);
            }
        }
    }

    /// Whether a packet is too far ahead of the clock to have a true time.
    pub fn is_ahead(&self, rtp: u64, arrived: i64) -> bool {
        self.is_beyond(Point::new(rtp, arrived))
    }

    /// A sender report arrived: the sender's wall clock, or LiveKit's, at an RTP time.
    pub fn report(&mut self, rtp: u64, ntp: i64) {
        let point = Point::new(rtp, ntp);
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.report(point);
        }
        if self.reports.len() == REPORTS {
            self.reports.pop_front();
        }
        let newest = self.newest.map_or(i64::MIN, |(newest, _)| newest);
        self.reports.push_back(Report { point, newest });
        self.look_for_steps(true);
    }

    /// Where packets go on a timeline of samples that begins at `zero` (nanoseconds since the Unix epoch), when nothing more comes.
    pub fn placement(&self, zero: i64) -> Placement {
        let mut clock = self.clone();
        clock.take_all_above();
        clock.look_for_steps(false);
        clock.run_on(clock.above.len());
        clock.placement_so_far(zero)
    }

    /// Where packets go while the call goes on: steps of the clock that may be a queue in the network are not followed yet.
    pub fn placement_so_far(&self, zero: i64) -> Placement {
        let mut placement = Placement::default();
        let newest = self.newest.map_or(0, |(rtp, _)| rtp);
        for (number, stretch) in self.stretches.iter().enumerate() {
            let first = stretch.lowest.first().map_or(0, |point| point.rtp);
            let end = self.stretches.get(number + 1).map_or(newest + BUCKET, |next| next.from_rtp).min(first + LONGEST);
            let offset = |rtp: i64| samples(nanos(rtp) + stretch.line.delay_at(rtp) as i64 - zero) - rtp;
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

    /// About how many bytes of memory this holds.
    pub(crate) fn held(&self) -> usize {
        // A node of a B-tree is half full at worst.
        self.stretches.iter().map(|stretch| stretch.lowest.capacity() * size_of::<Point>()).sum::<usize>()
            + self.stretches.capacity() * size_of::<Stretch>()
            + self.waiting.len() * 2 * size_of::<(i64, i64)>()
            + self.above.capacity() * size_of::<Cell>()
            + self.reports.capacity() * size_of::<Report>()
    }

    fn stretch_at(&mut self, rtp: i64) -> &mut Stretch {
        let after = self.stretches.partition_point(|stretch| stretch.from_rtp <= rtp);
        &mut self.stretches[after.saturating_sub(1)]
    }

    /// Whether a point lies further below its line than jitter, a queue that ended or a drift over a silence explain; or is minutes
    /// late.
    fn is_beyond(&self, point: Point) -> bool {
        let after = self.stretches.partition_point(|stretch| stretch.from_rtp <= point.rtp);
        let Some(stretch) = self.stretches.get(after.saturating_sub(1)).filter(|stretch| stretch.packets > 0) else {
            return false;
        };
        let jitter = if stretch.packets < EVIDENCE { LONGEST_QUEUE } else { JUMP };
        let is_ancient = self.newest.is_some_and(|(newest, _)| point.rtp < newest - QUEUE);
        if is_ancient && stretch.packets >= EVIDENCE && stretch.above(point) > nanos(QUEUE) / 2 {
            return true;
        }
        let silence = self.newest.map_or(0, |(_, at)| point.delay.saturating_add(nanos(point.rtp)).saturating_sub(at));
        stretch.above(point) < -jitter.saturating_add(silence.max(0) / 5_000)
    }

    /// Takes a point far below the line. True when it is believed.
    fn jump(&mut self, point: Point, is_after_pause: bool) -> bool {
        let known = self.ahead.take();
        let (mut ahead, is_after_pause) = known.unwrap_or_else(|| (Stretch::from(point.rtp), is_after_pause));
        ahead.from_rtp = ahead.from_rtp.min(point.rtp);
        ahead.take(point);
        let queue = self.queue_before(point, is_after_pause).filter(|_| ahead.packets >= FEW);
        if queue.is_none() && ahead.packets < EVIDENCE {
            self.ahead = Some((ahead, is_after_pause));
            return false;
        }
        self.take_all_above();
        self.run_on(self.above.len());
        self.newest = self.newest.map(|(newest, at)| (newest.max(point.rtp), at));
        let Some(before) = queue else {
            self.begin(ahead);
            return true;
        };
        let behind = self.stretches.split_off((before + 1).min(self.stretches.len()));
        if let Some(last) = self.stretches.last_mut() {
            behind.iter().chain([&ahead]).for_each(|stretch| last.absorb(stretch));
        }
        true
    }

    /// Behind which stretch there was no jump but a queue in the network, which is over with this point.
    fn queue_before(&self, point: Point, is_after_pause: bool) -> Option<usize> {
        let last = self.stretches.len().checked_sub(1)?;
        if !is_after_pause && (-LONGEST_QUEUE..0).contains(&self.stretches[last].above(point)) {
            return Some(last);
        }
        let pairs = self.stretches.windows(2).enumerate().rev();
        let mut queues = pairs.take_while(|(_, pair)| point.rtp - pair[1].from_rtp < QUEUE && pair[1].rise > 0);
        queues.find(|(_, pair)| (-CLOSE..JUMP).contains(&pair[0].above(point))).map(|(before, _)| before)
    }

    /// A packet whose time is right came: those that are ahead of it are less likely to be.
    fn less_ahead(&mut self) {
        if let Some((ahead, _)) = &mut self.ahead {
            ahead.packets = ahead.packets.saturating_sub(1);
            self.ahead = self.ahead.take().filter(|(ahead, _)| ahead.packets > 0);
        }
    }

    fn take_on_line(&mut self, point: Point) {
        self.run_on(self.above.len());
        if let Some(last) = self.stretches.last_mut() {
            last.take(point);
        }
        self.pass(point);
        self.take_back(point);
    }

    fn take_all_above(&mut self) {
        while let Some((rtp, delay)) = self.waiting.pop_first() {
            self.take_above(Point { rtp, delay });
        }
    }

    /// Takes a packet that is above the line, behind those that were spoken before it.
    fn take_above(&mut self, point: Point) {
        let Some(last) = self.stretches.last_mut() else { return };
        if point.rtp < last.from_rtp {
            return self.stretch_at(point.rtp).take(point);
        }
        if last.above(point) <= CLOSE {
            return self.take_on_line(point);
        }
        let arrived = point.delay.saturating_add(nanos(point.rtp));
        let (before, since) = self.passed.map_or((point.rtp, 0), |(rtp, at)| (rtp, arrived.saturating_sub(at)));
        let most = last.outlier();
        let next = Cell::new(point, arrived, before, since > PAUSE);
        let known = self.above.iter().rposition(|cell| cell.from_rtp <= point.rtp);
        match known.map(|at| &mut self.above[at]) {
            Some(cell) if point.rtp < before => cell.take(point, most),
            Some(cell) if !cell.ends_before(point, since) && cell.is_earlier_than(point) => {
                let next = cell.followed_by(next);
                self.above.push(next);
            }
            Some(cell) if !cell.ends_before(point, since) => {
                cell.take(point, most);
                self.join_cells(most);
            }
            // Far later than those that it was spoken before.
            None if (before - QUEUE..before).contains(&point.rtp) => last.take(point),
            _ => {
                self.above.push(next);
                self.look_for_steps(true);
            }
        }
        self.pass(point);
        self.take_back(point);
    }

    /// The newest cells of a section become one when the last is no later than those before it.
    fn join_cells(&mut self, most: i64) {
        while let [.., before, last] = &mut self.above[..]
            && before.goes_on_with(last)
        {
            before.absorb(last, most);
            self.above.pop();
        }
    }

    fn pass(&mut self, point: Point) {
        let arrived = point.delay.saturating_add(nanos(point.rtp));
        let (rtp, at) = self.passed.unwrap_or((point.rtp, arrived));
        // Nothing is that late: what came before was too early.
        let rtp = if rtp - point.rtp > QUEUE { point.rtp } else { rtp.max(point.rtp) };
        self.passed = Some((rtp, at.max(arrived)));
    }

    /// The clock ran on for these first cells above the line: they were late.
    fn run_on(&mut self, cells: usize) {
        if let Some(last) = self.stretches.last_mut() {
            self.above.drain(..cells).for_each(|cell| last.take_cell(&cell));
        }
    }

    /// A step that was believed and is not there any more was a queue in the network.
    fn take_back(&mut self, point: Point) {
        while let [.., before, last] = &self.stretches[..]
            && last.rise > 0
            && point.rtp - last.from_rtp < QUEUE
            && before.above(point) < last.rise / 2
        {
            let Some(last) = self.stretches.pop() else { return };
            if let Some(before) = self.stretches.last_mut() {
                before.absorb(&last);
            }
        }
    }

    fn begin(&mut self, mut stretch: Stretch) {
        // What was made of times that are ahead of all others ends here.
        self.stretches.retain(|known| known.lowest.first().is_some_and(|first| first.rtp < stretch.from_rtp));
        if self.stretches.is_empty() {
            self.newest = self.newest.map(|(_, at)| (stretch.from_rtp, at));
            stretch.from_rtp = i64::MIN;
        }
        self.stretches.push(stretch);
    }
}

/// Far beyond any call, and near enough that no sum of two overflows.
fn ticks(rtp: u64) -> i64 {
    rtp.min(1 << 46) as i64
}

/// The length of samples, or ticks, of 48 kHz in nanoseconds, rounded down.
pub fn nanos(ticks: i64) -> i64 {
    (i128::from(ticks) * 62_500 / 3) as i64
}

/// The length of a stretch of time, to the nearest sample.
pub fn samples(nanos: i64) -> i64 {
    (i128::from(nanos) * 3 + 31_250).div_euclid(62_500) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn what_was_heard_stays_unless_it_is_known_much_better() {
        let step = |from_rtp, offset| Step { from_rtp, offset };
        let live = Placement { steps: vec![step(i64::MIN, 10), step(5_000, 300)] };
        let better = Placement { steps: vec![step(i64::MIN, 0), step(1_000, 250), step(4_000, 305)] };
        let (placement, corrected) = live.corrected(&better, 100, 9_000, 20);
        assert_eq!(placement.steps, [step(i64::MIN, 10), step(1_000, 250), step(4_000, 305), step(5_000, 300)]);
        assert_eq!(corrected, std::iter::once(1_000..5_000).collect::<Vec<_>>());
        assert_eq!(better.corrected(&better, 100, 9_000, 20), (better.clone(), Vec::new()));
    }

    #[test]
    fn what_is_said_anew_holds_for_all_that_lies_behind() {
        let step = |from_rtp, offset| Step { from_rtp, offset };
        let mut live = Placement { steps: vec![step(i64::MIN, 10), step(1_000, 20), step(2_000, 30)] };
        let wanted = live.followed_by(&Placement { steps: vec![step(i64::MIN, 10), step(1_800, 40)] }, 1_500);
        let changes = live.changes_to(&wanted);
        assert_eq!(changes, [step(1_500, 10), step(1_800, 40)]);
        for change in changes {
            live.step(change);
        }
        assert_eq!(live, wanted);
        let shorter = Placement { steps: vec![step(i64::MIN, 10)] };
        for change in live.changes_to(&shorter) {
            live.step(change);
        }
        assert_eq!(live.difference(&shorter, 0, 9_000), 0);
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
        fn no_numbers_make_it_panic(points in prop::collection::vec((any::<u64>(), any::<i64>()), 0..300), zero in any::<i64>()) {
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
