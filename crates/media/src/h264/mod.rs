//! H.264 as far as one has to know it to play it: where its units are, which begin a picture that needs no other, and what its parameters
//! say (ITU-T H.264).

mod bits;
mod parameters;

pub use parameters::Parameters;

/// The type of a slice of an IDR picture (table 7-1).
const IDR_SLICE: u8 = 5;
/// The type of a sequence parameter set.
const SEQUENCE_PARAMETERS: u8 = 7;

/// The NAL units of a byte stream (Annex B), each with where it begins, without start codes. Zeros may follow the last byte of one.
pub fn units(stream: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut next = start_code(stream, 0);
    std::iter::from_fn(move || {
        let begin = next? + 3;
        next = start_code(stream, begin);
        Some((begin, &stream[begin..next.unwrap_or(stream.len())]))
    })
}

/// Where the next start code is, from a place on.
fn start_code(stream: &[u8], from: usize) -> Option<usize> {
    stream[from..].windows(3).position(|bytes| bytes == [0, 0, 1]).map(|at| from + at)
}

/// Whether a unit is a slice of a picture that can be decoded by itself, and after which no picture needs one before it.
pub fn is_key(unit: &[u8]) -> bool {
    unit.first().is_some_and(|first| first & 0x1f == IDR_SLICE)
}

#[cfg(test)]
mod tests;
