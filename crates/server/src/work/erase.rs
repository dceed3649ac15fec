//! Deletion: whoever still writes is waited for, then the bytes go, then the rows, then the log of the rows, and only then it is
//! "done" (docs/decisions/0012-deletion.md).
//!
//! Each step may be done again after a crash. What says what is to be erased (captures, uploads, the prefix) goes after what it
//! says.

use std::time::{Duration, Instant};

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_store::{Belongings, Claim, Erasure};

use super::Error;
use crate::app::App;
use crate::clock;

/// How long to wait for a room that is being left, and how often to look. When storage is away it takes longer, and is tried again.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);
/// How often the log is folded in while somebody reads, before the whole task is tried again later.
const FOLDS: u32 = 40;

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let what = Erasure::parse(&claim.payload).ok_or_else(|| Error::Payload(claim.payload.clone()))?;
    if let Erasure::Recording(recording) = what {
        left(app, recording).await?;
        if !app.fences.close(recording, PATIENCE).await {
            return Err(Error::Recorded(recording));
        }
    }
    if !app.fences.settle_sessions(PATIENCE).await {
        return Err(Error::Busy);
    }
    erase(app, what).await?;
    app.store.finish_erase(what, &claim.lease, clock::now()).await?;
    match what {
        Erasure::Recording(recording) => tracing::info!(%recording, "a recording was deleted"),
        Erasure::Refused(_) => tracing::info!("what came of a session that is refused was deleted"),
    }
    Ok(())
}

/// Erases everything, but does not say so.
async fn erase(app: &App, what: Erasure) -> Result<(), Error> {
    bytes(app, what).await?;
    app.store.erase_rows(what).await?;
    scrub(app).await?;
    if awaited(app, what).await? { scrub(app).await } else { Ok(()) }
}

/// Waits for uploads that are coming for its room: what of them is the recording's goes when they are read. Whether there were any.
async fn awaited(app: &App, what: Erasure) -> Result<bool, Error> {
    let began = Instant::now();
    let mut found = false;
    while app.store.belongings(what).await?.is_awaited {
        found = true;
        if app.is_stopping() {
            return Err(Error::Stopping);
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Busy);
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(found)
}

/// Removes whatever lies outside of the rows. Returns objects and bytes that had no row.
pub(crate) async fn bytes(app: &App, what: Erasure) -> Result<(u64, u64), Error> {
    let mut belongings = app.store.belongings(what).await?;
    while !belongings.objects.is_empty() {
        for keys in belongings.objects.chunks(500) {
            for key in keys {
                if app.is_stopping() {
                    return Err(Error::Stopping);
                }
                app.objects.delete(key).await?;
            }
            app.store.forget_objects(keys).await?;
        }
        // What was announced in the meantime, by whoever was faster than the request.
        belongings = app.store.belongings(what).await?;
    }
    let orphans = without_rows(app, what, &belongings.folders).await?;
    files(app, belongings).await?;
    Ok(orphans)
}

/// Deletes what lies in the folders and has no row: earlier versions left such.
async fn without_rows(app: &App, what: Erasure, folders: &[ObjectKey]) -> Result<(u64, u64), Error> {
    let (mut count, mut size) = (0, 0);
    for folder in folders {
        let listed = app.objects.list(folder).await?;
        let kept = app.store.kept_elsewhere(what, &listed).await?;
        for key in listed.iter().filter(|key| !kept.contains(key)) {
            size += app.objects.head(key).await?.map_or(0, |object| object.size);
            count += u64::from(app.objects.delete(key).await?);
        }
    }
    Ok((count, size))
}

/// Removes files of the spools, and takes captures out of the journal.
async fn files(app: &App, belongings: Belongings) -> Result<(), Error> {
    let Belongings { uploads, captures, .. } = belongings;
    for upload in uploads {
        for path in [app.data.spool(upload), app.data.spool_silenced(upload)] {
            match tokio::fs::remove_file(&path).await {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::Io { action: "remove a spooled upload", source: error });
                }
                _ => {}
            }
        }
    }
    let captures: Vec<_> = captures.iter().map(CaptureId::as_uuid).collect();
    if captures.is_empty() {
        return Ok(());
    }
    app.rooms.forget(captures).await.map_err(|source| Error::Io { action: "take a room out of the journal", source })
}

/// Folds the database's log in. Readers hold it for moments.
pub(crate) async fn scrub(app: &App) -> Result<(), Error> {
    for _ in 1..FOLDS {
        match app.store.scrub().await {
            Err(error) if error.is_transient() && !app.is_stopping() => tokio::time::sleep(LOOK).await,
            other => return Ok(other?),
        }
    }
    Ok(app.store.scrub().await?)
}

/// Waits until a room that is recorded has been left.
async fn left(app: &App, recording: RecordingId) -> Result<(), Error> {
    let began = Instant::now();
    while app.rooms.has(recording) {
        if app.is_stopping() {
            return Err(Error::Stopping);
        }
        if began.elapsed() > PATIENCE {
            return Err(Error::Recorded(recording));
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
