//! How far the server's clock is from ours: where that is far, nothing is deleted by age.

use std::sync::atomic::{AtomicI64, Ordering};

use echosphere_domain::time::WallTime;

use crate::{Error, Result};

/// Clocks that differ by more than this keep deletions from being carried out: what is old by one of them may be new (5 min, in milliseconds).
pub const FAR_APART: i64 = 300_000;

/// By how much the server's clock is ahead, as it said last.
#[derive(Debug)]
pub(super) struct Clocks {
    now: fn() -> WallTime,
    ahead: AtomicI64,
}

impl Clocks {
    pub(super) fn new(now: fn() -> WallTime) -> Self {
        Self { now, ahead: AtomicI64::new(0) }
    }

    /// Takes what the server said the time is; returns by how many milliseconds that is ahead.
    pub(super) fn hear(&self, theirs: WallTime) -> i64 {
        let ahead = theirs.as_millis() - (self.now)().as_millis();
        self.ahead.store(ahead, Ordering::Relaxed);
        ahead
    }

    /// Fails when the clocks are far apart.
    pub(super) fn check(&self) -> Result<()> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        if ahead.abs() > FAR_APART { Err(Error::Clocks { seconds: ahead / 1000 }) } else { Ok(()) }
    }
}
