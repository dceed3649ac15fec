//! Reads the bits of a NAL unit (ITU-T H.264, sections 7.3.1 and 9.1).

/// Reads bits, most significant first, and passes over the bytes that keep start codes out of a unit.
pub struct Bits<'a> {
    bytes: &'a [u8],
    /// The bits of the current byte that are not read yet.
    left: u32,
    /// The zero bytes directly before the next byte.
    zeros: u32,
    current: u8,
}

impl<'a> Bits<'a> {
    /// Starts at the beginning of some bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, left: 0, zeros: 0, current: 0 }
    }

    /// The next bit; `None` at the end.
    pub fn bit(&mut self) -> Option<bool> {
        if self.left == 0 {
            if self.zeros >= 2 && self.bytes.first() == Some(&3) {
                (self.bytes, self.zeros) = (&self.bytes[1..], 0);
            }
            let (first, rest) = self.bytes.split_first()?;
            (self.bytes, self.current, self.left) = (rest, *first, 8);
            self.zeros = if *first == 0 { self.zeros + 1 } else { 0 };
        }
        self.left -= 1;
        Some(self.current >> self.left & 1 == 1)
    }

    /// The next `count` bits as a number, 32 at most.
    pub fn number(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | u32::from(self.bit()?)))
    }

    /// The next number in Exp-Golomb code, `ue(v)`; `None` when it has more than 31 bits.
    pub fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
        }
        (zeros < 32).then_some(())?;
        Some((1 << zeros) - 1 + self.number(zeros)?)
    }

    /// The next signed number, `se(v)`.
    pub fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.unsigned()?);
        Some(if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 })
    }
}
