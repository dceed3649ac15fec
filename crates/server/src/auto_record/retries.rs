//! Decides when a room that could not be joined is tried again, with growing pauses, because each attempt leaves a recording.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use echosphere_domain::backoff::Backoff;

/// The pauses between attempts. The longest is short: a call that can be joined again is not to be missed.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), longest: Duration::from_secs(60) };
/// How many rooms are remembered.
const MOST: usize = 10_000;

/// The rooms that were begun automatically, by LiveKit's id: how often each was tried, and when the next attempt is due.
#[derive(Debug, Default)]
pub(super) struct Retries(HashMap<String, (u32, Instant)>);

impl Retries {
    /// Whether a room may be tried now.
    pub(super) fn is_due(&self, sid: &str, now: Instant) -> bool {
        self.0.get(sid).is_none_or(|(_, due)| now >= *due)
    }

    /// A room is tried now.
    pub(super) fn tried(&mut self, sid: &str, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, (_, due)| now < *due);
        }
        let tries = self.0.get(sid).map_or(0, |(tries, _)| *tries).saturating_add(1);
        self.0.insert(sid.to_owned(), (tries, now + BACKOFF.after(tries)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_tried(retries: &mut Retries, sid: &str, now: Instant) -> bool {
        let is_due = retries.is_due(sid, now);
        if is_due {
            retries.tried(sid, now);
        }
        is_due
    }

    #[test]
    fn a_room_that_refuses_us_is_tried_ever_more_rarely_and_keeps_nobody_else_waiting() {
        let (mut retries, begin) = (Retries::default(), Instant::now());
        let at = |second: &u64| begin + Duration::from_secs(*second);
        let tried: Vec<u64> = (0..300).filter(|second| is_tried(&mut retries, "RM_a", at(second))).collect();
        assert_eq!(tried, [0, 10, 30, 70, 130, 190, 250]);
        assert!(is_tried(&mut retries, "RM_b", begin));
        assert!(!is_tried(&mut retries, "RM_b", begin));
        // One that was not begun after all does not count.
        assert!(retries.is_due("RM_c", begin) && retries.is_due("RM_c", begin));
    }

    #[test]
    fn not_every_room_there_ever_was_is_remembered() {
        let (mut retries, begin) = (Retries::default(), Instant::now());
        for number in 0..50_000_u64 {
            retries.tried(&format!("RM_{number}"), begin + Duration::from_millis(number * 2));
        }
        assert!(retries.0.len() <= MOST + 1, "{}", retries.0.len());
    }
}
