//! Resumes rooms that an earlier process, or another node, recorded: from the rows, chunks and journals that it left.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use echosphere_domain::id::RecordingId;
use echosphere_domain::options::RecordingOptions;
use echosphere_recorder::capture::{Capture, Timepiece};
use echosphere_recorder::log::journal::{self, Recovered};
use echosphere_recorder::log::{Body, Entry, chunk};
use echosphere_recorder::room::Command;
use echosphere_store::LiveRow;
use uuid::Uuid;

use super::chunk_outbox::ChunkOutbox;
use super::reach::reach;
use super::room_task::{persist_rest, run};
use super::session::StartingPoint;
use super::{LEASE, Recorder, live_renderer};
use crate::error::Error;
use crate::recording_options::layout;
use crate::rendering::capture_log;

/// How long to wait before what could not be resumed is tried again.
const PAUSE: Duration = Duration::from_secs(2);

/// A room that was being recorded, and what the journals have of it.
struct Unfinished {
    row: LiveRow,
    journalled: Vec<Entry>,
}

/// Resumes what is unfinished by the rows, the spool and the journals. `recovered` is what earlier processes' journals have. What
/// cannot be resumed now (object storage is away) is tried again in the background.
pub async fn resume(recorder: &Arc<Recorder>, recovered: Recovered) -> Result<(), Error> {
    let Recovered { files, mut captures, torn, foreign } = recovered;
    if torn > 0 {
        tracing::warn!(torn, "the end of a journal was torn; what came before it is kept");
    }
    for file in foreign {
        tracing::warn!(file = %file.display(), "not a journal that this version reads; it is left alone");
    }
    let now = recorder.clock.now();
    let rows = recorder.store.claim_rooms(recorder.node, now, now.after(LEASE)).await?;
    // Rooms that this data directory has something of, and another node owns: one whose id this one had before, for example.
    let elsewhere = recorder.store.captures_elsewhere(recorder.node).await?;
    let going_on: HashSet<Uuid> =
        rows.iter().map(|row| row.capture.id).chain(elsewhere).map(|id| id.as_uuid()).collect();
    let orphans = recorder.registry.spool.captures().into_iter();
    for orphan in orphans.filter(|id| !going_on.contains(id)) {
        // Its recording has ended or was deleted, so storage has all of it, or nobody wants it.
        for number in recorder.registry.spool.numbers(orphan) {
            recorder.registry.spool.remove(orphan, number);
        }
    }
    recorder.registry.earlier.lock().unwrap_or_else(PoisonError::into_inner).extend(files);
    captures.retain(|capture, _| going_on.contains(capture));
    recorder.registry.journalled().extend(captures);
    resume_rows(recorder, rows).await;
    Ok(())
}

/// Resumes rooms, with what earlier journals have of them; those that cannot be resumed now in the background.
pub(super) async fn resume_rows(recorder: &Arc<Recorder>, rows: Vec<LiveRow>) {
    recorder.registry.to_resume().extend(rows.iter().map(|row| (row.recording.id, Vec::new())));
    let unfinished = rows.into_iter().map(|row| {
        let journalled = recorder.registry.journalled().remove(&row.capture.id.as_uuid()).unwrap_or_default();
        Unfinished { row, journalled }
    });
    let began = Instant::now();
    let remaining = round(recorder, unfinished.collect(), began).await;
    if remaining.is_empty() {
        remove(recorder).await;
    } else {
        tokio::spawn(keep_trying(Arc::clone(recorder), remaining, began));
    }
}

async fn keep_trying(recorder: Arc<Recorder>, mut remaining: Vec<Unfinished>, began: Instant) {
    while !remaining.is_empty() {
        let stopped = tokio::time::timeout(PAUSE, recorder.stop.cancelled()).await.is_ok();
        if stopped {
            // Rows and files stay as they are: the next start tries again.
            return;
        }
        remaining = still_wanted(&recorder, remaining).await;
        remaining = round(&recorder, remaining, began).await;
    }
    remove(&recorder).await;
}

/// Reads the rows anew: since the start somebody may have paused a room, excluded a participant, or deleted its recording.
async fn still_wanted(recorder: &Recorder, remaining: Vec<Unfinished>) -> Vec<Unfinished> {
    let now = recorder.clock.now();
    let Ok(rows) = recorder.store.claim_rooms(recorder.node, now, now.after(LEASE)).await else { return remaining };
    let mut rows: HashMap<RecordingId, LiveRow> = rows.into_iter().map(|row| (row.recording.id, row)).collect();
    let mut wanted = Vec::new();
    for Unfinished { row, journalled } in remaining {
        match rows.remove(&row.recording.id) {
            Some(row) => wanted.push(Unfinished { row, journalled }),
            None => recorder.registry.resumed(row.recording.id),
        }
    }
    wanted
}

/// Resumes what can be resumed; returns what remains.
async fn round(recorder: &Arc<Recorder>, unfinished: Vec<Unfinished>, began: Instant) -> Vec<Unfinished> {
    let mut remaining = Vec::new();
    for Unfinished { row, journalled } in unfinished {
        let id = row.recording.id;
        match resume_one(recorder, &row, journalled, began).await {
            Ok(()) => recorder.registry.resumed(id),
            Err((error, journalled)) => {
                tracing::error!(recording = %id, %error, "a room that was being recorded cannot be resumed now");
                remaining.push(Unfinished { row, journalled });
            }
        }
    }
    remaining
}

/// Removes the journals of earlier processes when no room needs them any more: this process's own has their entries by now.
async fn remove(recorder: &Arc<Recorder>) {
    if !recorder.registry.to_resume().is_empty() || !recorder.registry.journalled().is_empty() {
        return;
    }
    let (journal, earlier) = (Arc::clone(&recorder.registry.journal), Arc::clone(&recorder.registry.earlier));
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
    read.map_err(Error::io("read the journal"))
}

/// Why a room is not resumed now.
type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn resume_one(
    recorder: &Arc<Recorder>,
    row: &LiveRow,
    journalled: Vec<Entry>,
    began: Instant,
) -> Result<(), (Failure, Vec<Entry>)> {
    let LiveRow { recording, capture, options, paused, .. } = row;
    let is_stopped = recorder
        .registry
        .to_resume()
        .get(&recording.id)
        .is_some_and(|orders| orders.iter().any(|order| order.command == Command::Stop));
    let reach = reach(recorder, &recording.project).await;
    // What has ended needs no LiveKit.
    let is_end_journalled = journalled.iter().any(|entry| matches!(entry.body, Some(Body::Ended(_))));
    let is_waited_for = !is_stopped && !is_end_journalled && began.elapsed() < recorder.config.recorder.give_up_after;
    let reach = match reach {
        // LiveKit's name cannot be resolved, for example: that may pass, and the room may still be there then.
        Err(error) if is_waited_for && error.may_pass() => return Err((error.into(), journalled)),
        reach => reach,
    };
    let mut options = RecordingOptions { paused: *paused, ..options.clone() };
    // Participants who were excluded during the call stay excluded.
    match recorder.store.excluded(recording.id).await {
        Ok(excluded) => options.exclude.extend(excluded),
        Err(error) => return Err((error.into(), journalled)),
    }
    let clock = Timepiece::new(Instant::now(), recorder.clock.now().as_nanos());
    let (id, live) = (capture.id.as_uuid(), live_renderer::needs(&recorder.config));
    let mut log = Capture::new(id, clock, &recorder.registry.journal, layout(&options), live);
    let read = async {
        let stored = capture_log::read(&recorder.objects, recording, capture.attempt, |number, _, chunk| {
            log.replay(number, chunk.into_iter().flat_map(|chunk| chunk.entries));
        })
        .await?;
        let outbox = ChunkOutbox::new(stored..spooled(recorder, id, stored, &mut log).await?);
        let rendered = recorder.store.segment_index(recording.id).await?.len() as u32;
        Ok::<_, Error>((stored, outbox, rendered))
    };
    let (stored, outbox, rendered) = match read.await {
        Ok(read) => read,
        Err(error) => return Err((error.into(), journalled)),
    };
    let journal = journalled.len();
    log.recover(journalled);
    tracing::info!(recording = %recording.id, stored, chunks = log.number(), journal, "a room is resumed");
    let has_ended = log.assembler().ended().is_some();
    let start = StartingPoint { log, outbox, rendered };
    match reach {
        Ok(reach) if !has_ended && !is_stopped => run(recorder, recording.clone(), capture, start, options, reach),
        other => {
            if let Err(error) = other {
                tracing::error!(recording = %recording.id, %error, "the room cannot be reached any more");
            }
            persist_rest(recorder, recording.clone(), capture, start);
        }
    }
    Ok(())
}

/// Reads the chunks that wait in the spool after those in storage; returns the number after the last.
async fn spooled(recorder: &Arc<Recorder>, id: Uuid, stored: u32, log: &mut Capture) -> Result<u32, Error> {
    let mut end = stored;
    for number in recorder.registry.spool.numbers(id) {
        let spool = Arc::clone(&recorder.registry.spool);
        let read = tokio::task::spawn_blocking(move || {
            if number >= stored {
                return spool.get(id, number).map(Some);
            }
            // It was uploaded, and the process died before it was removed.
            spool.remove(id, number);
            Ok(None)
        });
        let read = read.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let Some(bytes) = read.map_err(Error::io("read a chunk"))? else { continue };
        match chunk::decode(&bytes.into()) {
            Ok(chunk) => log.replay(number, chunk.entries),
            Err(error) => tracing::error!(capture = %id, chunk = number, %error, "a chunk that waited cannot be read"),
        }
        end = number + 1;
    }
    Ok(end)
}
