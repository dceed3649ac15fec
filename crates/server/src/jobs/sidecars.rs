//! Writes sidecars: the rows of each recording as an object, so that the database can be made whole again from object storage alone
//! (docs/sidecars.md).

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_store::{Purpose, Sidecar, StaleSidecar};
use flate2::Compression;
use flate2::read::GzDecoder;
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
const AT_ONCE: usize = 2;
/// The longest document that is read, in bytes: a hundred times what a day's call has.
const LONGEST: u64 = 1 << 30;

/// Deletes what was deleted after the database was copied that the server was started on, and writes what has changed, until it stops.
pub(super) async fn run(jobs: Arc<Jobs>) {
    let mut is_deleted_again = false;
    loop {
        if !is_deleted_again {
            match delete_again(&jobs).await {
                Ok(()) => is_deleted_again = true,
                Err(error) => {
                    tracing::warn!(%error, "whether something was deleted after the database was copied is not known yet");
                }
            }
        }
        let pause = match write_all(&jobs).await {
            Ok(0) => EVERY,
            Ok(_) => PAUSE,
            Err(error) => {
                tracing::warn!(%error, "it is not known which sidecars are to be written");
                PAUSE
            }
        };
        tokio::select! {
            () = jobs.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Writes the sidecars of all recordings whose rows have changed. Returns how many could not be written.
///
/// # Errors
///
/// The database does not say which these are.
pub(super) async fn write_all(jobs: &Jobs) -> Result<u64, Error> {
    // One after another: of two that write the same recording, the one that has the older rows must not be the last.
    let _alone = jobs.sidecars.lock().await;
    let (mut after, mut failed) = (None, 0);
    loop {
        let stale = jobs.store.stale_sidecars(after, BATCH).await?;
        let Some(last) = stale.last() else { return Ok(failed) };
        after = Some(last.recording);
        let write = |stale: StaleSidecar| async move { (stale.recording, write(jobs, stale).await) };
        let mut written = stream::iter(stale).map(write).buffer_unordered(AT_ONCE);
        while let Some((recording, written)) = written.next().await {
            if let Err(error) = written {
                failed += 1;
                tracing::warn!(%recording, %error, "what has changed of a recording is only in the database until its sidecar is written");
            }
            if jobs.stop.is_cancelled() {
                return Ok(failed);
            }
        }
    }
}

async fn write(jobs: &Jobs, stale: StaleSidecar) -> Result<(), Error> {
    let Some(sidecar) = jobs.store.sidecar(stale.recording).await? else { return Ok(()) };
    let Some((recording, _)) = jobs.store.recording(&sidecar.project, stale.recording).await? else { return Ok(()) };
    let key = key::sidecar(&sidecar.project, stale.recording);
    match jobs.objects.put(&recording, Purpose::Sidecar, &key, packed(sidecar).await?).await {
        // The erasure writes what is left of it.
        Err(error) if error.is_deleted() => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(jobs.store.sidecar_written(stale.recording, stale.changed).await?),
    }
}

/// Asks for the deletion of recordings of which object storage has a note that they were deleted: the database is an older copy. Of those that it
/// does not know, it is told.
async fn delete_again(jobs: &Jobs) -> Result<(), Error> {
    for project in jobs.config.projects.iter().map(|project| &project.id) {
        let mut notes: HashSet<ObjectKey> =
            jobs.objects.list(&key::deleted_folder(project)).await?.into_iter().collect();
        // Most often all of them are known.
        let mut after = None;
        while !notes.is_empty() {
            let recordings = jobs.store.deleted(after, BATCH).await?;
            let Some(last) = recordings.last() else { break };
            after = Some(*last);
            for recording in recordings {
                notes.remove(&key::deleted(project, recording));
            }
        }
        let mut after = None;
        while !notes.is_empty() {
            let recordings = jobs.store.undeleted(project, after, BATCH).await?;
            let Some(last) = recordings.last() else { break };
            after = Some(*last);
            for recording in recordings {
                if notes.remove(&key::deleted(project, recording)) {
                    ask_deletion(jobs, project, recording).await?;
                }
            }
        }
        for note in notes {
            learn(jobs, &note).await?;
        }
    }
    Ok(())
}

async fn ask_deletion(jobs: &Jobs, project: &ProjectId, recording: RecordingId) -> Result<(), Error> {
    let asked = jobs.store.request_deletion(project, recording, jobs.clock.now()).await?;
    if asked.is_some_and(|recording| recording.state.deletion.is_requested()) {
        tracing::warn!(%recording, "a recording was deleted after this copy of the database was made; it is deleted again");
        jobs.bell.ring();
    }
    Ok(())
}

/// Stores what a note says of a deletion that the database does not know: so its session stays away.
async fn learn(jobs: &Jobs, note: &ObjectKey) -> Result<(), Error> {
    let Some(bytes) = jobs.objects.find(note).await? else { return Ok(()) };
    match unpacked(&bytes).map(|sidecar| (sidecar.recording, sidecar)) {
        // It is being deleted, and was found above or not at all.
        Ok((recording, sidecar)) if jobs.store.recording(&sidecar.project, recording).await?.is_none() => {
            Ok(jobs.store.restore(&sidecar).await?)
        }
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::error!(key = %note, %error, "a note of a deletion cannot be read");
            Ok(())
        }
    }
}

/// Notes in object storage that a recording is being deleted, or was: what a deletion needs to go on, and to keep its session from coming
/// back. Its sidecar goes.
pub(super) async fn note_deletion(jobs: &Jobs, recording: RecordingId) -> Result<(), Error> {
    let Some(sidecar) = jobs.store.sidecar(recording).await? else { return Ok(()) };
    let (project, key) = (sidecar.project.clone(), key::deleted(&sidecar.project, recording));
    jobs.objects.put_unowned(&project, Purpose::Deletion, &key, packed(sidecar).await?).await?;
    Ok(jobs.objects.forget(&[key::sidecar(&project, recording)]).await?)
}

/// A sidecar as its object is.
async fn packed(sidecar: Sidecar) -> Result<Vec<u8>, Error> {
    let compress = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&sidecar.to_json())?;
        encoder.finish()
    };
    let compressed = tokio::task::spawn_blocking(compress).await;
    let compressed = compressed.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    Ok(compressed.map_err(error::Error::io("compress the rows of a recording"))?)
}

/// Reads a sidecar from its object.
///
/// # Errors
///
/// It is not compressed as ours are, or is another document.
pub fn unpacked(object: &[u8]) -> Result<Sidecar, error::Error> {
    let mut json = Vec::new();
    GzDecoder::new(object).take(LONGEST).read_to_end(&mut json).map_err(error::Error::io("read a sidecar"))?;
    Ok(Sidecar::parse(&json)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = unpacked(&bytes);
        }
    }
}
