//! Requests that are for one server of many: each tries to set the same key in Redis, and who sets it takes the request (livekit/psrpc,
//! `internal/bus/bus_redis.go`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How long the key stands.
pub const HELD: Duration = Duration::from_secs(5);

/// The key for what was published, to be set if it is not (`SET key value NX`).
pub fn key(published: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(published))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_is_the_hash_of_all_that_was_published() {
        assert_eq!(super::key(b"abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }
}
