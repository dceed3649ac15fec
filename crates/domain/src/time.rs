//! Types for the two clocks: the wall clock of the conversation and the media time of its playback.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant of wall-clock time: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(i64);

impl WallTime {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From milliseconds since the Unix epoch; saturates at the ends of the range (the years 1677 and 2262).
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// From float seconds since the Unix epoch, as the agents SDK writes them. `None` when the value is not finite or
    /// outside the years 1970 to 2261: such a time counts as missing, not as slightly wrong.
    pub fn from_unix_seconds(seconds: f64) -> Option<Self> {
        (seconds.is_finite() && (0.0..9.2e9).contains(&seconds)).then(|| Self((seconds * 1e9).round() as i64))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant, later by a number of nanoseconds (earlier when negative); saturating.
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// The instant `wait` after this one; saturating.
    pub fn after(self, wait: Duration) -> Self {
        self.plus_nanos(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The instant `age` before this one; saturating.
    pub fn before(self, age: Duration) -> Self {
        self.plus_nanos(-i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
    }

    /// Nanoseconds from `earlier` to this instant, negative when it is later; saturating.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A position on, or a length of, a recording's media timeline: ticks of 90 kHz, the clock of MPEG-TS
/// (ISO/IEC 13818-1 section 2.4.3.7). One 48 kHz AAC frame of 1,024 samples is exactly 1,920 ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MediaTime(i64);

impl MediaTime {
    /// Ticks per second.
    pub const TIMESCALE: i64 = 90_000;
    /// The beginning.
    pub const ZERO: Self = Self(0);

    /// From ticks of 90 kHz.
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// From samples of 48 kHz, rounded down to a tick (8 samples are 15 ticks).
    pub const fn from_samples_48k(samples: i64) -> Self {
        Self(samples.saturating_mul(15).div_euclid(8))
    }

    /// From nanoseconds, rounded to the nearest tick; saturating.
    pub fn from_nanos(nanos: i64) -> Self {
        let ticks = (i128::from(nanos) * 9 + 50_000).div_euclid(100_000);
        Self(i64::try_from(ticks).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }

    /// From milliseconds.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(90))
    }

    /// Ticks of 90 kHz.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// Samples of 48 kHz, rounded down.
    pub const fn as_samples_48k(self) -> i64 {
        self.0.saturating_mul(8).div_euclid(15)
    }

    /// Nanoseconds, rounded down; saturating.
    pub fn as_nanos(self) -> i64 {
        let nanos = (i128::from(self.0) * 100_000).div_euclid(9);
        i64::try_from(nanos).unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX })
    }

    /// Milliseconds, rounded to the nearest.
    pub const fn as_millis(self) -> i64 {
        self.0.saturating_add(45).div_euclid(90)
    }
}

impl Add for MediaTime {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for MediaTime {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_aac_frame_is_a_whole_number_of_ticks() {
        assert_eq!(MediaTime::from_samples_48k(1024).ticks(), 1920);
    }

    #[test]
    fn sdk_times_survive_to_the_microsecond() {
        let t = WallTime::from_unix_seconds(1_795_439_500.625_741_2).unwrap();
        assert!((t.as_nanos() - 1_795_439_500_625_741_200).abs() < 500);
        assert_eq!(WallTime::from_unix_seconds(f64::NAN), None);
        assert_eq!(WallTime::from_unix_seconds(-1.0), None);
        assert_eq!(WallTime::from_unix_seconds(1e300), None);
    }

    proptest! {
        #[test]
        fn ticks_and_nanoseconds_round_trip(ticks in -8_000_000_000_000_i64..8_000_000_000_000) {
            let t = MediaTime::from_ticks(ticks);
            prop_assert_eq!(MediaTime::from_nanos(t.as_nanos()), t);
        }

        #[test]
        fn no_conversion_panics(n in any::<i64>()) {
            let _ = (MediaTime::from_nanos(n), MediaTime::from_samples_48k(n), MediaTime::from_ticks(n).as_nanos());
            let _ = (MediaTime::from_ticks(n).as_millis(), WallTime::from_millis(n).plus_nanos(n).as_millis());
        }
    }
}
