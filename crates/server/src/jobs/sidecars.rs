//! Writes sidecars: the rows of each recording as an object, so that the database can be made whole again from object storage alone
//! (docs/sidecars.md).

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::RecordingId;
use echosphere_domain::key::{self, ObjectKey};
use echosphere_store::{Purpose, Sidecar, StaleSidecar};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};

use super::{Error, Jobs};
use crate::error;

/// How often to look for rows that have changed: a recording that changes all the time is written that often at most.
const EVERY: Duration = Duration::from_secs(5);
/// How long to wait after storage did not take one.
const PAUSE: Duration = Duration::from_secs(30);
/// Recordings per query.
const BATCH: u32 = 100;
/// Sidecars that are written at once.
const AT_ONCE: usize = 4;

/// Writes what has changed until the server stops; at first deletes what was deleted after the database was copied that it was started on.
pub(super) async fn run(jobs: Arc<Jobs>) {
    if let Err(error) = delete_again(&jobs).await {
        tracing::warn!(%error, "whether something is in the database that was deleted before is looked at after the next start");
    }
    loop {
        let pause = match write_all(&jobs).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "what has changed of recordings is only in the database until object storage takes it");
                PAUSE
            }
        };
        tokio::select! {
            () = jobs.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Writes the sidecars of all recordings whose rows have changed.
pub(super) async fn write_all(jobs: &Jobs) -> Result<(), Error> {
    // One after another: of two that write the same recording, the one that has the older rows must not be the last.
    let _alone = jobs.sidecars.lock().await;
    let mut after = None;
    loop {
        let stale = jobs.store.stale_sidecars(after, BATCH).await?;
        let Some(last) = stale.last() else { return Ok(()) };
        after = Some(last.recording);
        let mut written = stream::iter(stale).map(|stale| write(jobs, stale)).buffer_unordered(AT_ONCE);
        while let Some(written) = written.next().await {
            written?;
            if jobs.stop.is_cancelled() {
                return Ok(());
            }
        }
    }
}

async fn write(jobs: &Jobs, stale: StaleSidecar) -> Result<(), Error> {
    let Some(sidecar) = jobs.store.sidecar(stale.recording).await? else { return Ok(()) };
    let Some((recording, _)) = jobs.store.recording(&sidecar.project, stale.recording).await? else { return Ok(()) };
    let key = key::sidecar(&sidecar.project, stale.recording);
    match jobs.objects.put(&recording, Purpose::Sidecar, &key, compressed(sidecar).await?).await {
        // The erasure writes what is left of it.
        Err(error) if error.is_deleted() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(jobs.store.sidecar_written(stale.recording, stale.changed).await?),
    }
}

/// Asks for the deletion of recordings of which object storage has a note that they were deleted: the database is an older copy.
async fn delete_again(jobs: &Jobs) -> Result<(), Error> {
    for project in jobs.config.projects.iter().map(|project| &project.id) {
        let notes: HashSet<ObjectKey> = jobs.objects.list(&key::deleted_folder(project)).await?.into_iter().collect();
        let mut after = None;
        while !notes.is_empty() {
            let recordings = jobs.store.undeleted(project, after, BATCH).await?;
            let Some(last) = recordings.last() else { break };
            after = Some(*last);
            for recording in
                recordings.into_iter().filter(|recording| notes.contains(&key::deleted(project, *recording)))
            {
                tracing::warn!(%recording, "a recording was deleted after this copy of the database was made; it is deleted again");
                jobs.store.request_deletion(project, recording, jobs.clock.now()).await?;
                jobs.bell.ring();
            }
        }
    }
    Ok(())
}

/// Notes in object storage that a recording is being deleted, or was: what a deletion needs to go on, and to keep its session from coming
/// back.
pub(super) async fn note_deletion(jobs: &Jobs, recording: RecordingId) -> Result<(), Error> {
    let Some(sidecar) = jobs.store.sidecar(recording).await? else { return Ok(()) };
    let (project, key) = (sidecar.project.clone(), key::deleted(&sidecar.project, recording));
    Ok(jobs.objects.put_unowned(&project, Purpose::Sidecar, &key, compressed(sidecar).await?).await?)
}

async fn compressed(sidecar: Sidecar) -> Result<Vec<u8>, Error> {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&sidecar.to_json())?;
        encoder.finish()
    };
    let compressed = tokio::task::spawn_blocking(compress).await;
    let compressed = compressed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    Ok(compressed.map_err(error::Error::io("compress the rows of a recording"))?)
}
