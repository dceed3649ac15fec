//! Transcripts that an older version laid on their sound are laid on it anew: all of them in the background after the start, and one
//! that is opened meanwhile before the others.

use echosphere_domain::id::TaskId;
use echosphere_domain::recording::Recording;
use echosphere_domain::transcript::Transcript;
use echosphere_domain::transcript::align::VERSION;
use echosphere_store::{Claim, NewTask, RenderedRevision, TaskKind};

use super::align::Measured;
use super::{Error, render};
use crate::app::{App, SharedApp};
use crate::render::Analysis;
use crate::{clock, entropy};

/// Rows that are looked at between two writes.
const BATCH: u32 = 100;

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let (project, id, revision) = render::parse(&claim.payload).ok_or_else(|| Error::Payload(claim.payload.clone()))?;
    let found = app.store.recording(&project, id).await?;
    let current = found.filter(|(recording, _)| recording.state.revision == revision);
    let (Some((recording, captures)), Some(key)) = (current, app.store.analysis(id).await?) else {
        return Ok(app.store.complete(&claim.lease).await?);
    };
    let bytes = app.objects.get_range(&key, 0..u64::MAX).await?;
    let Some(mut analysis) = Analysis::from_bytes(&bytes) else {
        tracing::error!(recording = %id, %key, "the stored levels cannot be read; the transcript stays as it was aligned");
        return Ok(app.store.complete(&claim.lease).await?);
    };
    let measured = Measured::of(app, &recording, &captures).await?;
    measured.listen(&mut analysis).await?;
    let transcripts = measured.align(&analysis).await?;
    let now = clock::now();
    let rendered = RenderedRevision { recording: id, revision, analysis: key, transcripts, now };
    app.store.finish_render(&rendered, &claim.lease).await?;
    tracing::info!(recording = %id, revision, "a transcript is aligned anew");
    Ok(())
}

/// Whether an older version aligned a transcript that has anything to be aligned.
pub fn is_old(transcript: &Transcript) -> bool {
    transcript.alignment.version < VERSION && !transcript.turns.is_empty()
}

/// Has the transcripts of a recording aligned anew.
pub async fn request(app: &App, recording: &Recording) -> Result<(), echosphere_store::Error> {
    let now = clock::now();
    let payload = format!("{}/{}/{}", recording.project, recording.id, recording.state.revision);
    let task = NewTask { id: TaskId::new(entropy::uuid(now)), kind: TaskKind::Align, payload, run_at: now };
    app.store.enqueue(&task).await?;
    app.work.wake();
    Ok(())
}

/// Has all transcripts aligned anew that an older version aligned.
pub(super) async fn old_ones(app: SharedApp) {
    let mut after = None;
    let mut count = 0_usize;
    while !app.is_stopping() {
        let old = match app.store.aligned_before(VERSION, after, BATCH).await {
            Ok(old) => old,
            Err(error) => {
                tracing::warn!(%error, "old transcripts are aligned anew after the next start");
                return;
            }
        };
        let Some(last) = old.last() else { break };
        after = Some(last.id);
        for recording in &old {
            if let Err(error) = request(&app, recording).await {
                tracing::warn!(recording = %recording.id, %error, "an old transcript is aligned anew after the next start");
            }
        }
        count += old.len();
    }
    if count > 0 {
        tracing::info!(recordings = count, "transcripts are going to be aligned anew");
    }
}
