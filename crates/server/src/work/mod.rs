//! Background work: claims tasks, runs them under a lease, gives them back or up.
//!
//! A task may run more than once (a crash, a lost lease); what it writes at its end is fenced by the lease, so its
//! effect happens once.

mod align;
pub mod compose;
pub(crate) mod erase;
mod filling;
mod ingest;
mod pieces;
pub mod realign;
mod recompose;
pub mod redaction;
mod render;
mod sessions;
pub mod settle;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use echosphere_store::{Claim, Failure, TaskKind};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::app::{App, SharedApp};
use crate::{clock, entropy};

/// How long a lease lasts without a heartbeat.
const LEASE: Duration = Duration::from_secs(60);
/// How often a lease is prolonged.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often to look for due tasks when nothing wakes us.
const POLL: Duration = Duration::from_secs(5);
/// Claims before a task is given up; with the waits between them that is about a day.
const MAX_ATTEMPTS: u32 = 40;

/// Lanes: which kinds of tasks run beside each other. Uploads are read one after another, so that of two uploads of one job the
/// second one meets the first one's capture; what follows for the sessions of a room is decided after that. Rendering has lanes of its own: a long one never keeps an upload from becoming
/// playable.
const LANES: [&[TaskKind]; 6] = [
    &[TaskKind::Settle],
    &[TaskKind::Ingest],
    &[TaskKind::Compose, TaskKind::Separate],
    &[TaskKind::Erase],
    &[TaskKind::Render, TaskKind::Align],
    &[TaskKind::Render],
];

/// Why a task did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rows.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// Bytes.
    #[error(transparent)]
    Storage(#[from] echosphere_storage::Error),
    /// A local file.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The window could not be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::Error),
    /// What is to be erased is still being kept.
    #[error("the recording {0} is still being kept; it is erased when its room has been left")]
    Recorded(echosphere_domain::id::RecordingId),
    /// Telemetry is still being stored, or an upload is still coming.
    #[error("telemetry or an upload is still coming for what is erased; it goes after that")]
    Busy,
    /// The server is stopping; the task goes on after the next start.
    #[error("the server is stopping")]
    Stopping,
    /// The task's payload is not what its kind takes.
    #[error("the task's payload {0:?} cannot be understood")]
    Payload(String),
}

impl Error {
    /// Whether trying again is of no use.
    fn is_final(&self) -> bool {
        matches!(self, Self::Payload(_))
    }
}

/// The bell that wakes background work.
#[derive(Debug, Default)]
pub struct Work {
    bell: Notify,
}

impl Work {
    /// There may be something to do.
    pub fn wake(&self) {
        self.bell.notify_waiters();
        self.bell.notify_one();
    }
}

/// Runs background work until the server stops; returns when every lane has come to rest.
pub async fn run(app: SharedApp) {
    let mut lanes = JoinSet::new();
    for kinds in LANES {
        lanes.spawn(lane(Arc::clone(&app), kinds));
    }
    lanes.spawn(sweep::run(Arc::clone(&app)));
    lanes.spawn(sessions::put_right(Arc::clone(&app)));
    lanes.spawn(realign::old_ones(Arc::clone(&app)));
    while lanes.join_next().await.is_some() {}
}

async fn lane(app: SharedApp, kinds: &'static [TaskKind]) {
    let mut stopping = app.stopping.subscribe();
    loop {
        if app.is_stopping() {
            return;
        }
        let bell = app.work.bell.notified();
        match claim(&app, kinds).await {
            Ok(Some(claim)) => {
                drop(bell);
                work_on(&app, claim).await;
            }
            Ok(None) => {
                tokio::select! {
                    () = bell => {}
                    _ = stopping.changed() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no task can be claimed now");
                tokio::select! {
                    _ = stopping.changed() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
    }
}

async fn claim(app: &App, kinds: &[TaskKind]) -> Result<Option<Claim>, echosphere_store::Error> {
    let now = clock::now();
    app.store.claim(kinds, now, now.after(LEASE)).await
}

async fn work_on(app: &SharedApp, claim: Claim) {
    let started = std::time::Instant::now();
    let kind = claim.kind.as_str();
    let outcome = {
        let work = perform(app, &claim);
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let until = clock::now().after(LEASE);
                    if let Err(error) = app.store.heartbeat(&claim.lease, until).await {
                        tracing::warn!(task = kind, %error, "a lease could not be prolonged");
                    }
                }
            }
        }
    };
    metrics::histogram!("echosphere_task_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
    let outcome = match outcome {
        // Its recording is being deleted: nothing is left to do for it.
        Err(Error::Store(echosphere_store::Error::Deleted(_))) => {
            app.store.complete(&claim.lease).await.map_err(Error::from)
        }
        outcome => outcome,
    };
    if let Err(error) = outcome {
        give_back(app, &claim, &error).await;
    } else {
        metrics::counter!("echosphere_tasks_total", "kind" => kind, "outcome" => "done").increment(1);
    }
    // What a task left for others (a render after an ingest) should not wait for the next poll.
    app.work.wake();
}

/// Each kind finishes its own task in the transaction that writes its result.
async fn perform(app: &SharedApp, claim: &Claim) -> Result<(), Error> {
    match claim.kind {
        TaskKind::Ingest => ingest::run(app, claim).await,
        TaskKind::Render => render::run(app, claim).await,
        TaskKind::Erase => erase::run(app, claim).await,
        TaskKind::Settle => settle::run(app, claim).await,
        TaskKind::Compose => recompose::run(app, claim).await,
        TaskKind::Separate => sessions::run(app, claim).await,
        TaskKind::Align => realign::run(app, claim).await,
    }
}

async fn give_back(app: &App, claim: &Claim, error: &Error) {
    let kind = claim.kind.as_str();
    let now = clock::now();
    let retry_at = match error {
        Error::Store(echosphere_store::Error::LeaseLost(_)) => return,
        // Somebody else published in the meantime: read again and decide again.
        Error::Stopping | Error::Store(echosphere_store::Error::Conflict(_)) => Some(now),
        error if error.is_final() => None,
        // What was promised to be deleted is never given up.
        _ if claim.attempts >= MAX_ATTEMPTS && claim.kind != TaskKind::Erase => None,
        _ => Some(now.after(backoff(claim.attempts))),
    };
    if matches!(error, Error::Stopping) {
        tracing::info!(task = kind, payload = %claim.payload, "the task goes on after the next start");
    } else if retry_at.is_some() {
        tracing::warn!(task = kind, payload = %claim.payload, attempts = claim.attempts, %error, "a task failed and is tried again");
    } else {
        tracing::error!(task = kind, payload = %claim.payload, attempts = claim.attempts, %error, "a task is given up");
    }
    metrics::counter!("echosphere_tasks_total", "kind" => kind, "outcome" => "failed").increment(1);
    let failure = Failure { reason: error.to_string(), retry_at };
    if let Err(error) = app.store.fail(&claim.lease, &failure).await {
        tracing::warn!(task = kind, %error, "a failed task could not be given back; its lease will run out");
    }
}

/// 1 s, 2 s, 4 s, ... at most an hour, each spread by up to a half.
fn backoff(attempts: u32) -> Duration {
    let base = Duration::from_secs(1 << attempts.saturating_sub(1).min(12)).min(Duration::from_secs(3600));
    base.mul_f64(0.75 + 0.5 * entropy::fraction())
}
