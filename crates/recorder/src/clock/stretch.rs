//! A stretch of RTP time in which a sender's clock ran on, and the line below its packets.

use super::{FEW, RATE, nanos, ticks};

/// RTP ticks that are summed up in one number.
pub(super) const BUCKET: i64 = 10 * RATE;
/// A sender's crystal is not further off than this (parts of a million); beyond it the measurement is wrong.
const MAX_DRIFT: f64 = 1e-3;
/// A line needs to be seen this long, in buckets, before its slope is believed.
const MIN_BUCKETS: usize = 6;

/// A cell lasts this long, in RTP ticks (1 s): in a longer one the clock may have stood still unseen.
const CELL: i64 = RATE;
/// Packets behind a hole in RTP time (200 ms), or behind a break in which nothing arrived (60 ms, in nanoseconds), lie in another cell:
/// the clock may have stood still there.
const HOLE: i64 = RATE / 5;
const BREAK: i64 = 60_000_000;

/// A packet, or a sender report: one point that the clock passes below.
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

/// A second or so of packets, all of which came later than the clock of before would have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell {
    /// The highest RTP time before it: if the clock stood still, then from there on.
    pub behind_rtp: i64,
    pub from_rtp: i64,
    pub to_rtp: i64,
    /// When its first packet arrived.
    pub arrived: i64,
    /// Whether nothing had arrived for a while before that.
    pub is_after_pause: bool,
    pub packets: u32,
    pub is_behind_hole: bool,
    /// Whether its last packet followed the one before it, as those of speech do.
    is_speech: bool,
    pub best: Point,
    /// The delays of all its packets.
    pub sum: i128,
}

impl Cell {
    /// A cell that begins with this packet; `newest` is the highest RTP time before it.
    pub(super) fn new(point: Point, arrived: i64, newest: i64, is_after_pause: bool) -> Self {
        let is_speech = point.rtp - newest < HOLE;
        let is_behind_hole = !is_speech;
        let (from_rtp, to_rtp, sum) = (point.rtp, point.rtp, i128::from(point.delay));
        Self {
            behind_rtp: newest,
            from_rtp,
            to_rtp,
            arrived,
            is_after_pause,
            packets: 1,
            is_speech,
            is_behind_hole,
            best: point,
            sum,
        }
    }

    pub(super) fn take(&mut self, point: Point) {
        self.is_speech = point.rtp - self.to_rtp < HOLE;
        self.from_rtp = self.from_rtp.min(point.rtp);
        self.to_rtp = self.to_rtp.max(point.rtp);
        self.packets += 1;
        self.sum += i128::from(point.delay);
        if point.delay < self.best.delay {
            self.best = point;
        }
    }

    /// Whether a packet with a later time belongs to the next cell. Nothing had arrived for `since` nanoseconds.
    pub(super) fn ends_before(&self, point: Point, since: i64) -> bool {
        // In a silence there is a packet every 420 ms, too few to tell anything by themselves.
        self.is_speech && point.rtp - self.to_rtp >= HOLE
            || self.packets >= FEW && (point.rtp - self.from_rtp >= CELL || since >= BREAK)
    }
}

/// A stretch of RTP time in which the sender's clock ran on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Stretch {
    pub from_rtp: i64,
    pub packets: u32,
    /// The lowest point of every ten seconds, in the order of their RTP times.
    pub lowest: Vec<Point>,
    /// How far it lay above the one before when it was begun, in nanoseconds; 0 when it lay below.
    pub rise: i64,
    pub line: Line,
    best: Option<i64>,
    reported: Option<i64>,
    /// How far packets lay above the line, together.
    excess: f64,
}

impl Stretch {
    pub(super) fn from(from_rtp: i64) -> Self {
        Self { from_rtp, ..Self::default() }
    }

    pub(super) fn take(&mut self, point: Point) {
        self.packets += 1;
        self.pass_below(point);
        self.excess += self.above(point).max(0) as f64;
    }

    pub(super) fn take_cell(&mut self, cell: &Cell) {
        self.packets += cell.packets;
        self.pass_below(cell.best);
        let mean = (cell.sum / i128::from(cell.packets)) as i64;
        self.excess += self.above(Point { delay: mean, ..cell.best }).max(0) as f64 * f64::from(cell.packets);
    }

    /// What was taken for a stretch of its own belongs to this one.
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

    /// How far a point lies above the line, in nanoseconds.
    pub(super) fn above(&self, point: Point) -> i64 {
        point.delay.saturating_sub(self.line.delay_at(point.rtp) as i64)
    }

    /// How far packets lie above the line, in nanoseconds, on average.
    pub(super) fn spread(&self) -> f64 {
        self.excess / f64::from(self.packets.max(1))
    }

    fn pass_below(&mut self, point: Point) {
        let bucket = |point: &Point| point.rtp.div_euclid(BUCKET);
        let at = self.lowest.partition_point(|known| bucket(known) < bucket(&point));
        match self.lowest.get_mut(at) {
            Some(known) if bucket(known) == bucket(&point) && known.delay <= point.delay => {
                // With so many packets the report counts no more.
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

    /// The line below all points that lies closest to them: the edge of their lower convex hull over the middle.
    fn line_below(&self) -> Line {
        // A report is up to 20 ms nearer to the speaker's mouth than the fastest packet, and only some streams get one in
        // time: it counts where there is next to nothing else, so that all streams of a room lie alike.
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
        // Nanoseconds a tick; a tick is 20,833 ns.
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
