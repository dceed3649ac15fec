//! A stretch of RTP time in which a sender's clock ran without a stall, and the line below its packets.

use super::{FEW, RATE, nanos, ticks};

/// The RTP ticks of which one point is kept (10 s).
pub(super) const BUCKET: i64 = 10 * RATE;
/// The largest drift of a sender's crystal, as a fraction (1,000 ppm); beyond it the measurement is wrong.
const MAX_DRIFT: f64 = 1e-3;
/// How long a line has to be observed before its slope is trusted, in buckets.
const MIN_BUCKETS: usize = 6;

/// The length of a cell, in RTP ticks (1 s): in a longer one a stall could go unnoticed.
const CELL: i64 = RATE;
/// A packet after a hole in RTP time (200 ms), or after a break in which nothing arrived (60 ms, in nanoseconds), is in another
/// cell: the clock may have stalled there.
const HOLE: i64 = RATE / 5;
const BREAK: i64 = 60_000_000;
/// A packet later by this much than the fastest of its cell, in nanoseconds (5 ms), begins a cell of its own, until one arrives
/// that is as fast: the clock may have stalled just before it, whatever came before that.
const LATER: i64 = 5_000_000;
/// A retransmitted packet is hundreds of milliseconds late and says nothing about the spread of the others: at most this
/// (100 ms), or this many times the spread of the line if that is more, is counted.
const OUTLIER: i64 = 100_000_000;
const OUTLIER_SPREADS: f64 = 8.0;
/// Packets that arrive within this time of each other, in nanoseconds (3 ms), were held up together.
const AT_ONCE: i64 = 3_000_000;

/// A packet or a sender report: a point that the line passes below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub rtp: i64,
    pub delay: i64,
}

impl Point {
    pub(super) fn new(rtp: u64, at: i64) -> Self {
        let rtp = ticks(rtp);
        Self { rtp, delay: at.clamp(-(1 << 61), 1 << 61) - nanos(rtp) }
    }
}

/// Up to a second of packets, all of which arrived later than the clock so far would have it. Successive cells in the same section
/// of a second or so are each later than the one before.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
pub(super) struct Cell {
    /// The first RTP time of its section, and the number of packets in the section up to the cell's last.
    section: (i64, u32),
    /// Whether its section begins with it.
    pub is_first: bool,
    /// The highest RTP time before it: if the clock stalled, then from there on.
    pub after_rtp: i64,
    pub from_rtp: i64,
    pub to_rtp: i64,
    /// When its first packet arrived.
    pub arrived: i64,
    /// Whether nothing had arrived for a while before that.
    pub is_after_pause: bool,
    pub packets: u32,
    pub is_after_hole: bool,
    /// Whether its last packet followed the one before it without a hole, as in speech.
    is_speech: bool,
    pub best: Point,
    /// Its deliveries: packets that arrived one by one, or several at once, of which the last shows how late they were.
    pub deliveries: u32,
    /// The delays of all deliveries, none counted as more than `most` above the best.
    pub sum: i128,
    /// When its last packet arrived, and what it adds to the sum.
    last: (i64, i64),
}

impl Cell {
    /// A cell that begins with this packet; `newest` is the highest RTP time before it.
    pub(super) fn new(point: Point, arrived: i64, newest: i64, is_after_pause: bool) -> Self {
        let is_speech = point.rtp - newest < HOLE;
        let is_after_hole = !is_speech;
        let (from_rtp, to_rtp, sum) = (point.rtp, point.rtp, i128::from(point.delay));
        Self {
            section: (point.rtp, 1),
            is_first: true,
            after_rtp: newest,
            from_rtp,
            to_rtp,
            arrived,
            is_after_pause,
            packets: 1,
            is_speech,
            is_after_hole,
            best: point,
            deliveries: 1,
            sum,
            last: (arrived, point.delay),
        }
    }

    /// A cell of the same section that begins with this packet, which is later than all packets of this cell.
    pub(super) fn followed_by(&self, next: Self) -> Self {
        Self { section: (self.section.0, self.section.1 + 1), is_first: false, ..next }
    }

    /// Whether a packet is so much later than the packets here that the clock may have stalled just before it.
    pub(super) fn is_earlier_than(&self, point: Point) -> bool {
        point.delay.saturating_sub(self.best.delay) > LATER
    }

    /// Whether another cell is in the same section.
    pub(super) fn is_of_section(&self, other: &Self) -> bool {
        self.section.0 == other.section.0
    }

    /// Whether the next cell is in the same section and not later.
    pub(super) fn goes_on_with(&self, next: &Self) -> bool {
        self.is_of_section(next) && !self.is_earlier_than(next.best)
    }

    /// Merges the cell that follows.
    pub(super) fn absorb(&mut self, next: &Self, most: i64) {
        self.section.1 = next.section.1;
        self.is_speech = next.is_speech;
        self.from_rtp = self.from_rtp.min(next.from_rtp);
        self.to_rtp = self.to_rtp.max(next.to_rtp);
        self.packets += next.packets;
        self.deliveries += next.deliveries;
        self.sum += next.sum;
        self.last = next.last;
        if next.best.delay < self.best.delay {
            self.best = next.best;
        }
        self.bound(most);
    }

    fn bound(&mut self, most: i64) {
        self.sum = self.sum.min(i128::from(self.deliveries) * i128::from(self.best.delay.saturating_add(most)));
    }

    /// Adds a packet; it counts as at most `most` nanoseconds later than the best.
    pub(super) fn take(&mut self, point: Point, most: i64) {
        self.section.1 += 1;
        self.is_speech = point.rtp - self.to_rtp < HOLE;
        let is_next = point.rtp > self.to_rtp;
        self.from_rtp = self.from_rtp.min(point.rtp);
        self.to_rtp = self.to_rtp.max(point.rtp);
        self.packets += 1;
        if point.delay < self.best.delay {
            self.best = point;
        }
        let counted = point.delay.min(self.best.delay.saturating_add(most));
        let arrived = point.delay.saturating_add(nanos(point.rtp));
        if is_next && arrived.saturating_sub(self.last.0).abs() < AT_ONCE {
            self.sum -= i128::from(self.last.1);
        } else {
            self.deliveries += 1;
        }
        self.sum += i128::from(counted);
        if is_next {
            self.last = (arrived, counted);
        }
        self.bound(most);
    }

    /// Whether a packet with a later time belongs to the next section. Before it, nothing had arrived for `since` nanoseconds.
    pub(super) fn ends_before(&self, point: Point, since: i64) -> bool {
        // In a silence there is a packet every 420 ms: too few to show anything by themselves.
        self.is_speech && point.rtp - self.to_rtp >= HOLE
            || self.section.1 >= FEW && (point.rtp - self.section.0 >= CELL || since >= BREAK)
    }
}

/// A stretch of RTP time in which the sender's clock ran without a stall.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stretch {
    pub from_rtp: i64,
    pub packets: u32,
    /// The lowest point of every ten seconds, in order of RTP time.
    pub lowest: Vec<Point>,
    /// How far it was above the stretch before when it began, in nanoseconds; 0 when it was below.
    pub rise: i64,
    pub line: Line,
    best: Option<i64>,
    reported: Option<i64>,
    /// The sum of how far packets are above the line, in nanoseconds.
    excess: f64,
}

impl Stretch {
    pub(super) fn from(from_rtp: i64) -> Self {
        Self { from_rtp, ..Self::default() }
    }

    pub(super) fn take(&mut self, point: Point) {
        let most = self.outlier();
        self.packets += 1;
        self.pass_below(point);
        self.excess += self.above(point).clamp(0, most) as f64;
    }

    pub(super) fn take_cell(&mut self, cell: &Cell) {
        self.packets += cell.packets;
        self.pass_below(cell.best);
        let mean = (cell.sum / i128::from(cell.deliveries)) as i64;
        self.excess += self.above(Point { delay: mean, ..cell.best }).max(0) as f64 * f64::from(cell.packets);
    }

    /// Merges what was taken for a stretch of its own.
    pub(super) fn absorb(&mut self, other: &Self) {
        other.lowest.iter().for_each(|point| self.pass_below(*point));
        self.packets += other.packets;
        self.excess += other.excess + other.rise as f64 * f64::from(other.packets);
    }

    pub(super) fn report(&mut self, point: Point) {
        if self.best.is_some_and(|best| (point.delay - best).abs() < 50_000_000) {
            self.reported = Some(self.reported.map_or(point.delay, |known| known.min(point.delay)));
            self.line = self.line_below();
        }
    }

    /// How far a point is above the line, in nanoseconds.
    pub(super) fn above(&self, point: Point) -> i64 {
        point.delay.saturating_sub(self.line.delay_at(point.rtp) as i64)
    }

    /// How far above the line a packet has to be, in nanoseconds, to show no more than that it was retransmitted.
    pub(super) fn outlier(&self) -> i64 {
        OUTLIER.max((self.spread() * OUTLIER_SPREADS) as i64)
    }

    /// How far packets are above the line on average, in nanoseconds.
    pub(super) fn spread(&self) -> f64 {
        self.excess / f64::from(self.packets.max(1))
    }

    fn pass_below(&mut self, point: Point) {
        let bucket = |point: &Point| point.rtp.div_euclid(BUCKET);
        let at = self.lowest.partition_point(|known| bucket(known) < bucket(&point));
        match self.lowest.get_mut(at) {
            Some(known) if bucket(known) == bucket(&point) && known.delay <= point.delay => {
                // With this many packets the report no longer counts.
                if self.packets < FEW || self.reported.take().is_none() {
                    return;
                }
            }
            Some(known) if bucket(known) == bucket(&point) => *known = point,
            _ => self.lowest.insert(at, point),
        }
        self.best = Some(self.best.map_or(point.delay, |best| best.min(point.delay)));
        self.line = self.line_below();
    }

    /// The line below all points that is closest to them: the edge of their lower convex hull over the middle.
    fn line_below(&self) -> Line {
        // A report is up to 20 ms closer to the moment of speaking than the fastest packet, and only some streams get one in time:
        // it counts only where there is next to nothing else, so that all streams of a room are placed alike.
        let reported = self.reported.filter(|_| self.packets < FEW);
        let best = self.best.into_iter().chain(reported).min().unwrap_or(0);
        let flat = Line { at: 0, delay: best as f64, slope: 0.0 };
        if self.lowest.len() < MIN_BUCKETS {
            return flat;
        }
        let hull = lower_hull(self.lowest.iter().copied());
        let middle = self.lowest.iter().map(|point| point.rtp as f64).sum::<f64>() / self.lowest.len() as f64;
        let edge = hull.windows(2).find(|edge| edge[1].rtp as f64 >= middle);
        let Some([from, to]) = edge.and_then(|edge| <&[Point; 2]>::try_from(edge).ok()) else { return flat };
        let slope = (to.delay - from.delay) as f64 / (to.rtp - from.rtp) as f64;
        // Nanoseconds per tick; a tick is 20,833 ns.
        if slope.abs() > MAX_DRIFT * 1e9 / RATE as f64 {
            return flat;
        }
        Line { at: from.rtp, delay: from.delay as f64, slope }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Line {
    at: i64,
    delay: f64,
    slope: f64,
}

impl Line {
    pub(super) fn delay_at(&self, rtp: i64) -> f64 {
        self.delay + self.slope * (rtp - self.at) as f64
    }
}

/// Andrew's monotone chain; the points are in order of RTP time.
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
