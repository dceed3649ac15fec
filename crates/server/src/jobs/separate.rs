//! Decides where a room's sessions are kept: in the room's recording and, if that does not have all of a session, also in a
//! recording of its own.
//!
//! docs/decisions/0010-sessions.md says why.

mod split;

use std::io::Cursor;

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::lifecycle::{Reason, capture};
use echosphere_domain::master::{self, Master, Part};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Recording, Source};
use echosphere_domain::segment::{Segment, timeline};
use echosphere_domain::session;
use echosphere_domain::transcript::Transcript;
use echosphere_livekit::session_upload::header::Header;
use echosphere_media::ogg::OpusIndex;
use echosphere_store::{Claim, Own, OwnRecording, SessionFacts};

pub(super) use self::split::put_right;
use super::ingest::{self, Read};
use super::{Error, Jobs, payload, recompose};
use crate::assembly::capture_input::{self, CaptureInput};
use crate::entropy;
use crate::redaction::RedactionSpans;
use crate::rendering::{CaptureRenderer, Kept, channel_map};
use crate::uploads::body;

/// How much of a kept body is read for its header, which comes first: 5 MiB.
const HEAD: u64 = 5 << 20;

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id, capture) = payload::part(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    // A recording that is still under way is looked at when it is finalized; a deleted one never is.
    let found = found.filter(|(recording, captures)| {
        let is_settled = recording.state.status.is_terminal() && !recompose::is_under_way(captures);
        is_settled && !recording.state.deletion.is_requested()
    });
    let Some((recording, captures)) = found else { return Ok(jobs.store.complete(&claim.lease).await?) };
    let Some(session) = captures.iter().find(|found| found.id == capture && is_kept(found)) else {
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let segments = jobs.store.segment_index(id).await?;
    if is_in_a_row(&captures, &segments)
        && let Some(publication) = recompose::publication(jobs, &recording, &captures).await?
    {
        // The session is looked at again when this revision is rendered.
        jobs.store.publish(&publication, &claim.lease).await?;
        tracing::info!(recording = %id, "a room's recording has no other sound in it any more");
        return Ok(());
    }
    let transcripts = jobs.store.transcripts(id).await?;
    let transcript = transcripts.into_iter().find(|(id, _)| *id == capture).map(|(_, transcript)| transcript);
    if holds(&captures, &segments, session, transcript.as_ref()) {
        return Ok(jobs.store.session_placed(capture, &claim.lease).await?);
    }
    give_its_own(jobs, claim, &recording, session, transcript).await
}

fn is_kept(capture: &Capture) -> bool {
    capture.source == Source::Upload && matches!(capture.status, CaptureStatus::Complete | CaptureStatus::Partial)
}

fn capture_of<'c>(captures: &'c [Capture], segment: &Segment) -> Option<&'c Capture> {
    captures.iter().find(|capture| capture.id == segment.capture)
}

/// Whether a segment index mixes a room with sessions, or sessions of several jobs, as earlier versions did.
fn is_in_a_row(captures: &[Capture], segments: &[Segment]) -> bool {
    let Some(first) = segments.first().and_then(|segment| capture_of(captures, segment)) else { return false };
    let fits = |capture: &Capture| {
        capture.is_of_room() == first.is_of_room() && (first.is_of_room() || first.is_same_job(capture))
    };
    segments.iter().filter_map(|segment| capture_of(captures, segment)).any(|capture| !fits(capture))
}

/// Whether a room's recording contains all of a session.
fn holds(captures: &[Capture], segments: &[Segment], session: &Capture, transcript: Option<&Transcript>) -> bool {
    let Some(wall) = timeline(segments).wall() else { return true };
    let heard = |capture: &Capture| segments.iter().any(|segment| segment.capture == capture.id);
    if heard(session) {
        return true;
    }
    let is_of_room = captures.iter().any(|capture| capture.is_of_room() && heard(capture));
    let sound = session.audio.as_ref().and(session.started_at).zip(session.ended_at).map(|(start, end)| start..end);
    let nothing = Transcript::default();
    // What another session of the room heard does not contain this session's agent.
    (is_of_room || sound.is_none()) && session::is_within(&wall, sound.as_ref(), transcript.unwrap_or(&nothing))
}

async fn give_its_own(
    jobs: &Jobs,
    claim: &Claim,
    room: &Recording,
    session: &Capture,
    transcript: Option<Transcript>,
) -> Result<(), Error> {
    let now = jobs.clock.now();
    let wanted = Own {
        room: room.id,
        capture: session.id,
        new_recording: RecordingId::new(entropy::uuid(now)),
        new_capture: CaptureId::new(entropy::uuid(now)),
        now,
    };
    let own = jobs.store.own_recording(&wanted).await?.filter(|own| own.capture.status == CaptureStatus::Processing);
    let Some(OwnRecording { recording, capture, supersedes }) = own else {
        return Ok(jobs.store.session_placed(session.id, &claim.lease).await?);
    };
    let index = jobs.store.audio_index(session.id).await?;
    let index = index.as_deref().map(OpusIndex::from_bytes).transpose().map_err(|error| {
        let row = format!("captures.audio_index of {}", session.id);
        echosphere_store::Error::Corrupt { row, reason: error.to_string() }
    })?;
    let read = read(&recording, capture, session, index, transcript);
    let (recording, captures) = ingest::fresh(jobs, &recording).await?;
    let spans = RedactionSpans::of(jobs.store.as_ref(), recording.id).await?;
    let facts = facts(jobs, room, session).await?;
    let publication = ingest::publication(jobs, &recording, &captures, read, supersedes, facts, &spans).await?;
    let published = jobs.store.publish(&publication, &claim.lease).await?;
    tracing::info!(
        recording = %published.id, room = %room.id, status = %published.state.status,
        "a session that its room's recording does not hold whole has one of its own"
    );
    Ok(())
}

/// A session as it is read for its own recording: as it was uploaded, without fills and without times refined by the room's sound.
fn read(
    recording: &Recording,
    capture: Capture,
    session: &Capture,
    index: Option<OpusIndex>,
    transcript: Option<Transcript>,
) -> Read {
    let audio = session.audio.clone().map(|audio| Audio { fills: Vec::new(), ..audio });
    let is_whole = session.status == CaptureStatus::Complete;
    let read = capture::Event::Read { is_whole, is_usable: session.status != CaptureStatus::Failed };
    let capture = Capture {
        status: capture::step(capture.status, read),
        started_at: session.started_at,
        ended_at: session.ended_at,
        error: session.error.clone(),
        audio: audio.clone(),
        ..capture
    };
    let input = match (audio, Kept::of(recording, &capture), &index) {
        (Some(audio), Some(kept), Some(index)) => {
            capture_input::of(capture, CaptureRenderer::ogg(audio, kept, index.clone(), channel_map(Source::Upload)))
        }
        _ => CaptureInput::new(capture, Vec::new()),
    };
    let is_whole = session.status == CaptureStatus::Complete;
    let silent = if is_whole { Reason::NoAudio } else { Reason::AudioMissing };
    Read { input, index, transcript: transcript.map(recompose::as_reported), silent }
}

/// The header of a session's upload, as far as it is kept and can be read.
async fn header(jobs: &Jobs, session: &Capture, content_type: &str) -> Result<Option<Header>, Error> {
    // It may be divided between the look into the rows and the read.
    for _ in 0..2 {
        let masters = jobs.store.masters(session.id).await?;
        let of = |part| master::of(&masters, part).and_then(Master::own);
        let (header, whole) = (of(Part::Header), of(Part::Whole));
        let Some(key) = header.or(whole) else { return Ok(None) };
        let Some(head) = jobs.objects.find_range(key, 0..HEAD).await? else { continue };
        return Ok(match header {
            Some(_) => Header::parse(&head).ok(),
            None => body::header_of(&mut Cursor::new(head), content_type).ok().flatten(),
        });
    }
    Ok(None)
}

/// A session's facts: from its upload's header, as far as that is kept, else from its telemetry.
async fn facts(jobs: &Jobs, recording: &Recording, session: &Capture) -> Result<SessionFacts, Error> {
    let upload = match session.upload {
        Some(upload) => jobs.store.upload(upload).await?,
        None => None,
    };
    let Some(upload) = upload else { return Ok(SessionFacts::default()) };
    let header = header(jobs, session, &upload.content_type).await?;
    let job_id = session.job_id.clone();
    let header = header.unwrap_or_else(|| Header { job_id, ..Header::default() });
    let facts = ingest::facts(jobs, &upload, &header).await?;
    Ok(SessionFacts { room_name: facts.room_name.or_else(|| recording.room_name.clone()), ..facts })
}
