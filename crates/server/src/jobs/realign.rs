//! Realigns transcripts that an older version aligned with their sound: all of them in the background after the start, and also one
//! that is opened meanwhile.

use std::sync::Arc;

use echosphere_domain::id::TaskId;
use echosphere_domain::recording::Recording;
use echosphere_domain::transcript::Transcript;
use echosphere_domain::transcript::align::VERSION;
use echosphere_store::{Claim, NewTask, RenderedRevision, TaskKind};

use super::{Error, Jobs, payload};
use crate::assembly::alignment::Measured;
use crate::entropy;
use crate::rendering::Analysis;

/// Recordings read per query.
const BATCH: u32 = 100;

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id, revision) = payload::part(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    let current = found.filter(|(recording, _)| recording.state.revision == revision);
    let (Some((recording, captures)), Some(key)) = (current, jobs.store.analysis(id).await?) else {
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let bytes = jobs.objects.get(&key).await?;
    let Some(mut analysis) = Analysis::from_bytes(&bytes) else {
        tracing::error!(recording = %id, %key, "the stored levels cannot be read; the transcript stays as it was aligned");
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let measured = Measured::of(&jobs.assembly, &recording, &captures).await?;
    measured.listen(&mut analysis).await?;
    let transcripts = measured.align(&analysis).await?;
    let now = jobs.clock.now();
    let rendered = RenderedRevision { recording: id, revision, analysis: key, transcripts, now };
    jobs.store.finish_render(&rendered, &claim.lease).await?;
    tracing::info!(recording = %id, revision, "a transcript is aligned anew");
    Ok(())
}

/// Whether a transcript that has turns was aligned by an older version.
pub fn is_old(transcript: &Transcript) -> bool {
    transcript.alignment.version < VERSION && !transcript.turns.is_empty()
}

/// Queues a task that aligns a recording's transcripts anew.
pub async fn request(jobs: &Jobs, recording: &Recording) -> Result<(), echosphere_store::Error> {
    let now = jobs.clock.now();
    let payload = format!("{}/{}/{}", recording.project, recording.id, recording.state.revision);
    let task = NewTask { id: TaskId::new(entropy::uuid(now)), kind: TaskKind::Align, payload, run_at: now };
    jobs.store.enqueue(&task).await?;
    jobs.bell.ring();
    Ok(())
}

/// Queues such tasks for all transcripts that an older version aligned.
pub(super) async fn old_ones(jobs: Arc<Jobs>) {
    let mut after = None;
    let mut count = 0_usize;
    while !jobs.stop.is_cancelled() {
        let old = match jobs.store.aligned_before(VERSION, after, BATCH).await {
            Ok(old) => old,
            Err(error) => {
                tracing::warn!(%error, "old transcripts are aligned anew after the next start");
                return;
            }
        };
        let Some(last) = old.last() else { break };
        after = Some(last.id);
        for recording in &old {
            if let Err(error) = request(&jobs, recording).await {
                tracing::warn!(recording = %recording.id, %error, "an old transcript is aligned anew after the next start");
            }
        }
        count += old.len();
    }
    if count > 0 {
        tracing::info!(recordings = count, "transcripts are going to be aligned anew");
    }
}
