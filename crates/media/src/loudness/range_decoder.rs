//! The range decoder of Opus (RFC 6716 section 4.1), as far as the beginning of a frame needs it.

/// Decodes the symbols at the beginning of a frame.
#[derive(Debug)]
pub(super) struct RangeDecoder<'f> {
    /// What of the frame is not in `next` yet.
    rest: &'f [u8],
    /// The bits that follow, inverted, from the highest on, and how many of them there are.
    next: u64,
    left: u32,
    /// `rng` and `val` of section 4.1.1.
    range: u32,
    value: u32,
    /// Bits that were read, for [`RangeDecoder::tell`].
    bits: i32,
}

impl<'f> RangeDecoder<'f> {
    /// Begins with a frame; what it lacks is taken as zeros.
    pub(super) fn new(frame: &'f [u8]) -> Self {
        let mut decoder = Self { rest: frame, next: 0, left: 0, range: 128, value: 0, bits: 9 };
        decoder.refill();
        // Seven bits: the eighth belongs to the next step.
        decoder.value = (decoder.next >> 57) as u32;
        decoder.next <<= 7;
        decoder.left -= 7;
        decoder.normalize();
        decoder
    }

    #[inline(never)]
    fn refill(&mut self) {
        while self.left <= 56 {
            let (byte, rest) = self.rest.split_first().unwrap_or((&0, &[]));
            self.rest = rest;
            self.next |= u64::from(!byte) << (56 - self.left);
            self.left += 8;
        }
    }

    /// Section 4.1.2.1: as many bytes follow as the range is too small by.
    fn normalize(&mut self) {
        let bits = ((self.range - 1).leading_zeros() - 1) & !7;
        self.bits += bits as i32;
        self.range <<= bits;
        self.value = self.value << bits | (self.next >> 1 >> (63 - bits)) as u32;
        self.next <<= bits;
        self.left -= bits;
        if self.left < 32 {
            self.refill();
        }
    }

    /// How many bits were decoded, rounded up (section 4.1.6).
    pub(super) fn tell(&self) -> i32 {
        self.bits - (32 - self.range.leading_zeros() as i32)
    }

    /// Skips raw bits, which are at the end of the frame.
    pub(super) fn skip_raw(&mut self, bits: i32) {
        self.bits += bits;
    }

    /// A symbol whose probability of being set is 1/2^`log` (section 4.1.3.2).
    pub(super) fn bit(&mut self, log: u32) -> bool {
        let split = self.range >> log;
        let is_set = self.value < split;
        if is_set {
            self.range = split;
        } else {
            self.value -= split;
            self.range -= split;
        }
        self.normalize();
        is_set
    }

    /// A symbol by the inverse of its cumulative distribution, whose total is 1 << `log` (section 4.1.3.3).
    pub(super) fn symbol(&mut self, inverse: &[u8], log: u32) -> u32 {
        let unit = self.range >> log;
        let mut above = self.range;
        for (symbol, &rest) in (0..).zip(inverse) {
            let below = unit * u32::from(rest);
            if self.value >= below {
                self.value -= below;
                self.range = above - below;
                self.normalize();
                return symbol;
            }
            above = below;
        }
        0
    }

    /// A number below `total`, at most 256, all equally likely (section 4.1.5).
    pub(super) fn uniform(&mut self, total: u32) -> u32 {
        let unit = self.range / total;
        let number = total - (self.value / unit + 1).min(total);
        self.take(unit, number, number + 1, total);
        number
    }

    /// The unit of a distribution whose total is 1 << 15 (section 4.1.2).
    pub(super) fn unit(&self) -> u32 {
        self.range >> 15
    }

    /// Where in such a distribution the next symbol lies.
    pub(super) fn place(&self, unit: u32) -> u32 {
        (1 << 15) - (self.value / unit + 1).min(1 << 15)
    }

    /// Whether the next symbol lies at this place, which is not 0, or farther: found without a division.
    pub(super) fn is_from(&self, unit: u32, place: u32) -> bool {
        self.value < unit * (1_u32 << 15).saturating_sub(place)
    }

    /// Takes the next symbol, which lies from `low` up to `high`.
    pub(super) fn update(&mut self, unit: u32, low: u32, high: u32) {
        self.take(unit, low, high, 1 << 15);
    }

    /// Section 4.1.2, `dec_update`.
    fn take(&mut self, unit: u32, low: u32, high: u32, total: u32) {
        let above = unit * (total - high);
        self.value -= above;
        self.range = if low > 0 { unit * (high - low) } else { self.range - above };
        self.normalize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sections 4.1.1 and 4.1.2.1 to the letter: a byte at a time.
    struct ByByte<'f> {
        frame: &'f [u8],
        at: usize,
        last: u32,
        range: u32,
        value: u32,
        bits: i32,
    }

    impl<'f> ByByte<'f> {
        fn new(frame: &'f [u8]) -> Self {
            let mut decoder = Self { frame, at: 0, last: 0, range: 128, value: 0, bits: 9 };
            decoder.last = decoder.byte();
            decoder.value = 127 - (decoder.last >> 1);
            decoder.normalize();
            decoder
        }

        fn byte(&mut self) -> u32 {
            self.at += 1;
            self.frame.get(self.at - 1).copied().unwrap_or(0).into()
        }

        fn normalize(&mut self) {
            while self.range <= 1 << 23 {
                self.bits += 8;
                self.range <<= 8;
                let before = self.last;
                self.last = self.byte();
                let symbol = (before << 8 | self.last) >> 1 & 0xff;
                self.value = ((self.value << 8) + (255 - symbol)) & 0x7fff_ffff;
            }
        }
    }

    proptest! {
        #[test]
        fn many_bits_at_a_time_are_bytes(frame in prop::collection::vec(any::<u8>(), 0..40), logs in prop::collection::vec(1_u32..24, 0..200)) {
            let (mut decoder, mut by_byte) = (RangeDecoder::new(&frame), ByByte::new(&frame));
            for log in logs {
                prop_assert_eq!((decoder.range, decoder.value, decoder.bits), (by_byte.range, by_byte.value, by_byte.bits));
                let split = by_byte.range >> log;
                prop_assume!(split > 0);
                let is_set = by_byte.value < split;
                (by_byte.value, by_byte.range) =
                    if is_set { (by_byte.value, split) } else { (by_byte.value - split, by_byte.range - split) };
                by_byte.normalize();
                let unit = decoder.unit();
                let place = decoder.place(unit);
                prop_assert!((place == 0 || decoder.is_from(unit, place)) && !decoder.is_from(unit, place + 1));
                prop_assert_eq!(decoder.bit(log), is_set);
            }
        }
    }
}
