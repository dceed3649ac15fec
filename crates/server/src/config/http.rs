//! What one HTTP client may take from the others: connections, time, places of listeners.

use std::time::Duration;

/// The limits of the HTTP listener.
#[derive(Debug, Clone)]
pub struct Http {
    /// How many connections are open at the same time, at most; fewer where the limit of open files does not allow them.
    pub max_connections: usize,
    /// How long the headers of a request may take.
    pub header_timeout: Duration,
    /// How long a connection is kept on which nothing is asked for.
    pub idle_timeout: Duration,
    /// How long a request's body may come to a halt.
    pub body_timeout: Duration,
    /// How long an answer may wait for its reader.
    pub write_timeout: Duration,
    /// How many may listen to the events of recordings at the same time.
    pub max_listeners: usize,
    /// How long one of them does, before it has to come again.
    pub listener_life: Duration,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            max_connections: 2_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            max_listeners: 1_000,
            listener_life: Duration::from_secs(15 * 60),
        }
    }
}
