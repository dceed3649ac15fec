//! When a room that could not be joined is tried again: each attempt leaves a recording that says why it failed, so they become rarer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The pause after the first attempt.
const FIRST: Duration = Duration::from_secs(10);
/// The longest pause: a call that can be joined again is not to be missed.
const LONGEST: Duration = Duration::from_secs(60);
/// Rooms that are remembered.
const MOST: usize = 10_000;

/// The rooms that were begun without being asked, by LiveKit's id, with how often and when the next attempt is due.
#[derive(Debug, Default)]
pub(super) struct Attempts(HashMap<String, (u32, Instant)>);

impl Attempts {
    /// Whether a room may be tried now. If so it counts as tried.
    pub(super) fn is_due(&mut self, sid: &str, now: Instant) -> bool {
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, due)| now < *due);
        }
        let (tries, due) = self.0.get(sid).copied().unwrap_or((0, now));
        if now < due {
            return false;
        }
        let pause = FIRST.saturating_mul(2_u32.saturating_pow(tries)).min(LONGEST);
        self.0.insert(sid.to_owned(), (tries.saturating_add(1), now + pause));
        true
    }

    /// A room is not tried after all.
    pub(super) fn forget(&mut self, sid: &str) {
        self.0.remove(sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_refuses_us_is_tried_ever_more_rarely_and_keeps_nobody_else_waiting() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        let tried: Vec<u64> = (0..300).filter(|n| attempts.is_due("RM_a", begin + Duration::from_secs(*n))).collect();
        assert_eq!(tried, [0, 10, 30, 70, 130, 190, 250]);
        assert!(attempts.is_due("RM_b", begin));
        assert!(!attempts.is_due("RM_b", begin));
        attempts.forget("RM_b");
        assert!(attempts.is_due("RM_b", begin));
    }

    #[test]
    fn not_every_room_there_ever_was_is_remembered() {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        for number in 0..50_000_u64 {
            attempts.is_due(&format!("RM_{number}"), begin + Duration::from_millis(number * 2));
        }
        assert!(attempts.0.len() <= MOST + 1, "{}", attempts.0.len());
    }
}
