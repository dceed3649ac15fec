//! How long links and presigned URLs are valid, and from when on.

use std::time::Duration;

use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_storage::presign::{self, Presigner, Signing};

/// Signing times are rounded down to a multiple of this, or of less where the validity is shorter than an hour.
const QUARTER_HOUR: Duration = Duration::from_secs(900);

/// The shortest life of a link, unless one is configured.
const SHORTEST: Duration = Duration::from_secs(3600);
/// The longest life of a link (S3's own limit for presigned URLs).
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long links to a recording of this length live: as configured, else twice its length, at least an hour and at most seven
/// days.
pub fn url_life(configured: Option<Duration>, length: MediaTime) -> Duration {
    let length = Duration::from_nanos(u64::try_from(length.as_nanos()).unwrap_or(0));
    configured.unwrap_or_else(|| length.saturating_mul(2).clamp(SHORTEST, LONGEST))
}

/// From when on URLs are valid, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The time of their signature: now, or not long ago.
    pub from: WallTime,
    /// How long they live from then on.
    pub life: Duration,
}

impl Validity {
    /// Of URLs that are requested `now`, for a recording of this length, with a credential that is itself valid `until` then. They
    /// never live longer than the credential, nor than [`url_life`]. The time is rounded down, so that reloads give the same URLs
    /// and caches work: to a quarter of an hour, or to a quarter of their life where that is shorter.
    pub fn new(now: WallTime, configured: Option<Duration>, length: MediaTime, until: Option<WallTime>) -> Self {
        let life = url_life(configured, length);
        let from = floor(now, (life / 4).min(QUARTER_HOUR));
        let left = until.map_or(life, |until| Duration::from_nanos(u64::try_from(until.since(from)).unwrap_or(0)));
        Self { from, life: life.min(left) }
    }

    /// When they expire.
    pub fn end(self) -> WallTime {
        self.from.after(self.life)
    }
}

/// The time, rounded down to a multiple of `grain`, which is at least a second: signatures have no finer times.
fn floor(time: WallTime, grain: Duration) -> WallTime {
    let grain = i64::try_from(grain.as_secs().max(1)).unwrap_or(1).saturating_mul(1_000_000_000);
    WallTime::from_nanos(time.as_nanos().div_euclid(grain) * grain)
}

/// Prepares signing URLs with this validity, for example those of one playlist.
pub async fn signing(presigner: &Presigner, endpoint: &str, validity: Validity) -> Result<Signing, presign::Error> {
    presigner.at(endpoint, validity.from, validity.life).await
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

    #[test]
    fn nothing_lives_longer_than_what_it_was_asked_for_with() {
        let now = WallTime::from_millis(1_795_439_500_386);
        let seconds = |n: u64| Duration::from_secs(n);
        for configured in [None, Some(1), Some(2), Some(5), Some(899), Some(900), Some(3_600), Some(604_800)] {
            let configured = configured.map(seconds);
            let whole = url_life(configured, MediaTime::ZERO);
            for offset in [0, 1, 449, 898, 899, 900, 3_599] {
                let now = now.after(seconds(offset));
                let free = Validity::new(now, configured, MediaTime::ZERO, None);
                assert!(free.end() <= now.after(whole), "{configured:?} {offset}: never longer than its life");
                assert!(
                    free.end().since(now) * 4 >= whole.as_nanos() as i64 * 3 - 4_000_000_000,
                    "{configured:?} {offset}"
                );
                for left in [1, 2, 3, 60, 1_000, 10_000] {
                    let until = WallTime::from_millis(now.as_millis().div_euclid(1000) * 1000 + left * 1000);
                    let bound = Validity::new(now, configured, MediaTime::ZERO, Some(until));
                    assert_eq!(bound.end(), free.end().min(until), "{configured:?} {offset} {left}");
                    assert!(bound.life >= seconds(1));
                }
            }
        }
        let early = Validity::new(WallTime::from_millis(1_795_439_700_000), None, MediaTime::ZERO, None);
        let late = Validity::new(WallTime::from_millis(1_795_440_599_999), None, MediaTime::ZERO, None);
        assert_eq!(early, late, "a quarter of an hour has the same addresses");
    }
}
