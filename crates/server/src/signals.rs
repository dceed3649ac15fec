//! Signals between the parts of the server: [`Bell`] wakes those that wait for work, [`Stop`] stops all of them.

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Cancelled when the server has to stop. Work under way then stops where the next process can go on.
pub use tokio_util::sync::CancellationToken as Stop;

/// Wakes tasks that wait for work. One that calls [`Bell::rung`] before it looks for work, and awaits it afterwards, misses no
/// ring.
#[derive(Debug, Default)]
pub struct Bell(Notify);

impl Bell {
    /// There may be something to do: wakes all tasks that wait.
    pub fn ring(&self) {
        self.0.notify_waiters();
    }

    /// Waits for the next ring after this call.
    pub fn rung(&self) -> Notified<'_> {
        self.0.notified()
    }
}
