//! At the start: the rooms that an earlier process recorded are taken up where it left them.

use std::sync::Arc;
use std::time::Instant;

use echosphere_domain::segment::AUDIO_RENDITION;
use echosphere_recorder::capture::{Capture, Timepiece};
use echosphere_recorder::log::Entry;
use echosphere_recorder::log::journal::{self, Recovered};
use echosphere_store::LiveRow;

use super::{LAG, Told, reach, run};
use crate::app::SharedApp;
use crate::work::Error;
use crate::{capture_log, clock};

/// Takes up what rows and journal say is unfinished. `recovered` is what earlier processes' journals hold.
pub async fn take_up(app: &SharedApp, recovered: Recovered) -> Result<(), Error> {
    let Recovered { files, mut captures, torn } = recovered;
    let rows = app.store.live().await?;
    if torn > 0 {
        tracing::warn!(torn, "the end of a journal was torn; what came before it is kept");
    }
    let mut all_taken = true;
    for row in rows {
        let id = row.recording.id;
        let entries = captures.remove(&row.capture.id.as_uuid()).unwrap_or_default();
        if let Err(error) = one(app, row, entries).await {
            // The row stays as it is, and so do the files: the next start tries again.
            tracing::error!(recording = %id, %error, "a room that was being recorded cannot be taken up");
            all_taken = false;
        }
    }
    if !all_taken {
        return Ok(());
    }
    let journal = Arc::clone(&app.rooms.journal);
    let flushed = tokio::task::spawn_blocking(move || journal.flush()).await;
    if flushed.is_ok_and(|flushed| flushed.is_ok()) {
        for file in files {
            if let Err(error) = std::fs::remove_file(&file) {
                tracing::warn!(file = %file.display(), %error, "an old journal cannot be removed");
            }
        }
    }
    Ok(())
}

/// Reads the journals of earlier processes.
pub fn journals(folder: &std::path::Path) -> Result<Recovered, Error> {
    let read = journal::recover(folder, |_| Some(0));
    read.map_err(|source| Error::Io { action: "read the journal", source })
}

async fn one(app: &SharedApp, row: LiveRow, journalled: Vec<Entry>) -> Result<(), Error> {
    let LiveRow { recording, capture, settings, paused } = row;
    let mut told = Told { paused, ..Told::from_json(&settings) };
    // Those who were left out during the call stay left out.
    told.exclude.extend(app.store.excluded(recording.id).await?);
    let mut stored = Vec::new();
    capture_log::read(app, &recording, capture.attempt, |number, _, chunk| {
        let entries = chunk.into_iter().flat_map(|chunk| chunk.entries);
        stored.extend(entries.map(|entry| (number, entry)));
    })
    .await?;
    let clock = Timepiece::new(Instant::now(), clock::now().as_nanos());
    let mut log =
        Capture::new(capture.id.as_uuid(), clock, Arc::clone(&app.rooms.journal), told.layout(), LAG.as_nanos() as i64);
    let (chunks, journal) = (stored.len(), journalled.len());
    log.recover(stored, journalled);
    tracing::info!(recording = %recording.id, chunked = chunks, journalled = journal, "a room is taken up again");
    let rendered = app.store.segments(recording.id, AUDIO_RENDITION).await?.len() as u32;
    let has_ended = log.assembler().ended().is_some();
    match reach(app, &recording.project).await {
        Ok(reach) if !has_ended => run(app, recording, &capture, log, told, reach, rendered),
        other => {
            if let Err(error) = other {
                tracing::error!(recording = %recording.id, %error, "the room cannot be reached any more");
            }
            super::keep_rest(app, recording, &capture, log).await;
        }
    }
    Ok(())
}
