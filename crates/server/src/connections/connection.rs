//! The state of one connection, and when it has taken too long: noted as it is read and written, judged at intervals.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::config::Http;

/// Bytes a second at which a request's body must come on average, apart from the time for which it may pause.
const LEAST_SENT: u64 = 1_024;
/// Bytes a second that a client must read on average of an answer, while the answer waits for it.
const LEAST_READ: u64 = 512;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// It was accepted, and the headers of its first request have not all come yet.
    #[default]
    New,
    /// Between two requests.
    Idle,
    /// In the headers of a later request.
    Head,
    /// A request is being answered.
    Busy,
    /// The answer is complete; the rest of the request's body is being read and discarded.
    Rest,
}

impl Phase {
    const ALL: [Self; 5] = [Self::New, Self::Idle, Self::Head, Self::Busy, Self::Rest];

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

/// Why a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    /// Too many are open.
    Connections,
    /// The system has no more descriptors.
    Descriptors,
    /// Headers that do not come.
    Header,
    /// No request came for too long. This is not logged.
    Idle,
    /// A body that does not come.
    Body,
    /// An answer that is not read.
    Write,
}

impl Limit {
    /// The name in logs and metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::Descriptors => "open_files",
            Self::Header => "header_timeout",
            Self::Idle => "idle_timeout",
            Self::Body => "body_timeout",
            Self::Write => "write_timeout",
        }
    }
}

/// A connection at one moment. Times are milliseconds since the listener began; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) phase: Phase,
    /// Since when it is in this phase.
    pub(super) since: u64,
    /// Since when it has been waiting for bytes of the body, and none have come.
    pub(super) halted: u64,
    /// How many bytes of this request's body have come.
    pub(super) received: u64,
    /// Since when a write has been waiting for the client to read.
    pub(super) blocked: u64,
    /// For how long writes of this answer waited before that, and how many bytes of it were written.
    pub(super) waited: u64,
    pub(super) written: u64,
}

impl Seen {
    /// The limit that it has exceeded, if any.
    pub(super) fn overdue(&self, limits: &Http, now: u64) -> Option<Limit> {
        let longer = |since: u64, limit: Duration| now.saturating_sub(since) > limit.as_millis() as u64;
        if self.blocked > 0 && (longer(self.blocked, limits.write_timeout) || self.is_read_slowly(limits, now)) {
            return Some(Limit::Write);
        }
        match self.phase {
            Phase::New | Phase::Head => longer(self.since, limits.header_timeout).then_some(Limit::Header),
            Phase::Idle => longer(self.since, limits.idle_timeout).then_some(Limit::Idle),
            Phase::Rest => longer(self.since, limits.body_timeout).then_some(Limit::Body),
            Phase::Busy if self.halted == 0 => None,
            Phase::Busy => {
                let allowed = limits.body_timeout + Duration::from_secs(self.received / LEAST_SENT);
                (longer(self.halted, limits.body_timeout) || longer(self.since, allowed)).then_some(Limit::Body)
            }
        }
    }

    fn is_read_slowly(&self, limits: &Http, now: u64) -> bool {
        let waited = self.waited + now.saturating_sub(self.blocked);
        waited > limits.write_timeout.as_millis() as u64 && self.written * 1_000 < waited * LEAST_READ
    }

    /// The rank in which connections are ended when there are too many: lowest first, and among equals the one that has been so
    /// for the longest time; `None`: it stays. One that has asked for nothing yet goes before one that may ask again, and after
    /// both one whose answer has been waiting for its reader for more than 5 s.
    pub(super) fn expendable(&self, now: u64) -> Option<(u8, u64)> {
        const PATIENCE: u64 = 5_000;
        match self.phase {
            Phase::New => Some((0, self.since)),
            Phase::Head => Some((1, self.since)),
            Phase::Rest => Some((2, self.since)),
            Phase::Idle => Some((3, self.since)),
            Phase::Busy => {
                (self.blocked > 0 && now.saturating_sub(self.blocked) > PATIENCE).then_some((4, self.blocked))
            }
        }
    }
}

/// A connection. All numbers are hints from which it is judged; none guards another.
#[derive(Debug)]
pub(super) struct Connection {
    began: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    halted: AtomicU64,
    received: AtomicU64,
    blocked: AtomicU64,
    waited: AtomicU64,
    written: AtomicU64,
    /// Whether more of the request's body is to come.
    in_body: AtomicBool,
    given_up: AtomicBool,
    pub(super) give_up: Notify,
}

impl Connection {
    /// A connection that was accepted just now. `began` is when the listener began.
    pub(super) fn new(began: Instant) -> Self {
        let connection = Self {
            began,
            phase: AtomicU8::new(0),
            since: AtomicU64::new(0),
            halted: AtomicU64::new(0),
            received: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            written: AtomicU64::new(0),
            in_body: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            give_up: Notify::new(),
        };
        connection.enter(Phase::New);
        connection
    }

    fn now(&self) -> u64 {
        now(self.began)
    }

    fn enter(&self, phase: Phase) {
        self.since.store(self.now(), Relaxed);
        self.phase.store(phase as u8, Relaxed);
    }

    fn phase(&self) -> Phase {
        Phase::of(self.phase.load(Relaxed))
    }

    /// Its state at this moment; `None` when it was given up already.
    pub(super) fn seen(&self) -> Option<Seen> {
        (!self.given_up.load(Relaxed)).then(|| Seen {
            phase: self.phase(),
            since: self.since.load(Relaxed),
            halted: self.halted.load(Relaxed),
            received: self.received.load(Relaxed),
            blocked: self.blocked.load(Relaxed),
            waited: self.waited.load(Relaxed),
            written: self.written.load(Relaxed),
        })
    }

    /// Ends it; false when it was being ended already.
    pub(super) fn end(&self) -> bool {
        let is_first = !self.given_up.swap(true, Relaxed);
        self.give_up.notify_one();
        is_first
    }

    /// Bytes came.
    pub(super) fn read(&self) {
        if self.phase() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// Bytes were written.
    pub(super) fn wrote(&self, count: usize) {
        self.written.fetch_add(count as u64, Relaxed);
        let blocked = self.blocked.swap(0, Relaxed);
        if blocked > 0 {
            self.waited.fetch_add(self.now().saturating_sub(blocked), Relaxed);
        }
    }

    /// Bytes cannot be written now.
    pub(super) fn cannot_write(&self) {
        if self.blocked.load(Relaxed) == 0 {
            self.blocked.store(self.now(), Relaxed);
        }
    }

    /// All headers of a request came.
    pub(super) fn asked(&self, has_body: bool) {
        for number in [&self.halted, &self.received, &self.waited, &self.written] {
            number.store(0, Relaxed);
        }
        self.in_body.store(has_body, Relaxed);
        self.enter(Phase::Busy);
    }

    /// The next bytes of the body have not come yet.
    pub(super) fn halts(&self) {
        if self.halted.load(Relaxed) == 0 {
            self.halted.store(self.now(), Relaxed);
        }
    }

    /// Bytes of the body came.
    pub(super) fn received(&self, count: usize) {
        self.halted.store(0, Relaxed);
        self.received.fetch_add(count as u64, Relaxed);
    }

    /// The body is over.
    pub(super) fn body_ended(&self) {
        self.halted.store(0, Relaxed);
        self.in_body.store(false, Relaxed);
        if self.phase() == Phase::Rest {
            self.enter(Phase::Idle);
        }
    }

    /// The answer is over.
    pub(super) fn answered(&self) {
        self.enter(if self.in_body.load(Relaxed) { Phase::Rest } else { Phase::Idle });
    }
}

/// Milliseconds since the listener began; never 0.
pub(super) fn now(began: Instant) -> u64 {
    began.elapsed().as_millis() as u64 + 1
}

#[cfg(test)]
mod tests;
