//! Splits recordings that have sessions of several jobs, as earlier versions made them: each session gets a recording of its own.
//!
//! It runs in the background after the start. Each recording is split in one transaction, so an interruption leaves it either as it
//! was or split; recomposing it is left to tasks.

use std::sync::Arc;

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::recording::{Capture, CaptureStatus, Source};
use echosphere_domain::time::WallTime;
use echosphere_store::SplitSession;

use super::facts;
use crate::entropy;
use crate::jobs::{Error, Jobs};

/// Rows read per query.
const BATCH: u32 = 100;

/// Splits what was joined wrongly, then queues a `Separate` task for each session of a room whose place is not known yet.
pub(in crate::jobs) async fn put_right(jobs: Arc<Jobs>) {
    if let Err(error) = put_all_right(&jobs).await {
        tracing::warn!(%error, "recordings of several sessions are put right after the next start");
    }
    jobs.bell.ring();
}

async fn put_all_right(jobs: &Jobs) -> Result<(), Error> {
    let mut after = None;
    loop {
        let mixed = jobs.store.mixed(after, BATCH).await?;
        let Some((_, last)) = mixed.last() else { break };
        after = Some(*last);
        for (project, id) in mixed {
            if jobs.stop.is_cancelled() {
                return Ok(());
            }
            if let Err(error) = put_apart(jobs, &project, id).await {
                tracing::warn!(recording = %id, %error, "a recording of several sessions is put right after the next start");
            }
            jobs.bell.ring();
        }
    }
    let mut after = None;
    while !jobs.stop.is_cancelled() {
        after = jobs.store.place_sessions(after, BATCH, jobs.clock.now()).await?;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

async fn put_apart(jobs: &Jobs, project: &ProjectId, id: RecordingId) -> Result<(), Error> {
    let Some((recording, captures)) = jobs.store.recording(project, id).await? else { return Ok(()) };
    let segments = jobs.store.segment_index(id).await?;
    let sessions = Sessions::of(&captures, segments.first().map(|segment| segment.capture));
    let mut parts = Vec::new();
    for group in &sessions.others {
        // The cut version of an upload is superseded; the whole one has the header.
        let Some(best) = group.iter().rev().find(|capture| capture.status != CaptureStatus::Superseded) else {
            continue;
        };
        let upload = match group.first().and_then(|capture| capture.upload) {
            Some(upload) => jobs.store.upload(upload).await?,
            None => None,
        };
        let now = jobs.clock.now();
        parts.push(SplitSession {
            captures: group.iter().map(|capture| capture.id).collect(),
            recording: RecordingId::new(entropy::uuid(now)),
            session_id: best.job_id.clone(),
            facts: facts(jobs, &recording, best).await?,
            created_at: upload.map_or(recording.created_at, |upload| upload.received_at),
        });
    }
    if parts.is_empty() {
        return Ok(());
    }
    let is_moved = recording.session_id.is_some() && parts.iter().any(|part| part.session_id == recording.session_id);
    let session_id = if is_moved { sessions.first } else { recording.session_id };
    jobs.store.split(id, session_id, &parts, jobs.clock.now()).await?;
    let others: Vec<String> = parts.iter().map(|part| part.recording.to_string()).collect();
    tracing::info!(recording = %id, ?others, "the sessions of a recording are recordings of their own now");
    Ok(())
}

/// The sessions that a recording's captures come from.
#[derive(Debug, Default)]
struct Sessions<'c> {
    /// The job of the one that keeps the recording.
    first: Option<String>,
    /// All others, each with its captures.
    others: Vec<Vec<&'c Capture>>,
}

/// What the uploads of one session have in common: their job or, before version 1.6 of the SDKs, their start.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Job(String),
    Start(WallTime),
}

fn key(capture: &Capture) -> Option<Key> {
    if capture.source != Source::Upload {
        return None;
    }
    let job = capture.job_id.clone().map(Key::Job);
    // Without sound the start is that of the earliest turn that came, which does not identify the session.
    let has_start = capture.audio.is_some() || capture.status == CaptureStatus::Superseded;
    job.or_else(|| capture.started_at.filter(|_| has_start).map(Key::Start))
}

impl<'c> Sessions<'c> {
    /// The session that is heard first keeps the recording, and with it media time zero; without sound, the one that came first.
    fn of(captures: &'c [Capture], heard_first: Option<CaptureId>) -> Self {
        let heard = captures.iter().find(|capture| Some(capture.id) == heard_first);
        let came =
            captures.iter().find(|capture| capture.status != CaptureStatus::Superseded && key(capture).is_some());
        let Some(first) = heard.or(came) else { return Self::default() };
        let mut others: Vec<(Key, Vec<&Capture>)> = Vec::new();
        for capture in captures {
            let Some(key) = key(capture).filter(|own| Some(own) != key(first).as_ref()) else { continue };
            match others.iter_mut().find(|(known, _)| *known == key) {
                Some((_, group)) => group.push(capture),
                None => others.push((key, vec![capture])),
            }
        }
        Self { first: first.job_id.clone(), others: others.into_iter().map(|(_, group)| group).collect() }
    }
}

#[cfg(test)]
mod tests;
