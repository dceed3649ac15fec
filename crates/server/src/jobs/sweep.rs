//! The sweeper: periodically begins deletions that are due, and deletes announced objects that nothing needs any more, old capture
//! logs, and expired quarantine.
//!
//! It goes by rows, never by a listing, because buckets hold other people's data; only a folder that was announced as a whole is listed.

use std::sync::Arc;

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use super::{Jobs, clean};

/// Objects deleted per query of the database.
const BATCH: u32 = 500;

pub(super) async fn run(jobs: Arc<Jobs>) {
    // This process may still be writing what it announced; what an earlier one announced and did not write will never be written.
    let process_start = jobs.clock.now();
    loop {
        tokio::select! {
            () = jobs.stop.cancelled() => return,
            () = tokio::time::sleep(jobs.config.sweep_every) => {}
        }
        if let Err(error) = begin_due_deletions(&jobs).await {
            tracing::warn!(%error, "scheduled deletions cannot begin now");
        }
        if let Err(error) = give_up_logs(&jobs).await {
            tracing::warn!(%error, "capture logs cannot be given up now");
        }
        if let Err(error) = clean::expire_quarantine(&jobs).await {
            tracing::warn!(%error, "quarantine cannot be looked through now");
        }
        if let Err(error) = sweep(&jobs, process_start).await {
            tracing::warn!(%error, "the sweep stopped; the next one goes on");
        }
    }
}

async fn begin_due_deletions(jobs: &Jobs) -> Result<(), super::Error> {
    let begun = jobs.store.time_passed(jobs.clock.now()).await?;
    if begun > 0 {
        tracing::info!(recordings = begun, "scheduled deletions have begun");
        jobs.bell.ring();
    }
    Ok(())
}

/// Gives up the capture logs that were kept for `recorder.keep_log`; the sweep then deletes them.
async fn give_up_logs(jobs: &Jobs) -> Result<(), super::Error> {
    let Some(kept) = jobs.config.recorder.keep_log else { return Ok(()) };
    let now = jobs.clock.now();
    let given_up = jobs.store.give_up_logs(now.before(kept), now).await?;
    if given_up > 0 {
        tracing::info!(recordings = given_up, "capture logs were given up");
    }
    Ok(())
}

pub(super) async fn sweep(jobs: &Jobs, process_start: WallTime) -> Result<(), super::Error> {
    let before = jobs.clock.now().before(jobs.config.sweep_after);
    delete(jobs, before, before.min(process_start)).await
}

/// Deletes what is not to wait for its age.
pub(super) async fn at_once(jobs: &Jobs) -> Result<(), super::Error> {
    delete(jobs, WallTime::from_nanos(1), WallTime::from_nanos(0)).await
}

/// Deletes what was condemned, and what was announced, before these times and is needed by nothing.
async fn delete(jobs: &Jobs, condemned: WallTime, announced: WallTime) -> Result<(), super::Error> {
    loop {
        let candidates = jobs.store.sweepable(condemned, announced, BATCH).await?;
        if candidates.is_empty() || jobs.stop.is_cancelled() {
            return Ok(());
        }
        let mut gone = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let deleted = if candidate.is_folder {
                delete_folder(jobs, &candidate.key).await
            } else {
                jobs.objects.delete(&candidate.key).await.map(|_| ())
            };
            match deleted {
                Ok(()) => gone.push(candidate.key),
                Err(error) => tracing::warn!(key = %candidate.key, %error, "an unneeded object cannot be deleted now"),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let forgotten = jobs.store.swept(&gone).await?;
        metrics::counter!("echosphere_swept_objects_total").increment(forgotten.len() as u64);
        tracing::info!(objects = forgotten.len(), "unneeded objects were deleted");
    }
}

/// Deletes what somebody else wrote for us in a folder that was announced, and that became nothing of ours: what has a row is judged by
/// that.
async fn delete_folder(jobs: &Jobs, folder: &ObjectKey) -> Result<(), crate::error::Error> {
    let listed = jobs.objects.list(folder).await?;
    for keys in listed.chunks(BATCH as usize) {
        let known = jobs.store.known_objects(keys).await?;
        for key in keys.iter().filter(|key| !known.contains(key)) {
            jobs.objects.delete(key).await?;
        }
    }
    Ok(())
}
