//! The sweeper: periodically begins deletions that are due, and deletes announced objects that nothing needs any more, old capture
//! logs, segments that were rendered long ago, and expired quarantine.

use std::sync::Arc;

use super::{Jobs, clean, old_segments, unneeded};

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
        if let Err(error) = old_segments::give_up(&jobs).await {
            tracing::warn!(%error, "segments that were rendered long ago cannot be given up now");
        }
        if let Err(error) = clean::expire_quarantine(&jobs).await {
            tracing::warn!(%error, "quarantine cannot be looked through now");
        }
        if let Err(error) = unneeded::old(&jobs, process_start).await {
            tracing::warn!(%error, "the sweep stopped; the next one goes on");
        }
        if let Err(error) = unneeded::left(&jobs).await {
            tracing::warn!(%error, "what was left where objects were before cannot be deleted now");
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
