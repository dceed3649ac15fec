//! The one connection that writes. Calls that wait for it share a transaction, and with it the syncs of its commit (group commit).
//!
//! A call's work is done in a tokio task of its own, to its end whether or not the caller waits: a caller that is dropped leaves no
//! half of a transaction. The first call of a transaction is done in it, each further one under a savepoint of its own, so that one
//! that fails takes nothing along but itself. All are answered when the transaction has been committed.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use sqlx::SqliteConnection;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};

use super::changed::{self, Changed};
use crate::{Changes, Error, Result};

/// How long calls are taken into a transaction that has begun.
const LONGEST: Duration = Duration::from_millis(20);
/// The most calls in a transaction.
const MOST: usize = 64;

/// A future that borrows the connection of a running transaction.
pub(super) type InTransaction<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// The connection that writes, and the calls that wait for it. Clones share it.
#[derive(Clone)]
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    connection: Arc<AsyncMutex<Connection>>,
    waiting: Mutex<VecDeque<Box<dyn Call>>>,
    changes: Changes,
    #[cfg(test)]
    commits: std::sync::atomic::AtomicU64,
}

/// The connection that writes.
pub(super) struct Connection {
    pub(super) connection: SqliteConnection,
    /// Whether a transaction has begun and not ended: left so where the runtime was stopped in it.
    is_in_transaction: bool,
}

impl Writer {
    /// Writes by this connection, and tells those who watch what it changes.
    pub(super) fn new(connection: SqliteConnection, changes: Changes) -> Self {
        let connection = Arc::new(AsyncMutex::new(Connection { connection, is_in_transaction: false }));
        Self(Arc::new(Shared {
            connection,
            waiting: Mutex::default(),
            changes,
            #[cfg(test)]
            commits: std::sync::atomic::AtomicU64::default(),
        }))
    }

    /// The connection alone, for what is no transaction. Whoever writes waits meanwhile.
    pub(super) async fn alone(&self) -> OwnedMutexGuard<Connection> {
        Arc::clone(&self.0.connection).lock_owned().await
    }

    /// Does work in a transaction, to its end whether or not the caller waits for it.
    pub(super) async fn write<T, F>(&self, action: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> InTransaction<'c, T> + Send + 'static,
    {
        let (answer, outcome) = oneshot::channel();
        self.0.waiting().push_back(Box::new(Write { action, work: Some(work), outcome: None, answer }));
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move { shared.transact().await });
        let ended = |_| Err(Error::Interrupted { action, reason: "the server is stopping".to_owned() });
        outcome.await.unwrap_or_else(ended)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Box<dyn Call>>> {
        // Each change of the queue is a single call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Box<dyn Call>> {
        self.waiting().pop_front()
    }

    /// Does what waits, in one transaction. Nothing, if an earlier transaction has taken it along.
    async fn transact(&self) {
        let mut writer = self.connection.lock().await;
        let Some(first) = self.next() else { return };
        let calls = vec![first];
        let Connection { connection, is_in_transaction } = &mut *writer;
        if *is_in_transaction {
            let _ = sqlx::query("ROLLBACK").execute(&mut *connection).await;
        }
        *is_in_transaction = true;
        self.run(connection, calls).await;
        *is_in_transaction = false;
    }

    /// Tells those who watch what was changed.
    fn tell(&self, changed: &Changed) {
        for recording in &changed.recordings {
            self.changes.note(*recording);
        }
        if changed.inbox {
            self.changes.note_inbox();
        }
    }

    /// Begins a transaction, does the calls and those that wait by then, commits, and answers them.
    async fn run(&self, connection: &mut SqliteConnection, mut calls: Vec<Box<dyn Call>>) {
        let began = Instant::now();
        let done = async {
            execute(connection, "BEGIN IMMEDIATE").await?;
            if !calls[0].run(connection).await {
                return Ok(None);
            }
            while calls.len() < MOST && began.elapsed() < LONGEST {
                let Some(mut call) = self.next() else { break };
                let outcome = run_under_savepoint(connection, &mut *call).await;
                calls.push(call);
                outcome?;
            }
            let changed = changed::take(connection).await?;
            execute(connection, "COMMIT").await?;
            Ok::<_, Error>(Some(changed))
        };
        let done = done.await;
        if !matches!(done, Ok(Some(_))) {
            // After some errors SQLite has rolled back by itself, and says so by failing here.
            let _ = sqlx::query("ROLLBACK").execute(connection).await;
        }
        #[cfg(test)]
        self.commits.fetch_add(u64::from(matches!(done, Ok(Some(_)))), std::sync::atomic::Ordering::Relaxed);
        if let Ok(Some(changed)) = &done {
            self.tell(changed);
        }
        for call in calls {
            call.answer(done.as_ref().err());
        }
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<()> {
    let done = sqlx::query(statement).execute(connection).await;
    done.map(|_| ()).map_err(|error| Error::from_sqlx("write", error))
}

/// Does a call in a transaction that has begun, and takes back what it did if it fails.
async fn run_under_savepoint(connection: &mut SqliteConnection, call: &mut dyn Call) -> Result<()> {
    execute(connection, "SAVEPOINT one").await?;
    let is_done = call.run(connection).await;
    let ended = async {
        if !is_done {
            execute(connection, "ROLLBACK TO one").await?;
        }
        execute(connection, "RELEASE one").await
    };
    // There is no savepoint where the call's own error made SQLite roll all of the transaction back. It does so for errors that may
    // pass: a full disk, no memory.
    ended.await.map_err(|error| Error::Unavailable { action: "write", source: Box::new(error) })
}

/// A call whose work is done in a transaction.
trait Call: Send {
    /// Does the work; returns whether it is to be committed.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Pin<Box<dyn Future<Output = bool> + Send + 'c>>;

    /// Answers the caller, with the work's outcome or why it was not committed.
    fn answer(self: Box<Self>, failure: Option<&Error>);
}

struct Write<T, F> {
    action: &'static str,
    work: Option<F>,
    outcome: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> Call for Write<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> InTransaction<'c, T> + Send,
{
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Pin<Box<dyn Future<Output = bool> + Send + 'c>> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            let action = self.action;
            // Called inside as well: what panics before its first await is caught too.
            let done = AssertUnwindSafe(async move { work(connection).await }).catch_unwind().await;
            let panicked = |_| Err(Error::Interrupted { action, reason: "a defect of EchoSphere".to_owned() });
            self.outcome = Some(done.unwrap_or_else(panicked));
            matches!(self.outcome, Some(Ok(_)))
        })
    }

    fn answer(self: Box<Self>, failure: Option<&Error>) {
        let Self { action, outcome, answer, .. } = *self;
        let outcome = match (outcome, failure) {
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(failure.of(action)),
            (Some(done), None) => done,
            (None, None) => Err(Error::Interrupted { action, reason: "it was not begun".to_owned() }),
        };
        // The caller may be gone.
        let _ = answer.send(outcome);
    }
}

#[cfg(test)]
mod tests;
