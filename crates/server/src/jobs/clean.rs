//! Cleans up at the start: what earlier processes left unfinished and, once for each data directory, what deletions by earlier
//! versions left behind (docs/decisions/0012-deletion.md).

use echosphere_domain::key;
use echosphere_store::{Erasure, Upload, UploadState};

use super::{Error, Jobs, erase};
use crate::config::Redaction;

/// The name of what is done once for each data directory.
const ONCE: &str = "deleted-means-gone";
/// Recordings, or uploads, in one batch.
const BATCH: u32 = 500;
/// How the reason begins that earlier versions gave when they put a session into quarantine because it asks for redaction.
const FOR_REDACTION: &str = "the session asks for redaction";

/// What was found.
#[derive(Debug, Default)]
struct Found {
    recordings: u64,
    objects: u64,
    bytes: u64,
    telemetry: u64,
    redaction: u64,
}

/// Cleans up. Called once, before requests are served.
pub async fn run(jobs: &Jobs) -> Result<(), Error> {
    // Objects that an earlier process announced for telemetry and wrote no row for: their sessions may have been deleted since.
    let unfinished = jobs.store.unfinished_telemetry().await?;
    jobs.objects.forget(&unfinished).await?;
    let resumed = jobs.store.resume_deletions(jobs.clock.now()).await?;
    if resumed > 0 {
        tracing::warn!(recordings = resumed, "deletions that were given up go on");
    }
    let mut found = Found::default();
    if jobs.config.redaction == Redaction::Refuse {
        found.redaction = kept_for_redaction(jobs).await?;
    }
    let first = !jobs.store.is_done_once(ONCE).await?;
    if first {
        leftovers(jobs, &mut found).await?;
    }
    if first || found.redaction > 0 {
        if found.recordings + found.redaction > 0 {
            if let Err(error) = rewrite(jobs).await {
                // It needs as much free space as the database takes. What is there is no worse than before.
                tracing::warn!(%error, "the database cannot be written anew; the next start tries again");
                return Ok(());
            }
            let Found { recordings, objects, bytes, telemetry, redaction } = found;
            tracing::info!(
                recordings,
                objects,
                bytes,
                telemetry,
                redaction,
                "cleaned up what deletions of earlier versions left behind: recordings whose rows were cleaned, objects without a row \
                 and their bytes, telemetry, sessions in quarantine that ask for redaction; the database was written anew"
            );
        }
        jobs.store.done_once(ONCE, jobs.clock.now()).await?;
    }
    Ok(())
}

async fn rewrite(jobs: &Jobs) -> Result<(), Error> {
    jobs.store.rewrite().await?;
    erase::scrub(jobs).await
}

/// Deletes sessions that asked for redaction and were put into quarantine as they came.
async fn kept_for_redaction(jobs: &Jobs) -> Result<u64, Error> {
    let mut count = 0;
    loop {
        let now = jobs.clock.now();
        let quarantined = jobs.store.uploads_before(UploadState::Quarantined, now, u32::MAX).await?;
        let asked = |upload: &Upload| upload.reason.as_deref().is_some_and(|reason| reason.starts_with(FOR_REDACTION));
        let Some(uploads) = Some(quarantined.into_iter().filter(asked).take(BATCH as usize).collect::<Vec<_>>())
            .filter(|uploads| !uploads.is_empty())
        else {
            return Ok(count);
        };
        for upload in &uploads {
            forget_quarantined(jobs, upload).await?;
            count += 1;
        }
    }
}

/// Deletes an upload that is held or in quarantine: its bytes, those too that an earlier version put into object storage, then its row.
pub async fn forget_quarantined(jobs: &Jobs, upload: &Upload) -> Result<(), Error> {
    let object = key::quarantine(&upload.project, upload.id);
    jobs.objects.forget(std::slice::from_ref(&object)).await?;
    Ok(jobs.uploads.forget(upload.id).await?)
}

/// Deletes uploads whose time in quarantine is over.
pub async fn expire_quarantine(jobs: &Jobs) -> Result<(), Error> {
    let before = jobs.clock.now().before(jobs.config.quarantine);
    for upload in jobs.store.uploads_before(UploadState::Quarantined, before, BATCH).await? {
        forget_quarantined(jobs, &upload).await?;
        metrics::counter!("echosphere_quarantine_expired_total").increment(1);
        tracing::info!(upload = %upload.id, "an upload's time in quarantine is over; it is deleted");
    }
    Ok(())
}

/// Erases deleted recordings once more: earlier versions left objects, telemetry and names behind.
async fn leftovers(jobs: &Jobs, found: &mut Found) -> Result<(), Error> {
    let mut after = None;
    loop {
        let deleted = jobs.store.deleted(after, BATCH).await?;
        let Some(last) = deleted.last() else { return Ok(()) };
        after = Some(*last);
        for recording in deleted {
            let what = Erasure::Recording(recording);
            found.telemetry += jobs.store.belongings(what).await?.objects.len() as u64;
            let (objects, bytes) = erase::bytes(jobs, what).await?;
            jobs.store.erase_rows(what).await?;
            found.recordings += 1;
            found.objects += objects;
            found.bytes += bytes;
        }
    }
}
