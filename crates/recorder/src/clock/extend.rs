//! Extends 32-bit RTP timestamps to 64 bits, across their wraps.

use super::RATE;

/// Two RTP times further apart than this (an hour) are not taken to follow each other.
const NEAR: u64 = 3600 * RATE as u64;

/// Extends the RTP timestamps of a stream to 64 bits: each to the value nearest to those before. A single stray timestamp changes
/// nothing; a second one near it does, because the sender's clock is then there.
#[derive(Debug, Clone, Copy)]
pub struct RtpTimes {
    newest: u64,
    last: u64,
}

impl RtpTimes {
    /// The times of a stream that begins with this one. They begin after the first wrap, so that there is room for earlier ones.
    pub fn new(first: u32) -> Self {
        let first = (1 << 32) + u64::from(first);
        Self { newest: first, last: first }
    }

    /// Extends the timestamp of a packet.
    pub fn packet(&mut self, time: u32) -> u64 {
        let extended = self.extend(time);
        if extended.abs_diff(self.newest) < NEAR {
            self.newest = self.newest.max(extended);
        } else if extended.abs_diff(self.last) < NEAR {
            self.newest = extended;
        }
        self.last = extended;
        extended
    }

    /// Extends a timestamp from elsewhere, for example a sender report.
    pub fn extend(&self, time: u32) -> u64 {
        let apart = time.wrapping_sub(self.newest as u32) as i32;
        self.newest.saturating_add_signed(i64::from(apart))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_out_of_nowhere_changes_no_other() {
        let mut times = RtpTimes::new(u32::MAX - 1_000);
        let begin = times.packet(u32::MAX - 1_000);
        assert_eq!(times.packet(u32::MAX - 1_960), begin - 960, "an earlier one that came after the first");
        for far in [1 << 30, 1 << 31, 3 << 30] {
            times.packet(far);
            assert_eq!(times.packet(959), begin + 1_960, "over the wrap, whatever came before it");
        }
    }

    #[test]
    fn a_clock_that_is_elsewhere_for_more_than_a_packet_is_followed() {
        let mut times = RtpTimes::new(0);
        let first = times.packet(1 << 30);
        assert_eq!(times.packet((1 << 30) + 960), first + 960);
        assert_eq!(times.packet(1 << 31), first + (1 << 30), "hours of silence");
        assert_eq!(times.packet((1 << 31) + 960), first + (1 << 30) + 960);
        assert_eq!(times.packet(0), first + 3 * (1 << 30), "and on over the wrap");
    }

    proptest! {
        /// The first packet after a silence may be a retransmission, older than the last one before the silence.
        #[test]
        fn packets_sent_again_after_a_silence_lie_before_it(start in any::<u32>(), silence in 0_u32..1 << 29, back in 1_u32..200) {
            let mut times = RtpTimes::new(start);
            let begin = times.packet(start);
            let after = start.wrapping_add(silence);
            prop_assert_eq!(times.packet(start.wrapping_sub(back * 960)), begin - u64::from(back) * 960);
            prop_assert_eq!(times.packet(after), begin + u64::from(silence));
        }
    }
}
