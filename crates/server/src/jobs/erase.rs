//! Deletion: waits for whatever still writes, then erases the bytes, the rows and the write-ahead log, and only then it is "done"
//! (docs/decisions/0012-deletion.md).
//!
//! Each step may be done again after a crash. The rows that say what is to be erased (captures, uploads, the prefix) go after what
//! they name.

use std::time::{Duration, Instant};

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_store::{Belongings, Claim, Erasure};

use super::{Error, Jobs, sidecars, unneeded};
use crate::error;

/// How long to wait for a room, a writer or an upload, and how often to look. While storage is away it takes longer, and is tried
/// again.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// How often, with growing pauses, an erasure waits for a room to be composed without what is erased: for about half a day.
const MOST_WAITS: u32 = 24;
/// How often folding the write-ahead log in is tried while somebody reads, before the whole task is tried again later.
const FOLDS: u32 = 40;

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let what = Erasure::parse(&claim.payload).ok_or_else(|| Error::Payload(claim.payload.clone()))?;
    if let Erasure::Recording(recording) = what {
        wait_until_left(jobs, recording).await?;
        if !jobs.objects.fences().close(recording, PATIENCE).await {
            return Err(Error::Recorded(recording));
        }
    }
    if !jobs.objects.fences().settle_sessions(PATIENCE).await {
        return Err(Error::Busy);
    }
    note(jobs, what).await?;
    erase(jobs, what, claim.attempts).await?;
    // Nothing but ids is left in its rows now.
    note(jobs, what).await?;
    jobs.store.finish_erase(what, &claim.lease, jobs.clock.now()).await?;
    match what {
        Erasure::Recording(recording) => tracing::info!(%recording, "a recording was deleted"),
        Erasure::Refused(_) => tracing::info!("what came of a session that is refused was deleted"),
    }
    Ok(())
}

/// Notes a deletion where its recording's sidecar is: a database that is made whole from there goes on with it.
async fn note(jobs: &Jobs, what: Erasure) -> Result<(), Error> {
    match what {
        Erasure::Recording(recording) => sidecars::note_deletion(jobs, recording).await,
        Erasure::Refused(_) => Ok(()),
    }
}

/// Erases everything, without marking it as done.
async fn erase(jobs: &Jobs, what: Erasure, attempts: u32) -> Result<(), Error> {
    bytes(jobs, what).await?;
    match waited_for(jobs, what, |belongings| belongings.is_heard_elsewhere).await {
        // Words are not kept for ever because a room cannot be composed.
        Err(Error::Busy) if attempts > MOST_WAITS => {
            tracing::error!(
                ?what,
                "a room that had a deleted session cannot be composed without it; the session is erased all the same"
            );
        }
        waited => drop(waited?),
    }
    jobs.store.erase_rows(what).await?;
    scrub(jobs).await?;
    // What uploads that are coming for its room have of the recording goes when they are read.
    if waited_for(jobs, what, |belongings| belongings.is_awaited).await? { scrub(jobs).await } else { Ok(()) }
}

/// Waits while something is on its way that has to be over before the deletion is. Returns whether there was anything.
async fn waited_for(jobs: &Jobs, what: Erasure, is_under_way: fn(&Belongings) -> bool) -> Result<bool, Error> {
    let began = Instant::now();
    let mut found = false;
    while is_under_way(&jobs.store.belongings(what).await?) {
        found = true;
        unneeded::at_once(jobs).await;
        if jobs.stop.is_cancelled() {
            return Err(error::Error::Stopping.into());
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Busy);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(found)
}

/// Removes everything outside of the database. Returns how many objects had no row, and their bytes.
pub(super) async fn bytes(jobs: &Jobs, what: Erasure) -> Result<(u64, u64), Error> {
    let mut belongings = jobs.store.belongings(what).await?;
    while !belongings.objects.is_empty() {
        for keys in belongings.objects.chunks(500) {
            for key in keys {
                if jobs.stop.is_cancelled() {
                    return Err(error::Error::Stopping.into());
                }
                jobs.objects.delete(key).await?;
                if may_be_in_parts(key) {
                    jobs.objects.abort_unfinished(key).await?;
                }
            }
            jobs.store.forget_objects(keys).await?;
        }
        // What was announced in the meantime, by a writer that was faster than the request.
        belongings = jobs.store.belongings(what).await?;
    }
    let orphans = without_rows(jobs, what, &belongings.folders).await?;
    files(jobs, belongings).await?;
    Ok(orphans)
}

/// Whether an object may be so large that it is written in parts: a process that died may have left some. Not all servers find them by a folder.
fn may_be_in_parts(key: &ObjectKey) -> bool {
    [".multipart", ".ogg", ".esl"].iter().any(|ending| key.as_str().ends_with(ending))
}

/// Deletes objects in the folders that have no row and are no other recording's: earlier versions left some, and a process that died may have left a
/// part of one.
async fn without_rows(jobs: &Jobs, what: Erasure, folders: &[ObjectKey]) -> Result<(u64, u64), Error> {
    let (mut count, mut size) = (0, 0);
    for folder in folders {
        jobs.objects.abort_unfinished(folder).await?;
        let listed = jobs.objects.list(folder).await?;
        let kept = jobs.store.kept_elsewhere(what, &listed).await?;
        for key in listed.iter().filter(|key| !kept.contains(key)) {
            let Some(object) = jobs.objects.head(key).await? else { continue };
            jobs.objects.delete(key).await?;
            (count, size) = (count + 1, size + object.size);
        }
    }
    Ok((count, size))
}

/// Removes files of the spools, and takes captures out of the journal.
async fn files(jobs: &Jobs, belongings: Belongings) -> Result<(), Error> {
    let Belongings { uploads, captures, .. } = belongings;
    for upload in uploads {
        for path in [jobs.data.spool(upload), jobs.data.spool_silenced(upload)] {
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error::Error::io("remove a spooled upload")(error).into());
                }
                _ => {}
            }
        }
    }
    let captures: Vec<_> = captures.iter().map(CaptureId::as_uuid).collect();
    if captures.is_empty() {
        return Ok(());
    }
    let forgotten = jobs.rooms.forget(captures).await;
    Ok(forgotten.map_err(error::Error::io("take a room out of the journal"))?)
}

/// Folds the write-ahead log into the database. Readers prevent that for moments.
pub(super) async fn scrub(jobs: &Jobs) -> Result<(), Error> {
    for _ in 1..FOLDS {
        match jobs.store.scrub().await {
            Err(error) if error.is_transient() && !jobs.stop.is_cancelled() => tokio::time::sleep(LOOK).await,
            other => return Ok(other?),
        }
    }
    Ok(jobs.store.scrub().await?)
}

/// Waits until this process has left the recording's room.
async fn wait_until_left(jobs: &Jobs, recording: RecordingId) -> Result<(), Error> {
    let began = Instant::now();
    while jobs.rooms.has(recording) {
        if jobs.stop.is_cancelled() {
            return Err(error::Error::Stopping.into());
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Recorded(recording));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
