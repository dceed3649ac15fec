//! The binary's clock: the one place where the time of day is read.

use std::sync::Arc;

use echosphere_domain::time::WallTime;

/// Now, by the system's clock.
#[expect(clippy::disallowed_methods, reason = "this is the room where the clock is read")]
pub fn now() -> WallTime {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    WallTime::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

/// The time of day, as the parts of the server are given it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> WallTime + Send + Sync>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self::new(now)
    }

    /// A clock that says what this function does.
    pub fn new(now: impl Fn() -> WallTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now, by this clock.
    pub fn now(&self) -> WallTime {
        (self.0)()
    }
}

/// The processor time that all threads of this process have used.
pub fn processor() -> std::time::Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::try_from(used).unwrap_or_default()
}

/// RFC 3339 in UTC with milliseconds, the form of every time in the API. A time outside the years 0 to 9999, which no
/// [`WallTime`] reaches, would come out as the epoch.
pub fn rfc3339(time: WallTime) -> String {
    let timestamp = jiff::Timestamp::from_millisecond(time.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_milliseconds() {
        let time = WallTime::from_millis(1_795_439_500_386);
        assert_eq!(rfc3339(time), "2026-11-23T13:11:40.386Z");
        assert_eq!(rfc3339(WallTime::from_millis(0)), "1970-01-01T00:00:00.000Z");
    }
}
