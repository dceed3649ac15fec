//! At the start: the rooms that an earlier process recorded are taken up where it left them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use echosphere_domain::id::RecordingId;
use echosphere_domain::segment::AUDIO_RENDITION;
use echosphere_recorder::capture::{Capture, Timepiece};
use echosphere_recorder::log::journal::{self, Recovered};
use echosphere_recorder::log::{Entry, chunk};
use echosphere_recorder::room::Command;
use echosphere_store::LiveRow;

use super::outbox::Outbox;
use super::{Left, Told, keep_rest, reach, run, segments};
use crate::app::{App, SharedApp};
use crate::work::Error;
use crate::{capture_log, clock};

/// How long to wait before what could not be taken up is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// A room that was being recorded, and what the journal alone has of it.
struct Unfinished {
    row: LiveRow,
    journalled: Vec<Entry>,
}

/// Takes up what rows, spool and journal say is unfinished. `recovered` is what earlier processes' journals hold. What
/// cannot be taken up now (object storage is away) is tried again in the background.
pub async fn take_up(app: &SharedApp, recovered: Recovered) -> Result<(), Error> {
    let Recovered { files, mut captures, torn, foreign } = recovered;
    if torn > 0 {
        tracing::warn!(torn, "the end of a journal was torn; what came before it is kept");
    }
    for file in foreign {
        tracing::warn!(file = %file.display(), "not a journal that this version reads; it is left alone");
    }
    let rows = app.store.live().await?;
    let orphans = app.rooms.spool.captures().into_iter();
    for orphan in orphans.filter(|id| rows.iter().all(|row| row.capture.id.as_uuid() != *id)) {
        // Its recording has ended or was deleted, so storage has had all of it, or nobody wants it.
        for number in app.rooms.spool.numbers(orphan) {
            app.rooms.spool.remove(orphan, number);
        }
    }
    app.rooms.earlier.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    app.rooms.left().extend(rows.iter().map(|row| (row.recording.id, Vec::new())));
    let unfinished = rows.into_iter().map(|row| {
        let journalled = captures.remove(&row.capture.id.as_uuid()).unwrap_or_default();
        Unfinished { row, journalled }
    });
    let left = round(app, unfinished.collect()).await;
    if left.is_empty() {
        remove(app).await;
    } else {
        tokio::spawn(keep_trying(Arc::clone(app), left));
    }
    Ok(())
}

async fn keep_trying(app: SharedApp, mut left: Vec<Unfinished>) {
    let mut stopping = app.stopping.subscribe();
    while !left.is_empty() {
        let stopped = tokio::time::timeout(PAUSE, stopping.wait_for(|stopping| *stopping)).await.is_ok();
        if stopped {
            // Rows and files stay as they are: the next start tries again.
            return;
        }
        left = still_wanted(&app, left).await;
        left = round(&app, left).await;
    }
    remove(&app).await;
}

/// Reads the rows anew: since the start somebody may have paused a room, left somebody out, or deleted its recording.
async fn still_wanted(app: &App, left: Vec<Unfinished>) -> Vec<Unfinished> {
    let Ok(rows) = app.store.live().await else { return left };
    let mut rows: HashMap<RecordingId, LiveRow> = rows.into_iter().map(|row| (row.recording.id, row)).collect();
    let mut wanted = Vec::new();
    for Unfinished { row, journalled } in left {
        match rows.remove(&row.recording.id) {
            Some(row) => wanted.push(Unfinished { row, journalled }),
            None => app.rooms.taken_up(row.recording.id),
        }
    }
    wanted
}

/// Takes up what can be taken up; returns what is left.
async fn round(app: &SharedApp, unfinished: Vec<Unfinished>) -> Vec<Unfinished> {
    let mut left = Vec::new();
    for Unfinished { row, journalled } in unfinished {
        let id = row.recording.id;
        match one(app, &row, journalled).await {
            Ok(()) => app.rooms.taken_up(id),
            Err((error, journalled)) => {
                tracing::error!(recording = %id, %error, "a room that was being recorded cannot be taken up now");
                left.push(Unfinished { row, journalled });
            }
        }
    }
    left
}

/// Removes the journals of earlier processes, whose entries this one's has by now.
async fn remove(app: &SharedApp) {
    let (journal, earlier) = (Arc::clone(&app.rooms.journal), Arc::clone(&app.rooms.earlier));
    let removed = tokio::task::spawn_blocking(move || {
        if journal.flush().is_err() {
            return;
        }
        earlier.lock().unwrap_or_else(PoisonError::into_inner).retain(|file| match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(file = %file.display(), %error, "an old journal cannot be removed");
                true
            }
            _ => false,
        });
    });
    if let Err(error) = removed.await {
        tracing::warn!(%error, "old journals cannot be removed");
    }
}

/// Reads the journals of earlier processes.
pub fn journals(folder: &std::path::Path) -> Result<Recovered, Error> {
    let read = journal::recover(folder, |_| Some(0));
    read.map_err(|source| Error::Io { action: "read the journal", source })
}

async fn one(app: &SharedApp, row: &LiveRow, journalled: Vec<Entry>) -> Result<(), (Error, Vec<Entry>)> {
    let LiveRow { recording, capture, settings, paused } = row;
    let mut told = Told { paused: *paused, ..Told::from_json(settings) };
    // Those who were left out during the call stay left out.
    match app.store.excluded(recording.id).await {
        Ok(excluded) => told.exclude.extend(excluded),
        Err(error) => return Err((error.into(), journalled)),
    }
    let clock = Timepiece::new(Instant::now(), clock::now().as_nanos());
    let (id, live) = (capture.id.as_uuid(), segments::needs(&app.config));
    let mut log = Capture::new(id, clock, &app.rooms.journal, told.layout(), live);
    let read = async {
        let stored = capture_log::read(app, recording, capture.attempt, |number, _, chunk| {
            log.replay(number, chunk.into_iter().flat_map(|chunk| chunk.entries));
        })
        .await?;
        let outbox = Outbox::new(stored..spooled(app, id, stored, &mut log).await?);
        let rendered = app.store.segments(recording.id, AUDIO_RENDITION).await?.len() as u32;
        Ok::<_, Error>((stored, outbox, rendered))
    };
    let (stored, outbox, rendered) = match read.await {
        Ok(read) => read,
        Err(error) => return Err((error, journalled)),
    };
    let journal = journalled.len();
    log.recover(journalled);
    tracing::info!(recording = %recording.id, stored, chunks = log.number(), journal, "a room is taken up again");
    let has_ended = log.assembler().ended().is_some();
    let left = Left { log, outbox, rendered };
    let reach = reach(app, &recording.project).await;
    let is_stopped = app.rooms.left().get(&recording.id).is_some_and(|told| told.contains(&Command::Stop));
    match reach {
        Ok(reach) if !has_ended && !is_stopped => run(app, recording.clone(), capture, left, told, reach),
        other => {
            if let Err(error) = other {
                tracing::error!(recording = %recording.id, %error, "the room cannot be reached any more");
            }
            keep_rest(app, recording.clone(), capture, left);
        }
    }
    Ok(())
}

/// Reads the chunks that wait in the spool behind those in storage; returns the number behind the last.
async fn spooled(app: &SharedApp, id: uuid::Uuid, stored: u32, log: &mut Capture) -> Result<u32, Error> {
    let mut end = stored;
    for number in app.rooms.spool.numbers(id) {
        let spool = Arc::clone(&app.rooms.spool);
        let read = tokio::task::spawn_blocking(move || {
            if number >= stored {
                return spool.get(id, number).map(Some);
            }
            // It was sent, and the process died before it was removed.
            spool.remove(id, number);
            Ok(None)
        });
        let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let Some(bytes) = read.map_err(|source| Error::Io { action: "read a chunk", source })? else { continue };
        match chunk::decode(&bytes) {
            Ok(chunk) => log.replay(number, chunk.entries),
            Err(error) => tracing::error!(capture = %id, chunk = number, %error, "a chunk that waited cannot be read"),
        }
        end = number + 1;
    }
    Ok(end)
}
