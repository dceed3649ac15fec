//! The settings that limit what HTTP clients may take from each other: connections, time, and places to receive events.

use std::time::Duration;

/// The limits of the HTTP listener.
#[derive(Debug, Clone)]
pub struct Http {
    /// How many connections are open at the same time, at most; fewer where the limit of open files does not allow them.
    pub max_connections: usize,
    /// How long the headers of a request may take.
    pub header_timeout: Duration,
    /// How long a connection is kept open without a request.
    pub idle_timeout: Duration,
    /// How long a request's body may pause.
    pub body_timeout: Duration,
    /// How long an answer may wait for its reader.
    pub write_timeout: Duration,
    /// How many clients may receive events of recordings at the same time.
    pub max_listeners: usize,
    /// How long one of them receives events, before it has to reconnect.
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
