//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Pauses that double with each failure in a row, up to a longest one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after this many failures in a row; none after none.
    pub fn after(self, failures: u32) -> Duration {
        match failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest),
        }
    }

    /// The same times a factor from 0.75 to 1.25, so that what failed together is not tried again together. `random` is from 0 to 1.
    pub fn spread(self, failures: u32, random: f64) -> Duration {
        self.after(failures).mul_f64(0.75 + 0.5 * random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_however_often_it_fails() {
        let backoff = Backoff { first: Duration::from_millis(250), longest: Duration::from_secs(1) };
        let pauses = [0, 1, 2, 3, 4, 40, u32::MAX].map(|failures| backoff.after(failures).as_millis());
        assert_eq!(pauses, [0, 250, 500, 1_000, 1_000, 1_000, 1_000]);
        let spread = [0.0, 0.5, 1.0, f64::INFINITY].map(|random| backoff.spread(2, random).as_millis());
        assert_eq!(spread, [375, 500, 625, 625]);
    }
}
