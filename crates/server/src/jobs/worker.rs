//! The worker: claims background tasks, runs each under a lease, and tries those that fail again or gives them up.

use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::backoff::Backoff;
use echosphere_store::{Claim, Failure, TaskKind};
use tokio::task::JoinSet;

use super::{
    Error, Jobs, divide, erase, finalize, ingest, moving, realign, recompose, render, separate, sidecars, sweep,
};
use crate::{entropy, error};

/// How long a lease lasts without a heartbeat.
const LEASE: Duration = Duration::from_secs(60);
/// How often a lease is prolonged.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// How often to look for due tasks when nothing wakes us.
const POLL: Duration = Duration::from_secs(5);
/// The pauses before a task that failed is tried again.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(3600) };
/// Claims before a task is given up; with the waits between them that is about a day.
const MAX_ATTEMPTS: u32 = 40;

/// Lanes: which kinds of tasks run alongside each other. Uploads are read one after another, so that of two uploads of one job the
/// second meets the first one's capture; what follows for the sessions of a room is decided by later tasks. Rendering has lanes of
/// its own: a long one never keeps an upload from becoming playable.
const LANES: [&[TaskKind]; 7] = [
    &[TaskKind::Finalize],
    &[TaskKind::Ingest],
    &[TaskKind::Compose, TaskKind::Separate],
    &[TaskKind::Erase],
    &[TaskKind::Render, TaskKind::Align, TaskKind::Divide],
    &[TaskKind::Render],
    // Takes hours, and waits for nobody.
    &[TaskKind::Move],
];

/// Runs background work until the server stops; returns when all of it has come to rest.
pub async fn run(jobs: Arc<Jobs>) {
    let mut lanes = JoinSet::new();
    for kinds in LANES {
        lanes.spawn(lane(Arc::clone(&jobs), kinds));
    }
    lanes.spawn(sweep::run(Arc::clone(&jobs)));
    lanes.spawn(separate::put_right(Arc::clone(&jobs)));
    lanes.spawn(realign::old_ones(Arc::clone(&jobs)));
    lanes.spawn(divide::old_ones(Arc::clone(&jobs)));
    lanes.spawn(sidecars::run(Arc::clone(&jobs)));
    while lanes.join_next().await.is_some() {}
}

async fn lane(jobs: Arc<Jobs>, kinds: &'static [TaskKind]) {
    loop {
        if jobs.stop.is_cancelled() {
            return;
        }
        let rung = jobs.bell.rung();
        match claim(&jobs, kinds).await {
            Ok(Some(claim)) => {
                drop(rung);
                work_on(&jobs, claim).await;
            }
            Ok(None) => {
                tokio::select! {
                    () = rung => {}
                    () = jobs.stop.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no task can be claimed now");
                tokio::select! {
                    () = jobs.stop.cancelled() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
    }
}

async fn claim(jobs: &Jobs, kinds: &[TaskKind]) -> Result<Option<Claim>, echosphere_store::Error> {
    let now = jobs.clock.now();
    jobs.store.claim(kinds, jobs.node, now, now.after(LEASE)).await
}

async fn work_on(jobs: &Arc<Jobs>, claim: Claim) {
    let started = std::time::Instant::now();
    let kind = claim.kind.as_str();
    let outcome = {
        let work = perform(jobs, &claim);
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let until = jobs.clock.now().after(LEASE);
                    if let Err(error) = jobs.store.heartbeat(&claim.lease, until).await {
                        tracing::warn!(task = kind, %error, "a lease could not be prolonged");
                    }
                }
            }
        }
    };
    metrics::histogram!("echosphere_task_seconds", "kind" => kind).record(started.elapsed().as_secs_f64());
    let outcome = match outcome {
        // Its recording is being deleted: nothing is left to do for it.
        Err(Error::Kept(error)) if error.is_deleted() => jobs.store.complete(&claim.lease).await.map_err(Error::from),
        outcome => outcome,
    };
    if let Err(error) = outcome {
        give_back(jobs, &claim, &error).await;
    } else {
        metrics::counter!("echosphere_tasks_total", "kind" => kind, "outcome" => "done").increment(1);
    }
    // What a task left for others (a render after an ingest) should not wait for the next poll.
    jobs.bell.ring();
}

/// Each kind finishes its own task in the transaction that writes its result.
async fn perform(jobs: &Arc<Jobs>, claim: &Claim) -> Result<(), Error> {
    match claim.kind {
        TaskKind::Ingest => ingest::run(jobs, claim).await,
        TaskKind::Render => render::run(jobs, claim).await,
        TaskKind::Erase => erase::run(jobs, claim).await,
        TaskKind::Divide => divide::run(jobs, claim).await,
        TaskKind::Finalize => finalize::run(jobs, claim).await,
        TaskKind::Compose => recompose::run(jobs, claim).await,
        TaskKind::Separate => separate::run(jobs, claim).await,
        TaskKind::Align => realign::run(jobs, claim).await,
        TaskKind::Move => moving::run(jobs, claim).await,
    }
}

/// Whether a deletion may depend on a task.
fn is_promised(kind: TaskKind) -> bool {
    matches!(kind, TaskKind::Erase | TaskKind::Compose | TaskKind::Divide)
}

async fn give_back(jobs: &Jobs, claim: &Claim, error: &Error) {
    let kind = claim.kind.as_str();
    let now = jobs.clock.now();
    // Whatever stopped under it: the next process does it again.
    let is_stopping = jobs.stop.is_cancelled() || matches!(error, Error::Kept(error::Error::Stopping));
    let retry_at = match error.of_store() {
        Some(echosphere_store::Error::LeaseLost(_)) => return,
        // Somebody else published in the meantime: read again and decide again.
        Some(echosphere_store::Error::Conflict(_)) => Some(now),
        _ if is_stopping => Some(now),
        _ if error.is_final() => None,
        // A deletion that was promised is never given up, nor what it waits for.
        _ if claim.attempts >= MAX_ATTEMPTS && !is_promised(claim.kind) => None,
        _ => Some(now.after(BACKOFF.spread(claim.attempts.max(1), entropy::fraction()))),
    };
    if is_stopping {
        tracing::info!(task = kind, payload = %claim.payload, "the task goes on after the next start");
    } else if retry_at.is_some() {
        tracing::warn!(task = kind, payload = %claim.payload, attempts = claim.attempts, %error, "a task failed and is tried again");
    } else {
        tracing::error!(task = kind, payload = %claim.payload, attempts = claim.attempts, %error, "a task is given up");
    }
    let outcome = if is_stopping { "interrupted" } else { "failed" };
    metrics::counter!("echosphere_tasks_total", "kind" => kind, "outcome" => outcome).increment(1);
    let failure = Failure { reason: error.to_string(), retry_at };
    if let Err(error) = jobs.store.fail(&claim.lease, &failure).await {
        tracing::warn!(task = kind, %error, "a failed task could not be given back; its lease will run out");
    }
}

/// Does all work that is due, in the order in which it is claimed; returns how many tasks ran.
#[cfg(test)]
pub async fn work_off(jobs: &Arc<Jobs>) -> usize {
    work_only(jobs, &TaskKind::ALL).await
}

/// Does all work of these kinds that is due.
#[cfg(test)]
pub(super) async fn work_only(jobs: &Arc<Jobs>, kinds: &[TaskKind]) -> usize {
    let mut ran = 0;
    while let Some(claim) = claim(jobs, kinds).await.unwrap() {
        work_on(jobs, claim).await;
        ran += 1;
    }
    ran
}
