//! Maps a stream's RTP time to the wall clock, from the arrival of its packets and from sender reports.
//!
//! A packet arrives some time after it was spoken, never before. So the fastest packets of a stream show where its clock is: they
//! form the lower envelope of `arrival - RTP time`. In hindsight, a straight line below that envelope follows a sender's clock that
//! runs too fast or too slow. Of every ten seconds one point is kept, so that a query costs the same for a live stream and a whole
//! call.
//!
//! A sender's RTP clock also stalls: libwebrtc counts samples, and an agent whose queue runs empty provides none for some 90 ms at
//! each of its turns. Then the envelope steps up and stays up, whereas it comes down again after a queue in the network. So packets
//! above the line are kept apart until one is on it again, which shows that the clock ran on, or until there are too many for
//! chance. If a packet is lower after all, the step is taken back. Sender reports, where there are any, show either sooner.

mod extend;
mod placement;
#[cfg(test)]
mod stalled_anywhere;
#[cfg(test)]
mod stalled_clock;
mod steps;
mod stretch;

use std::collections::{BTreeMap, VecDeque};

pub use extend::RtpTimes;
pub use placement::{Placement, Step};
use stretch::{BUCKET, Cell, Point, Stretch};

/// Ticks per second of Opus in RTP (RFC 7587 section 4.1).
pub const RATE: i64 = 48_000;
/// The longest stream or recording, in ticks (48 h): anything further on was not measured but made up.
pub const LONGEST: i64 = 48 * 3600 * RATE;
/// Placement changes in steps of this size, in samples (2.5 ms): between two steps packets follow each other exactly.
const STEP: i64 = 120;

const MS: i64 = 1_000_000;
/// A pause in which the sender's clock may have jumped, in nanoseconds.
const PAUSE: i64 = 500 * MS;
/// A clock jump over such a pause is accepted at once from this size on, in nanoseconds. Fewer packets than [`EVIDENCE`] that are
/// further ahead than this have wrong timestamps.
const JUMP: i64 = 150 * MS;
/// Packets that must have arrived after a jump before it is accepted at once.
const EVIDENCE: u32 = 100;
/// With fewer packets than this a stream's clock is uncertain, and no step is detected.
const FEW: u32 = 10;
/// A point no further above the line than this counts as on it, in nanoseconds.
const CLOSE: i64 = 10 * MS;
/// Packets overtake each other by this much at most, in nanoseconds (600 ms).
const WAIT: i64 = 600 * MS;
/// A queue in the network is over after this long, in RTP ticks (10 min): a step older than that is no longer taken back.
const QUEUE: i64 = 600 * RATE;
/// A queue in the network delays packets by no more than this, in nanoseconds (1 s).
const LONGEST_QUEUE: i64 = 1_000 * MS;
/// The sender reports that are kept: about a minute.
const REPORTS: usize = 16;

/// The estimate of a stream's RTP clock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Clock {
    stretches: Vec<Stretch>,
    /// The highest plausible RTP time, and when the last packet arrived.
    newest: Option<(i64, i64)>,
    /// The delays of recent packets above the line, by RTP time.
    waiting: BTreeMap<i64, i64>,
    /// The highest RTP time and the latest arrival of all other packets.
    passed: Option<(i64, i64)>,
    /// The packets since the last one on the line, in order of RTP time.
    above: Vec<Cell>,
    /// Packets so far ahead of the line that the sender's clock jumped, or else their timestamps are wrong; and whether they came
    /// after a pause.
    ahead: Option<(Stretch, bool)>,
    reports: VecDeque<Report>,
}

/// A sender report, and the highest RTP time of the packets that had arrived before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Report {
    point: Point,
    newest: i64,
}

impl Clock {
    /// Takes a packet with this (extended) RTP time that arrived at `arrived`, in nanoseconds since the Unix epoch. False when it
    /// is so far ahead of the clock that its timestamp is taken to be wrong, until [`Clock::is_ahead`] says otherwise.
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
        // Packets arrive out of order: what is above the line waits until the packets before it are there.
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
            // The waiting packets arrived earlier although they are later by the clock: they were spoken before this one.
            self.take_all_above();
            self.take_on_line(point);
        } else {
            let double = self.waiting.insert(point.rtp, point.delay);
            if let Some(double) = double.filter(|double| *double < point.delay) {
                self.waiting.insert(point.rtp, double);
            }
        }
    }

    /// Whether a packet is too far ahead of the clock for its timestamp to be right.
    pub fn is_ahead(&self, rtp: u64, arrived: i64) -> bool {
        self.is_beyond(Point::new(rtp, arrived))
    }

    /// Takes a sender report: the sender's wall clock, or LiveKit's, at an RTP time.
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

    /// Where packets go on a timeline of samples that begins at `zero` (nanoseconds since the Unix epoch), if nothing more arrives.
    pub fn placement(&self, zero: i64) -> Placement {
        let mut clock = self.clone();
        clock.take_all_above();
        clock.look_for_steps(false);
        clock.run_on(clock.above.len());
        clock.placement_so_far(zero)
    }

    /// Where packets go while the call is still going on: clock steps that may be a queue in the network are not followed yet.
    pub fn placement_so_far(&self, zero: i64) -> Placement {
        let mut placement = Placement::default();
        let newest = self.newest.map_or(0, |(rtp, _)| rtp);
        for (number, stretch) in self.stretches.iter().enumerate() {
            let first = stretch.lowest.first().map_or(0, |point| point.rtp);
            let end = self.stretches.get(number + 1).map_or(newest + BUCKET, |next| next.from_rtp).min(first + LONGEST);
            let offset = |rtp: i64| samples(nanos(rtp) + stretch.line.delay_at(rtp) as i64 - zero) - rtp;
            let mut current = offset(first.max(stretch.from_rtp));
            placement.steps.push(Step { from_rtp: stretch.from_rtp, offset: current });
            // So a packet is off by little more than a step.
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

    /// About how much memory this takes, in bytes.
    pub(crate) fn held(&self) -> usize {
        // A B-tree node is half full at worst.
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

    /// Whether a point is further below its line than jitter, the end of a queue or drift over a silence can explain; or is minutes
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

    /// Takes a point far below the line. True when it is accepted.
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
        let later = self.stretches.split_off((before + 1).min(self.stretches.len()));
        if let Some(last) = self.stretches.last_mut() {
            later.iter().chain([&ahead]).for_each(|stretch| last.absorb(stretch));
        }
        true
    }

    /// The stretch after which there was not a jump but a queue in the network, which ends with this point.
    fn queue_before(&self, point: Point, is_after_pause: bool) -> Option<usize> {
        let last = self.stretches.len().checked_sub(1)?;
        if !is_after_pause && (-LONGEST_QUEUE..0).contains(&self.stretches[last].above(point)) {
            return Some(last);
        }
        let pairs = self.stretches.windows(2).enumerate().rev();
        let mut queues = pairs.take_while(|(_, pair)| point.rtp - pair[1].from_rtp < QUEUE && pair[1].rise > 0);
        queues.find(|(_, pair)| (-CLOSE..JUMP).contains(&pair[0].above(point))).map(|(before, _)| before)
    }

    /// A packet with a right timestamp arrived, which makes those ahead of it less plausible.
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

    /// Takes a packet that is above the line, after those that were spoken before it.
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
            // It arrived far later than packets that were spoken after it.
            None if (before - QUEUE..before).contains(&point.rtp) => last.take(point),
            _ => {
                self.above.push(next);
                self.look_for_steps(true);
            }
        }
        self.pass(point);
        self.take_back(point);
    }

    /// Merges the newest cells of a section while the last is no later than the one before it.
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
        // No packet is that late: the highest time so far was too far ahead.
        let rtp = if rtp - point.rtp > QUEUE { point.rtp } else { rtp.max(point.rtp) };
        self.passed = Some((rtp, at.max(arrived)));
    }

    /// The clock ran on during these first cells above the line: they were only late.
    fn run_on(&mut self, cells: usize) {
        if let Some(last) = self.stretches.last_mut() {
            self.above.drain(..cells).for_each(|cell| last.take_cell(&cell));
        }
    }

    /// Takes back an accepted step that turned out to be a queue in the network.
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
        // Stretches made of timestamps ahead of all others end here.
        self.stretches.retain(|known| known.lowest.first().is_some_and(|first| first.rtp < stretch.from_rtp));
        if self.stretches.is_empty() {
            self.newest = self.newest.map(|(_, at)| (stretch.from_rtp, at));
            stretch.from_rtp = i64::MIN;
        }
        self.stretches.push(stretch);
    }
}

/// RTP ticks, capped far beyond any call and so low that no sum of two overflows.
fn ticks(rtp: u64) -> i64 {
    rtp.min(1 << 46) as i64
}

/// The duration of samples or ticks at 48 kHz in nanoseconds, rounded towards zero.
pub fn nanos(ticks: i64) -> i64 {
    (i128::from(ticks) * 62_500 / 3) as i64
}

/// A duration in nanoseconds, to the nearest sample at 48 kHz.
pub fn samples(nanos: i64) -> i64 {
    (i128::from(nanos) * 3 + 31_250).div_euclid(62_500) as i64
}

#[cfg(test)]
mod tests;
