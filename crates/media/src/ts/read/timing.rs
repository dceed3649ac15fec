//! When something begins and how long it is, in ticks of 90 kHz.

/// When something begins and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The PTS of its beginning, in ticks of 90 kHz modulo 2^33 (ISO/IEC 13818-1, section 2.4.3.7).
    pub start: u64,
    /// Its length in ticks of 90 kHz.
    pub ticks: u64,
}

impl Timing {
    /// The ticks between its end and the start of what comes next: below zero when they overlap. Exact to a tick, to which both are
    /// rounded, and as long as they are less than 13 hours apart.
    pub fn gap_to(&self, next: Self) -> i64 {
        difference(next.start, self.start.wrapping_add(self.ticks))
    }
}

/// The difference of two timestamps of which one may have wrapped, from -2^32 to 2^32 - 1.
pub fn difference(one: u64, other: u64) -> i64 {
    // The upper 31 bits drop out, and the sign is that of the 33rd.
    (one.wrapping_sub(other) << 31).cast_signed() >> 31
}
