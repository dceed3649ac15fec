//! How long links live, and who signs them.

use std::time::Duration;

use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_storage::presign::{BadEndpoint, Presigner, Signing};

/// Signing times are floored to this, so that reloads give the same URLs and caches work.
pub const QUARTER_HOUR: Duration = Duration::from_secs(900);

/// The shortest life of a link, unless one is configured.
const SHORTEST: Duration = Duration::from_secs(3600);
/// The longest (S3's own limit for presigned URLs).
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// The life of links to a recording of this length: twice its length, within an hour and seven days, or what is configured.
pub fn url_life(configured: Option<Duration>, length: MediaTime) -> Duration {
    let length = Duration::from_nanos(u64::try_from(length.as_nanos()).unwrap_or(0));
    configured.unwrap_or_else(|| length.saturating_mul(2).clamp(SHORTEST, LONGEST))
}

/// The quarter of an hour that a time lies in.
pub fn floor_to_quarter_hour(time: WallTime) -> WallTime {
    let quarter = QUARTER_HOUR.as_nanos() as i64;
    WallTime::from_nanos(time.as_nanos().div_euclid(quarter) * quarter)
}

/// Signs the URLs of one playlist. A configured life shorter than a quarter of an hour is counted from now.
pub fn signing(
    presigner: &Presigner,
    endpoint: &str,
    now: WallTime,
    configured: Option<Duration>,
    length: MediaTime,
) -> Result<Signing, BadEndpoint> {
    let life = url_life(configured, length);
    if life < QUARTER_HOUR {
        return presigner.at(endpoint, now, life);
    }
    presigner.at(endpoint, floor_to_quarter_hour(now), (life + QUARTER_HOUR).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_follow_the_recording() {
        let hours = |n: i64| MediaTime::from_millis(n * 3_600_000);
        assert_eq!(url_life(None, MediaTime::ZERO), Duration::from_secs(3600));
        assert_eq!(url_life(None, hours(3)), Duration::from_secs(6 * 3600));
        assert_eq!(url_life(None, hours(1_000)), LONGEST);
        assert_eq!(url_life(Some(Duration::from_secs(5)), hours(3)), Duration::from_secs(5));
    }
}
