//! A recording's captures are put together anew, after some of them came or went.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::lifecycle::{Deletion, Reason};
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source};
use echosphere_domain::segment::AUDIO_RENDITION;
use echosphere_domain::transcript::{Alignment, Method, Transcript};
use echosphere_store::{Claim, Publication, SessionFacts};

use super::compose::{self, Composition};
use super::redaction::Withheld;
use super::{Error, filling, pieces};
use crate::app::App;
use crate::clock;

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let (project, id) = parse(&claim.payload).ok_or_else(|| Error::Payload(claim.payload.clone()))?;
    let found = app.store.recording(&project, id).await?;
    let found = found.filter(|(recording, _)| recording.state.deletion == Deletion::None);
    let publication = match &found {
        // Who is still at work on a capture composes when it is done.
        Some((recording, captures)) if !is_under_way(captures) => publication(app, recording, captures).await?,
        _ => None,
    };
    let Some(publication) = publication else { return Ok(app.store.complete(&claim.lease).await?) };
    let published = app.store.publish(&publication, &claim.lease).await?;
    tracing::info!(
        recording = %id, status = %published.state.status, revision = published.state.revision, content = ?publication.content,
        "a recording was composed anew"
    );
    Ok(())
}

fn parse(payload: &str) -> Option<(ProjectId, RecordingId)> {
    let (project, recording) = payload.split_once('/')?;
    Some((ProjectId::parse(project).ok()?, recording.parse().ok()?))
}

/// Whether a room is still recorded or being settled.
pub(super) fn is_under_way(captures: &[Capture]) -> bool {
    captures.iter().any(|capture| compose::is_of_room(capture) && capture.status == CaptureStatus::Processing)
}

/// What a recording's captures amount to; `None` when there are none that were read.
pub(super) async fn publication(
    app: &App,
    recording: &Recording,
    captures: &[Capture],
) -> Result<Option<Publication>, Error> {
    let is_read = |capture: &&Capture| !matches!(capture.status, CaptureStatus::Processing | CaptureStatus::Superseded);
    let lead = captures.iter().filter(is_read).max_by_key(|capture| compose::is_of_room(capture));
    let Some(lead) = lead else { return Ok(None) };
    let current = app.store.segments(recording.id, AUDIO_RENDITION).await?;
    let kept = captures.iter().filter(|capture| capture.status != CaptureStatus::Superseded);
    let mut pieces = pieces::load(app, recording, kept).await?;
    let withheld = Withheld::of(app, recording.id).await?;
    let filled = filling::fill(app, &mut pieces, &withheld).await?;
    let composition = compose::compose(&pieces, &current);
    let silent = recording.state.reason.unwrap_or(match lead.status {
        CaptureStatus::Complete => Reason::NoAudio,
        _ => Reason::AudioMissing,
    });
    let content = compose::content(&composition, &pieces, silent);
    let transcripts = app.store.transcripts(recording.id).await?;
    let transcript = transcripts.into_iter().find(|(id, _)| *id == lead.id).map(|(_, transcript)| transcript);
    let transcript = transcript.map(|found| if lead.source == Source::Upload { as_reported(found) } else { found });
    let Composition { segments, gaps, duration, started_at, ended_at } = composition;
    Ok(Some(Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: pieces::beside(captures, lead.id),
        audio_index: app.store.audio_index(lead.id).await?,
        transcript,
        supersedes: Vec::new(),
        filled,
        content: Some(content),
        segments,
        gaps,
        duration,
        started_at: started_at.or(lead.started_at).or(recording.started_at),
        ended_at: ended_at.or(lead.ended_at).or(recording.ended_at),
        facts: SessionFacts::default(),
        participants: Vec::new(),
        capture: lead.clone(),
        now: clock::now(),
    }))
}

/// A transcript as its source told it: what another sound made of its times is forgotten.
pub(super) fn as_reported(mut transcript: Transcript) -> Transcript {
    for turn in &mut transcript.turns {
        turn.refined = None;
    }
    if transcript.alignment.method == Method::VoiceActivity {
        transcript.alignment = Alignment::reported(true);
    }
    transcript
}
