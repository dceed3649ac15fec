//! Recomposes a recording: makes its segment index anew after captures came or went.

use echosphere_domain::lifecycle::Reason;
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source};
use echosphere_domain::transcript::{Alignment, Method, Transcript};
use echosphere_store::{Claim, Publication, SessionFacts};

use super::{Error, Jobs, payload, unneeded};
use crate::assembly::segment_index::{self, SegmentIndex};
use crate::assembly::{capture_input, gap_fill};
use crate::redaction::RedactionSpans;
use crate::rendering::aac;

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id) = payload::recording(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    let found = found.filter(|(recording, _)| !recording.state.deletion.is_requested());
    let publication = match &found {
        // A room that is still under way is assembled when it is finalized.
        Some((recording, captures)) if !is_under_way(captures) => publication(jobs, recording, captures).await?,
        _ => None,
    };
    let Some(publication) = publication else { return Ok(jobs.store.complete(&claim.lease).await?) };
    let published = jobs.store.publish(&publication, &claim.lease).await?;
    tracing::info!(
        recording = %id, status = %published.state.status, revision = published.state.revision, content = ?publication.content,
        "a recording was composed anew"
    );
    unneeded::at_once(jobs).await;
    Ok(())
}

/// Whether a room is still being recorded or finalized.
pub(super) fn is_under_way(captures: &[Capture]) -> bool {
    captures.iter().any(|capture| capture.is_of_room() && capture.status == CaptureStatus::Processing)
}

/// What a recording's captures amount to; `None` when none of them was read.
pub(super) async fn publication(
    jobs: &Jobs,
    recording: &Recording,
    captures: &[Capture],
) -> Result<Option<Publication>, Error> {
    let is_read = |capture: &&Capture| !matches!(capture.status, CaptureStatus::Processing | CaptureStatus::Superseded);
    let lead = captures.iter().filter(is_read).max_by_key(|capture| capture.is_of_room());
    let Some(lead) = lead else { return Ok(None) };
    let current = jobs.store.segment_index(recording.id).await?;
    let kept = captures.iter().filter(|capture| capture.status != CaptureStatus::Superseded);
    let mut inputs = capture_input::load(&jobs.rendering, recording, kept).await?;
    let spans = RedactionSpans::of(jobs.store.as_ref(), recording.id).await?;
    let filled = gap_fill::fill(&jobs.assembly, &mut inputs, &spans).await?;
    let composed = segment_index::compose(&inputs, &current);
    let silent = recording.state.reason.unwrap_or(match lead.status {
        CaptureStatus::Complete => Reason::NoAudio,
        _ => Reason::AudioMissing,
    });
    let content = segment_index::content(&composed, &inputs, silent);
    let transcripts = jobs.store.transcripts(recording.id).await?;
    let transcript = transcripts.into_iter().find(|(id, _)| *id == lead.id).map(|(_, transcript)| transcript);
    let transcript = transcript.map(|found| if lead.source == Source::Upload { as_reported(found) } else { found });
    let SegmentIndex { segments, gaps, duration, started_at, ended_at } = composed;
    Ok(Some(Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: capture_input::others(captures, lead.id),
        audio_index: jobs.store.audio_index(lead.id).await?,
        log: None,
        transcript,
        supersedes: Vec::new(),
        filled,
        content: Some(content),
        rendition: aac(),
        segments,
        gaps,
        duration,
        started_at: started_at.or(lead.started_at).or(recording.started_at),
        ended_at: ended_at.or(lead.ended_at).or(recording.ended_at),
        facts: SessionFacts::default(),
        participants: Vec::new(),
        capture: lead.clone(),
        now: jobs.clock.now(),
    }))
}

/// A transcript as its source reported it, without the times that sound refined.
pub(super) fn as_reported(mut transcript: Transcript) -> Transcript {
    for turn in &mut transcript.turns {
        turn.refined = None;
    }
    if transcript.alignment.method == Method::VoiceActivity {
        transcript.alignment = Alignment::reported(true);
    }
    transcript
}
