//! All open connections: counts them, ends some when there are too many or they take too long, and logs that limits were reached.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::{Connection, Limit, now};
use crate::config::Http;

/// How often one limit is logged, at most.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Inner {
    next: u64,
    open: HashMap<u64, Arc<Connection>>,
    /// When each limit was logged last, and how often it was reached since.
    logged: HashMap<Limit, (Instant, u64)>,
}

/// The connections of a listener.
pub(super) struct Table {
    began: Instant,
    inner: Mutex<Inner>,
}

/// A connection's place in the table, until this is dropped.
pub(super) struct Place {
    table: Arc<Table>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.inner().open.remove(&self.number);
        metrics::gauge!("echosphere_http_connections").decrement(1.0);
    }
}

impl Table {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open, including those that are about to end.
    pub(super) fn len(&self) -> usize {
        self.inner().open.len()
    }

    /// A place for a connection that was accepted.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let connection = Arc::new(Connection::new(self.began));
        let mut inner = self.inner();
        let number = inner.next;
        inner.next += 1;
        inner.open.insert(number, Arc::clone(&connection));
        drop(inner);
        metrics::gauge!("echosphere_http_connections").increment(1.0);
        Place { table: Arc::clone(self), number, connection }
    }

    /// Ends up to `wanted` of the connections that can be spared; returns how many.
    pub(super) fn make_room(&self, wanted: usize, limit: Limit) -> usize {
        let inner = self.inner();
        let now = now(self.began);
        let expendable = inner.open.values().filter_map(|open| Some((open.seen()?.expendable(now)?, open)));
        let mut expendable: Vec<_> = expendable.collect();
        expendable.sort_unstable_by_key(|(rank, _)| *rank);
        let ended = expendable.iter().take(wanted).filter(|(_, open)| open.end()).count();
        drop(inner);
        (0..ended).for_each(|_| self.met(limit));
        ended
    }

    /// Ends all that have taken too long.
    pub(super) fn end_overdue(&self, limits: &Http) {
        let now = now(self.began);
        let open: Vec<_> = self.inner().open.values().cloned().collect();
        for connection in open {
            let limit = connection.seen().and_then(|seen| seen.overdue(limits, now));
            if let Some(limit) = limit.filter(|_| connection.end()) {
                self.met(limit);
            }
        }
    }

    /// Ends all.
    pub(super) fn end_all(&self) {
        for open in self.inner().open.values() {
            open.end();
        }
    }

    /// A limit was reached: counts it each time, and logs it once in a while.
    pub(super) fn met(&self, limit: Limit) {
        metrics::counter!("echosphere_http_limits_total", "limit" => limit.name()).increment(1);
        if limit == Limit::Idle {
            return;
        }
        let mut inner = self.inner();
        let connections = inner.open.len();
        let (logged, times) = inner.logged.entry(limit).or_insert((self.began, 0));
        *times += 1;
        let is_first = *logged == self.began;
        if is_first || logged.elapsed() >= LOGGED_EVERY {
            let since = std::mem::take(times);
            *logged = Instant::now();
            drop(inner);
            tracing::warn!(limit = limit.name(), times = since, connections, "a limit of the HTTP listener is met");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_by_those_who_came_first_and_asked_for_nothing() {
        let table = Table::new();
        let places: Vec<Place> = (0..10).map(|_| table.enter()).collect();
        places[0].connection.asked(false);
        places[1].connection.asked(false);
        places[1].connection.answered();
        assert_eq!(table.make_room(3, Limit::Connections), 3);
        let left = |at: usize| places[at].connection.seen().is_some();
        assert!(left(0) && left(1), "one is served, one may ask again");
        assert_eq!(table.make_room(100, Limit::Connections), 6);
        assert!(left(0) && !left(1));
        assert_eq!(table.make_room(1, Limit::Connections), 0);
        assert_eq!(table.len(), 10);
        drop(places);
        assert_eq!(table.len(), 0);
    }
}
