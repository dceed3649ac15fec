//! What is put right at the start: what earlier processes left unfinished, and once for each data directory what deletions of earlier
//! versions left behind (docs/decisions/0012-deletion.md).

use echosphere_domain::key;
use echosphere_store::{Erasure, Upload, UploadState};

use crate::app::App;
use crate::clock;
use crate::config::Redaction;
use crate::work::{Error, erase};

/// What is done once for a data directory.
const ONCE: &str = "deleted-means-gone";
/// Recordings, or uploads, that are looked at together.
const BATCH: u32 = 500;
/// How the reason begins with which earlier versions put sessions into quarantine that ask for redaction.
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

/// Puts right what is not. Called once, before requests are served.
pub async fn run(app: &App) -> Result<(), Error> {
    // Of an earlier process, which never made requests of them: their sessions may have been deleted since.
    let unfinished = app.store.unfinished_telemetry().await?;
    for key in &unfinished {
        app.objects.delete(key).await?;
    }
    app.store.forget_objects(&unfinished).await?;
    let resumed = app.store.resume_deletions(clock::now()).await?;
    if resumed > 0 {
        tracing::warn!(recordings = resumed, "deletions that were given up go on");
    }
    let mut found = Found::default();
    if app.config.redaction == Redaction::Refuse {
        found.redaction = kept_for_redaction(app).await?;
    }
    let first = !app.store.is_done_once(ONCE).await?;
    if first {
        leftovers(app, &mut found).await?;
    }
    if first || found.redaction > 0 {
        if found.recordings + found.redaction > 0 {
            if let Err(error) = rewrite(app).await {
                // It needs as much room again as the database has. What is there is no worse than before.
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
        app.store.done_once(ONCE, clock::now()).await?;
    }
    Ok(())
}

async fn rewrite(app: &App) -> Result<(), Error> {
    app.store.rewrite().await?;
    erase::scrub(app).await
}

/// Deletes sessions that asked for redaction and were put into quarantine as they were.
async fn kept_for_redaction(app: &App) -> Result<u64, Error> {
    let mut count = 0;
    loop {
        let now = clock::now();
        let quarantined = app.store.uploads_before(UploadState::Quarantined, now, u32::MAX).await?;
        let asked = |upload: &Upload| upload.reason.as_deref().is_some_and(|reason| reason.starts_with(FOR_REDACTION));
        let Some(uploads) = Some(quarantined.into_iter().filter(asked).take(BATCH as usize).collect::<Vec<_>>())
            .filter(|uploads| !uploads.is_empty())
        else {
            return Ok(count);
        };
        for upload in &uploads {
            forget_quarantined(app, upload).await?;
            count += 1;
        }
    }
}

/// Deletes an upload in quarantine: its bytes, then its row.
pub async fn forget_quarantined(app: &App, upload: &Upload) -> Result<(), Error> {
    let object = key::quarantine(&upload.project, upload.id);
    app.objects.delete(&object).await?;
    app.store.forget_objects(std::slice::from_ref(&object)).await?;
    Ok(app.store.forget_upload(upload.id).await?)
}

/// Deletes uploads whose time in quarantine is over.
pub async fn expire_quarantine(app: &App) -> Result<(), Error> {
    let before = clock::now().before(app.config.quarantine);
    for upload in app.store.uploads_before(UploadState::Quarantined, before, BATCH).await? {
        forget_quarantined(app, &upload).await?;
        metrics::counter!("echosphere_quarantine_expired_total").increment(1);
        tracing::info!(upload = %upload.id, "an upload's time in quarantine is over; it is deleted");
    }
    Ok(())
}

/// Erases again what was deleted: earlier versions left objects, telemetry and names.
async fn leftovers(app: &App, found: &mut Found) -> Result<(), Error> {
    let mut after = None;
    loop {
        let deleted = app.store.deleted(after, BATCH).await?;
        let Some(last) = deleted.last() else { return Ok(()) };
        after = Some(*last);
        for recording in deleted {
            let what = Erasure::Recording(recording);
            found.telemetry += app.store.belongings(what).await?.objects.len() as u64;
            let (objects, bytes) = erase::bytes(app, what).await?;
            app.store.erase_rows(what).await?;
            found.recordings += 1;
            found.objects += objects;
            found.bytes += bytes;
        }
    }
}
