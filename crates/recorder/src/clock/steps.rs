//! Where a sender's clock stood still: which packets above the line are so by no chance.

use super::stretch::{Cell, Stretch};
use super::{CLOSE, Clock, EVIDENCE, FEW, JUMP, LONGEST_QUEUE, MS, RATE, Report};

/// Steps that are smaller than this are not looked for, in nanoseconds.
const SMALLEST: i64 = 15 * MS;
/// Cells above the line, at most: behind so many without a step it is the line that is wrong.
const MOST_CELLS: usize = 240;
/// How long packets must have stayed above the line before a step is believed while the call goes on, in nanoseconds (10 s).
const HELD: i64 = 10_000 * MS;
/// The same behind a pause that is longer than any queue in the network (0.4 s): time enough for a connection that is back to deliver
/// what it held.
const HELD_LONG: i64 = 400 * MS;
/// How sure it must be that a step is no chance: the natural logarithm of the odds. With sender reports that say the same less is
/// needed.
const ODDS: f64 = 10.0;
const ODDS_WITH_REPORTS: f64 = 6.0;
/// In the middle of speech a step is less likely, by this logarithm.
const IN_SPEECH: f64 = 5.0;
/// Where it was looked for before each packet, the surest place is surer by chance, by this logarithm.
const CHOSEN: f64 = 3.0;
/// After this many RTP ticks (20 s) a step is in the reports. LiveKit makes its own from the publisher's last one (livekit-server,
/// pkg/sfu/rtpstats, `GetRtcpSenderReport`), and libwebrtc sends one each 2.5 to 7.5 s.
const REPORTED: i64 = 20 * RATE;

/// What sender reports have to say to a step of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reports {
    Agree,
    Disagree,
    Silent,
}

impl Clock {
    /// Begins a stretch wherever the clock stood still.
    pub(super) fn look_for_steps(&mut self, goes_on: bool) {
        while let Some(at) = self.step(goes_on) {
            self.run_on(at);
            let Some((first, rise)) = self.above.first().map(|cell| (cell.from_rtp, self.rise())) else { return };
            let lowest = self.above.iter().map(|cell| cell.best.delay).min().unwrap_or(0);
            let is_on_it = |cell: &Cell| cell.best.delay <= lowest.saturating_add(CLOSE);
            let mine = self.above.iter().rposition(is_on_it).map_or(0, |last| last + 1);
            let mut stretch = Stretch::from(first);
            stretch.rise = rise;
            self.begin(stretch);
            self.run_on(mine);
        }
        if self.above.len() > MOST_CELLS {
            let most = self.stretches.last().map_or(0, Stretch::outlier);
            self.above.dedup_by(|next, before| {
                let is_same = before.is_of_section(next);
                if is_same {
                    before.absorb(next, most);
                }
                is_same
            });
        }
        if self.above.len() > MOST_CELLS {
            self.run_on(MOST_CELLS / 2);
        }
    }

    /// How far all that is above the line is above it, at least.
    fn rise(&self) -> i64 {
        let last = self.stretches.last();
        last.and_then(|last| self.above.iter().map(|cell| last.above(cell.best)).min()).unwrap_or(0)
    }

    /// The first cell at which the clock had stood still.
    fn step(&self, goes_on: bool) -> Option<usize> {
        let (mut first, mut end) = (None, self.above.len());
        // What is surest comes first; there may be more steps before it.
        while let Some((at, is_old)) = self.surest(end) {
            end = at;
            if is_old || first.is_some() || !goes_on {
                first = Some(at);
            }
        }
        first
    }

    /// The cell from which on all packets before cell `end` are above the line, most certainly not by chance; and whether they have
    /// been for so long that it can hardly be a queue.
    fn surest(&self, end: usize) -> Option<(usize, bool)> {
        let last = self.stretches.last()?;
        let now = self.newest.map_or(0, |(_, at)| at);
        let (mut packets, mut deliveries, mut sum) = (0, 0, 0);
        let (mut rise, mut lowest) = (i64::MAX, i64::MAX);
        let mut best: Option<(usize, bool, f64)> = None;
        for (number, cell) in self.above[..end].iter().enumerate().rev() {
            (packets, deliveries, sum) = (packets + cell.packets, deliveries + cell.deliveries, sum + cell.sum);
            (rise, lowest) = (rise.min(last.above(cell.best)), lowest.min(cell.best.delay));
            let mean = (sum / i128::from(deliveries)) as i64;
            let spread = last.spread().max(mean.saturating_sub(lowest) as f64).max(MS as f64);
            // Delays that are evenly spread to twice their mean are all above `rise` with a probability of e to the power of this.
            let unlikely = if cell.is_behind_hole { 0.0 } else { IN_SPEECH } + if cell.is_first { 0.0 } else { CHOSEN };
            let odds = f64::from(deliveries) * rise as f64 / (2.0 * spread) - unlikely;
            let reports = self.reports_on(cell, rise);
            let needed = match reports {
                Reports::Agree => ODDS_WITH_REPORTS,
                Reports::Disagree => f64::INFINITY,
                Reports::Silent => ODDS,
            };
            if rise >= SMALLEST && packets >= FEW && odds >= needed && best.is_none_or(|(.., best)| odds > best) {
                let held = now.saturating_sub(cell.arrived);
                let is_plain = cell.is_after_pause
                    && (rise > JUMP && packets >= EVIDENCE || rise > LONGEST_QUEUE && held >= HELD_LONG);
                let is_old = is_plain || reports == Reports::Agree || held >= HELD;
                best = Some((number, is_old, odds));
            }
        }
        best.map(|(number, is_old, _)| (self.first_as_late(number, last), is_old))
    }

    /// The first of the cells before this one that are all as late: they were spoken after the step too, however late. A step is
    /// behind a hole rather than before it.
    fn first_as_late(&self, number: usize, last: &Stretch) -> usize {
        let late = |cell: &Cell| last.above(cell.best);
        let rise = late(&self.above[number]);
        let pairs = self.above[..=number].windows(2).rev();
        let same = pairs.take_while(|pair| !pair[1].is_behind_hole && late(&pair[0]) >= rise - CLOSE);
        number - same.count()
    }

    /// What sender reports say to a step of this size. They show it late, and their own clock may step too: so they never make one.
    fn reports_on(&self, cell: &Cell, rise: i64) -> Reports {
        let before = self.reports.iter().rposition(|report| report.newest < cell.behind_rtp);
        let Some(before) = before else { return Reports::Silent };
        let behind = self.reports.range(before + 1..);
        let rises = behind.clone().map(|report| report.point.delay.saturating_sub(self.reports[before].point.delay));
        let Some(most) = rises.max() else { return Reports::Silent };
        if most >= SMALLEST && most >= rise / 2 {
            return Reports::Agree;
        }
        // By the packets that had come, and not by its own RTP time: that runs on while the clock stands still.
        let is_in_time = |report: &Report| report.newest >= cell.from_rtp.saturating_add(REPORTED);
        let is_told = behind.clone().next_back().is_some_and(is_in_time);
        if is_told && most < rise / 3 { Reports::Disagree } else { Reports::Silent }
    }
}
