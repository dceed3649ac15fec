//! Random ids, names and keys: the one place where randomness is obtained.

use echosphere_domain::time::WallTime;
use uuid::Uuid;

/// A version 7 UUID (RFC 9562 section 5.7) with this time. It identifies, and is no secret.
pub fn uuid(now: WallTime) -> Uuid {
    let random: [u8; 10] = bytes();
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(now.as_millis()).unwrap_or_default(), &random).into_uuid()
}

/// Twelve hexadecimal digits for a name that must be unique.
pub fn suffix() -> String {
    hex::encode(bytes::<6>())
}

/// Random bytes from the operating system's generator, fit for keys.
#[expect(clippy::disallowed_methods, reason = "this is the room where randomness is reached")]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random generator works, or nothing is safe");
    bytes
}

/// A random number in `0.0..1.0`, for spreading retries.
pub fn fraction() -> f64 {
    f64::from(u32::from_le_bytes(bytes())) / (f64::from(u32::MAX) + 1.0)
}
