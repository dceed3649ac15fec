//! Knows whether somebody looks at something of a room that goes on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// How long somebody looks who has asked: a page asks after every segment.
const LOOKS: Duration = Duration::from_secs(30);

/// Whether somebody looks at something.
#[derive(Debug, Default)]
pub(super) struct Onlookers {
    last: Mutex<Option<Instant>>,
    came: Notify,
}

impl Onlookers {
    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody looks.
    pub(super) fn come(&self) {
        *self.last() = Some(Instant::now());
        self.came.notify_one();
    }

    /// Waits until somebody comes.
    pub(super) async fn wait(&self) {
        self.came.notified().await;
    }

    /// Whether somebody looks now.
    pub(super) fn are_there(&self) -> bool {
        self.last().is_some_and(|last| last.elapsed() < LOOKS)
    }
}
