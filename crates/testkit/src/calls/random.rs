//! Pseudo-random numbers that are the same in every run: splitmix64.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number uniformly distributed between `low` and `high`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.number() >> 11) as f64 / (1_u64 << 53) as f64)
    }

    /// True with probability `share`.
    pub fn chance(&mut self, share: f64) -> bool {
        self.range(0.0, 1.0) < share
    }

    /// White noise with a root mean square of 1, close to a normal distribution.
    pub fn noise(&mut self) -> f32 {
        let sum: f64 = (0..4).map(|_| self.range(-1.0, 1.0)).sum();
        (sum * 0.866) as f32
    }
}
