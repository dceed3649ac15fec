//! The sweeper: deletes objects that we announced and that nothing needs any more.
//!
//! It goes by rows, never by a listing: buckets hold other people's data.

use echosphere_domain::time::WallTime;

use crate::app::{App, SharedApp};
use crate::{cleaning, clock};

/// Objects deleted between two looks at the database.
const BATCH: u32 = 500;

pub(super) async fn run(app: SharedApp) {
    // What this process announced it may still be writing; what an earlier one announced and did not write it never will.
    let process_start = clock::now();
    let mut stopping = app.stopping.subscribe();
    loop {
        tokio::select! {
            _ = stopping.changed() => return,
            () = tokio::time::sleep(app.config.sweep_every) => {}
        }
        if let Err(error) = give_up_logs(&app).await {
            tracing::warn!(%error, "capture logs cannot be given up now");
        }
        if let Err(error) = cleaning::expire_quarantine(&app).await {
            tracing::warn!(%error, "quarantine cannot be looked through now");
        }
        if let Err(error) = sweep(&app, process_start).await {
            tracing::warn!(%error, "the sweep stopped; the next one goes on");
        }
    }
}

/// Gives up the logs that were kept for as long as they should be; the sweep deletes them then.
async fn give_up_logs(app: &App) -> Result<(), super::Error> {
    let Some(kept) = app.config.recorder.keep_log else { return Ok(()) };
    let now = clock::now();
    let given_up = app.store.give_up_logs(now.before(kept), now).await?;
    if given_up > 0 {
        tracing::info!(recordings = given_up, "capture logs were given up");
    }
    Ok(())
}

async fn sweep(app: &App, process_start: WallTime) -> Result<(), super::Error> {
    loop {
        let before = clock::now().before(app.config.sweep_after);
        let candidates = app.store.sweepable(before, before.min(process_start), BATCH).await?;
        if candidates.is_empty() || app.is_stopping() {
            return Ok(());
        }
        let mut gone = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            match app.objects.delete(&candidate.key).await {
                Ok(_) => gone.push(candidate.key),
                Err(error) => tracing::warn!(key = %candidate.key, %error, "an unneeded object cannot be deleted now"),
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let forgotten = app.store.swept(&gone).await?;
        metrics::counter!("echosphere_swept_objects_total").increment(forgotten.len() as u64);
        tracing::info!(objects = forgotten.len(), "unneeded objects were deleted");
    }
}
