//! AWS Signature Version 4, as far as presigned URLs need it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The signing key of one day.
pub(crate) type SigningKey = [u8; 32];

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// The signing key of a day (`YYYYMMDD`) and region, for S3.
pub(crate) fn signing_key(secret: &str, day: &str, region: &str) -> SigningKey {
    let key = hmac(format!("AWS4{secret}").as_bytes(), day.as_bytes());
    let key = hmac(&key, region.as_bytes());
    let key = hmac(&key, b"s3");
    hmac(&key, b"aws4_request")
}

/// The signature of a string to sign.
pub(crate) fn sign(key: &SigningKey, string_to_sign: &[u8]) -> [u8; 32] {
    hmac(key, string_to_sign)
}

/// SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Appends bytes as lower-case hexadecimal.
pub(crate) fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
}

/// Appends a text with everything but RFC 3986's unreserved characters percent-encoded, as in signed URLs.
pub(crate) fn push_encoded(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 0x0f)]));
        }
    }
}
