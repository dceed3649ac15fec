//! Deletes objects that nothing needs: what was condemned, and what was announced and never needed.
//!
//! It goes by rows, never by a listing, because buckets hold other people's data; only a folder that was announced as a whole is listed.

use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use super::{Error, Jobs, sidecars};
use crate::error;

/// Objects deleted per query of the database.
const BATCH: u32 = 500;

/// Deletes what nothing has needed for as long as the configuration says. What was announced before `process_start` will never be
/// written.
pub(super) async fn old(jobs: &Jobs, process_start: WallTime) -> Result<(), Error> {
    let before = jobs.clock.now().before(jobs.config.sweep_after);
    delete(jobs, before, before.min(process_start)).await
}

/// Deletes what was left in places of before by objects that were moved since, and forgets places that have nothing any more.
pub(super) async fn left(jobs: &Jobs) -> Result<(), Error> {
    let (mut after, mut gone) = (None, 0_u64);
    loop {
        let left = jobs.store.left_behind(jobs.clock.now(), after.as_ref(), BATCH).await?;
        let Some(last) = left.last() else { break };
        after = Some(last.clone());
        for (key, place) in left {
            if jobs.stop.is_cancelled() {
                return Ok(());
            }
            match jobs.objects.delete_left(&key, place).await {
                Ok(()) => {
                    jobs.store.nothing_left(&key, place).await?;
                    gone += 1;
                }
                Err(error) => tracing::warn!(%key, %error, "what was left of a moved object cannot be deleted now"),
            }
        }
    }
    if gone > 0 {
        tracing::info!(objects = gone, "what was left of moved objects was deleted where they were before");
    }
    if jobs.objects.are_elsewhere() && jobs.store.forget_unused_places().await? > 0 {
        tracing::info!("a place of before has nothing of ours any more; it is not asked for from the next start on");
    }
    Ok(())
}

/// Deletes what is not to wait for its age. What cannot be deleted now is left to the sweeper.
pub(super) async fn at_once(jobs: &Jobs) {
    if let Err(error) = delete(jobs, WallTime::from_nanos(1), WallTime::from_nanos(0)).await {
        tracing::warn!(%error, "what is to be deleted at once is deleted by the next sweep");
    }
}

/// Deletes what was condemned, and what was announced, before these times and is needed by nothing.
async fn delete(jobs: &Jobs, condemned: WallTime, announced: WallTime) -> Result<(), Error> {
    loop {
        if jobs.store.sweepable(condemned, announced, 1).await?.is_empty() {
            return Ok(());
        }
        // A sidecar that still names a master which was replaced would be all that is left of it.
        sidecars::write_all(jobs).await?;
        let _quiet = jobs.objects.nothing_is_announced().await;
        let candidates = jobs.store.sweepable(condemned, announced, BATCH).await?;
        if candidates.is_empty() || jobs.stop.is_cancelled() {
            return Ok(());
        }
        let (folders, objects): (Vec<_>, Vec<_>) = candidates.into_iter().partition(|candidate| candidate.is_folder);
        let mut gone: Vec<ObjectKey> = objects.into_iter().map(|object| object.key).collect();
        if jobs.objects.delete_many(&gone).await.is_err() {
            // One of them cannot be deleted: all others are.
            gone = each(jobs, gone).await;
        }
        for folder in folders {
            match delete_folder(jobs, &folder.key).await {
                Ok(()) => gone.push(folder.key),
                Err(error) => tracing::warn!(key = %folder.key, %error, "an unneeded folder cannot be deleted now"),
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

/// Deletes objects one by one; returns those that are gone.
async fn each(jobs: &Jobs, keys: Vec<ObjectKey>) -> Vec<ObjectKey> {
    let mut gone = Vec::with_capacity(keys.len());
    for key in keys {
        match jobs.objects.delete(&key).await {
            Ok(()) => gone.push(key),
            Err(error) => tracing::warn!(%key, %error, "an unneeded object cannot be deleted now"),
        }
    }
    gone
}

/// Deletes what somebody else wrote for us in a folder that was announced, and that became nothing of ours: what has a row is judged by
/// that.
async fn delete_folder(jobs: &Jobs, folder: &ObjectKey) -> Result<(), error::Error> {
    let listed = jobs.objects.list(folder).await?;
    for keys in listed.chunks(BATCH as usize) {
        let known = jobs.store.known_objects(keys).await?;
        for key in keys.iter().filter(|key| !known.contains(key)) {
            jobs.objects.delete(key).await?;
        }
    }
    Ok(())
}
