//! Detects where a sender's clock stalled: which packets are above the line for another reason than chance.

use super::stretch::{Cell, Stretch};
use super::{CLOSE, Clock, EVIDENCE, FEW, JUMP, LONGEST_QUEUE, MS, RATE, Report};

/// Steps smaller than this are not looked for, in nanoseconds.
const SMALLEST: i64 = 15 * MS;
/// The most cells above the line: if there are more without a step, the line is wrong.
const MOST_CELLS: usize = 240;
/// How long packets must have stayed above the line before a step is accepted while the call is going on, in nanoseconds (10 s).
const HELD: i64 = 10_000 * MS;
/// The same after a pause, for a step larger than any queue in the network (0.4 s): long enough for a restored connection to
/// deliver what it held.
const HELD_LONG: i64 = 400 * MS;
/// How certain it must be that a step is not chance: the natural logarithm of the odds. Less is needed if sender reports agree.
const ODDS: f64 = 10.0;
const ODDS_WITH_REPORTS: f64 = 6.0;
/// A step in the middle of speech is less likely, by this logarithm.
const IN_SPEECH: f64 = 5.0;
/// Where each packet was a candidate for the step, the best one looks this much more certain by chance, as a logarithm.
const CHOSEN: f64 = 3.0;
/// After this many RTP ticks (20 s) reports include a step. LiveKit derives its own from the publisher's last one (livekit-server,
/// pkg/sfu/rtpstats, `GetRtcpSenderReport`), and libwebrtc sends one every 2.5 to 7.5 s.
const REPORTED: i64 = 20 * RATE;

/// What sender reports say about a step of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reports {
    Agree,
    Disagree,
    Silent,
}

impl Clock {
    /// Begins a new stretch wherever the clock stalled.
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

    /// How far all cells above the line are above it, at least.
    fn rise(&self) -> i64 {
        let last = self.stretches.last();
        last.and_then(|last| self.above.iter().map(|cell| last.above(cell.best)).min()).unwrap_or(0)
    }

    /// The first cell before which the clock stalled.
    fn step(&self, goes_on: bool) -> Option<usize> {
        let (mut first, mut end) = (None, self.above.len());
        // The most certain step comes first; there may be more before it.
        while let Some((at, is_old)) = self.surest(end) {
            end = at;
            if is_old || first.is_some() || !goes_on {
                first = Some(at);
            }
        }
        first
    }

    /// The cell from which on all packets before cell `end` are above the line and least likely so by chance; and whether they have
    /// been for so long that it can hardly be a queue.
    fn surest(&self, end: usize) -> Option<(usize, bool)> {
        let last = self.stretches.last()?;
        let now = self.newest.map_or(0, |(_, at)| at);
        let (mut packets, mut deliveries, mut sum) = (0, 0, 0);
        let (mut rise, mut lowest) = (i64::MAX, i64::MAX);
        let mut best: Option<(usize, i64, bool, f64)> = None;
        for (number, cell) in self.above[..end].iter().enumerate().rev() {
            (packets, deliveries, sum) = (packets + cell.packets, deliveries + cell.deliveries, sum + cell.sum);
            (rise, lowest) = (rise.min(last.above(cell.best)), lowest.min(cell.best.delay));
            let mean = (sum / i128::from(deliveries)) as i64;
            let spread = last.spread().max(mean.saturating_sub(lowest) as f64).max(MS as f64);
            // Delays spread evenly up to twice their mean are all above `rise` with a probability of at most e to the minus first
            // term of `odds`.
            let unlikely = if cell.is_after_hole { 0.0 } else { IN_SPEECH } + if cell.is_first { 0.0 } else { CHOSEN };
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
                best = Some((number, rise, is_old, odds));
            }
        }
        best.map(|(number, rise, is_old, _)| (self.first_as_late(number, rise, last), is_old))
    }

    /// The first of the cells up to this one that are all as late as a step of this size makes them: they were spoken after the step
    /// too, however late they are. A step is placed after a hole rather than before it.
    fn first_as_late(&self, number: usize, rise: i64, last: &Stretch) -> usize {
        let pairs = self.above[..=number].windows(2).rev();
        let same = pairs.take_while(|pair| !pair[1].is_after_hole && last.above(pair[0].best) >= rise - CLOSE);
        number - same.count()
    }

    /// What sender reports say about a step of this size. They show it late, and their own clock may step too, so they never cause
    /// one.
    fn reports_on(&self, cell: &Cell, rise: i64) -> Reports {
        let before = self.reports.iter().rposition(|report| report.newest < cell.after_rtp);
        let Some(before) = before else { return Reports::Silent };
        let after = self.reports.range(before + 1..);
        let rises = after.clone().map(|report| report.point.delay.saturating_sub(self.reports[before].point.delay));
        let Some(most) = rises.max() else { return Reports::Silent };
        if most >= SMALLEST && most >= rise / 2 {
            return Reports::Agree;
        }
        // Judged by the packets received before the report, not by its own RTP time, which runs on while the clock stalls.
        let is_in_time = |report: &Report| report.newest >= cell.from_rtp.saturating_add(REPORTED);
        let has_reported = after.clone().next_back().is_some_and(is_in_time);
        if has_reported && most < rise / 3 { Reports::Disagree } else { Reports::Silent }
    }
}
