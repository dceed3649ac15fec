//! Ingests an upload: reads it, joins it to its recording as a capture, keeps its body, and publishes.
//!
//! Each step may be done again after a crash: joining finds the capture that it made, storing the body again stores the
//! same bytes, and publishing is one transaction that ends the task.

mod sameness;

use std::path::{Path, PathBuf};

use echosphere_domain::id::{CaptureId, RecordingId, UploadId};
use echosphere_domain::lifecycle::{Reason, capture};
use echosphere_domain::location::{ByteRange, Location};
use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, Capture, CaptureStatus, Recording, Source};
use echosphere_domain::session::Session;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Transcript;
use echosphere_livekit::session_upload::header::Header;
use echosphere_media::ogg::OpusIndex;
use echosphere_store::{Claim, Gone, Join, Joined, Publication, SessionFacts, Upload, UploadState};

use self::sameness::{Sameness, Verdict};
use super::{Error, Jobs};
use crate::assembly::capture_input::{self, CaptureInput};
use crate::assembly::{gap_fill, segment_index};
use crate::redaction::{self, RedactionSpans};
use crate::rendering::{CaptureRenderer, Kept, aac, channel_map};
use crate::uploads::body::{self, Body};
use crate::uploads::exclusion::{self, Answer};
use crate::uploads::refusal;
use crate::uploads::sound_ahead::SoundAhead;
use crate::{entropy, error, names};

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let id: UploadId = claim.payload.parse().map_err(|_| Error::Payload(claim.payload.clone()))?;
    let done = run_upload(jobs, claim, id).await;
    if done.is_ok() {
        jobs.uploads.arrivals.arrived(id);
    }
    done
}

async fn run_upload(jobs: &Jobs, claim: &Claim, id: UploadId) -> Result<(), Error> {
    let path = jobs.data.spool(id);
    let ahead = jobs.uploads.ahead.take(id);
    let upload = jobs.store.upload(id).await?;
    let Some(upload) = upload.filter(|upload| upload.state == UploadState::Received && path.exists()) else {
        tracing::info!(upload = %id, "nothing is left to do for an upload");
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let body = read(jobs, &path, &upload, ahead).await?;
    if let Some(reason) = unreadable(&body) {
        quarantine(jobs, &upload, reason).await?;
        return Ok(jobs.store.complete(&claim.lease).await?);
    }
    match admit(jobs, &upload, &body).await? {
        Admission::Open => {}
        Admission::Held => {
            jobs.store.hold_upload(id).await?;
            metrics::counter!("echosphere_uploads_total", "outcome" => "held").increment(1);
            tracing::warn!(upload = %id, "nobody knows the name of an upload's room, and rules leave rooms out by name: it waits");
            jobs.store.complete(&claim.lease).await?;
            jobs.uploads.held.ring();
            return Ok(());
        }
        Admission::Closed(gone) => return turn_away(jobs, claim, &upload, gone).await,
    }
    match ingest(jobs, claim, &upload, &path, body).await {
        Ok(true) => {}
        // Its session was deleted, before or meanwhile.
        Ok(false) => return turn_away(jobs, claim, &upload, Gone::Deleted).await,
        Err(Error::Kept(error)) if error.is_deleted() => {
            return turn_away(jobs, claim, &upload, Gone::Deleted).await;
        }
        Err(error) => return Err(error),
    }
    remove(&path);
    let silenced = jobs.data.spool_silenced(id);
    if silenced.exists() {
        remove(&silenced);
    }
    Ok(())
}

/// Whether an upload becomes a recording.
enum Admission {
    Open,
    /// Not before the name of its room is known.
    Held,
    Closed(Gone),
}

/// Asks again what was asked when the upload came: more may be known by now, and an earlier version did not ask.
async fn admit(jobs: &Jobs, upload: &Upload, body: &Body) -> Result<Admission, Error> {
    let header = body.header.as_ref().and_then(|header| header.as_ref().ok()).cloned().unwrap_or_default();
    if let Some(gone) = refusal::ask(&jobs.uploads, upload, &header, upload.room_name.as_deref()).await? {
        return Ok(Admission::Closed(gone));
    }
    let session = exclusion::ids(&header);
    if upload.job_id != session.job_id || upload.room_sid != session.room_sid {
        jobs.store.note_session(upload.id, &session, None).await?;
    }
    let reported = header.summary.room_name.as_deref().or(upload.room_name.as_deref());
    let answer = jobs.uploads.exclusion.ask(&upload.project, &session, reported).await?;
    Ok(if answer == Answer::Unknown && !upload.is_released { Admission::Held } else { Admission::Open })
}

/// Keeps nothing of an upload.
async fn turn_away(jobs: &Jobs, claim: &Claim, upload: &Upload, gone: Gone) -> Result<(), Error> {
    refusal::note(upload, gone);
    jobs.uploads.forget(upload.id).await?;
    Ok(jobs.store.complete(&claim.lease).await?)
}

async fn read(jobs: &Jobs, path: &Path, upload: &Upload, ahead: Option<SoundAhead>) -> Result<Body, Error> {
    let (path, content_type, received_at) = (path.to_path_buf(), upload.content_type.clone(), upload.received_at);
    let read = jobs
        .uploads
        .redaction
        .readers
        .run(&upload.project, move || body::read(&path, &content_type, received_at, ahead))
        .await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    Ok(read.map_err(error::Error::io("read a spooled upload"))?)
}

/// Why a body cannot become a recording; `None` when it can.
fn unreadable(body: &Body) -> Option<&'static str> {
    let has_sound = body.sound.as_ref().is_some_and(|sound| sound.index.is_ok());
    let has_turns = body.chat.as_ref().is_some_and(|chat| !chat.transcript.turns.is_empty());
    match &body.header {
        Some(Ok(_)) => None,
        _ if has_sound || has_turns => None,
        Some(Err(_)) => Some("the header cannot be read, and no other part can"),
        None => Some("no part of the body came whole"),
    }
}

/// Its body stays in the spool: nobody knows yet whether it may be kept.
async fn quarantine(jobs: &Jobs, upload: &Upload, reason: &str) -> Result<(), Error> {
    jobs.store.quarantine_upload(upload.id, reason).await?;
    metrics::counter!("echosphere_uploads_total", "outcome" => "quarantined").increment(1);
    tracing::warn!(upload = %upload.id, reason, "an upload is in quarantine");
    Ok(())
}

/// The upload's row says that the file is not needed any more; what cannot be removed now goes at the next start.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a spool file cannot be removed");
    }
}

/// False when nothing may be kept of its session.
async fn ingest(jobs: &Jobs, claim: &Claim, upload: &Upload, path: &Path, body: Body) -> Result<bool, Error> {
    let header = body.header.as_ref().and_then(|header| header.as_ref().ok()).cloned().unwrap_or_default();
    let facts = facts(jobs, upload, &header).await?;
    let transcript = body.chat.as_ref().map(|chat| &chat.transcript);
    let index = body.sound.as_ref().and_then(|sound| sound.index.as_ref().ok());
    let (started_at, ended_at) = times(upload, &header, index, transcript);
    let session = Session { started_at, ended_at, received_at: upload.received_at };
    let Some(joined) =
        jobs.store.join_upload(&join_request(upload, &header, &facts, session, jobs.clock.now())).await?
    else {
        return Ok(false);
    };
    // From here on files and rows are written for it: a deletion waits until this is over.
    let _writing = jobs.objects.fences().enter(joined.recording.id)?;
    let mut read = Read::new(jobs, upload, &header, body, &joined);
    let spans = RedactionSpans::of(jobs.store.as_ref(), joined.recording.id).await?;
    let spooled = Spooled { body: path.to_path_buf(), silenced: jobs.data.spool_silenced(upload.id) };
    if !spans.is_empty() {
        read.redact(&spans, &header, &spooled).await?;
        jobs.uploads.redaction.redact_kept(joined.recording.id, &spans).await?;
    }
    let kept = if spans.is_empty() { &spooled.body } else { &spooled.silenced };
    let (recording, captures) = fresh(jobs, &joined.recording).await?;
    let sameness = if spans.is_empty() { Sameness::Bytes } else { Sameness::Length };
    let verdict = sameness::compare(jobs, &read, &captures, kept, sameness).await?;
    let supersedes = match verdict {
        Verdict::New { supersedes } => supersedes,
        Verdict::Duplicate => {
            jobs.store.drop_duplicate(upload.id, jobs.clock.now()).await?;
            metrics::counter!("echosphere_uploads_total", "outcome" => "duplicate").increment(1);
            tracing::info!(upload = %upload.id, recording = %recording.id, "an upload says what is known already");
            jobs.store.complete(&claim.lease).await?;
            return Ok(true);
        }
    };
    if spans.is_empty() || read.index.is_some() {
        jobs.objects.put_announced(recording.id, &joined.body, kept.as_path()).await?;
    }
    let publication = publication(jobs, &recording, &captures, read, supersedes, facts, &spans).await?;
    let partial = publication.content;
    let published = jobs.store.publish(&publication, &claim.lease).await?;
    if published.state.deletion.is_requested() {
        // The task is finished; its files go with the recording.
        return Ok(true);
    }
    metrics::counter!("echosphere_uploads_total", "outcome" => "kept").increment(1);
    tracing::info!(
        upload = %upload.id, recording = %published.id, status = %published.state.status, content = ?partial,
        "an upload became a recording"
    );
    Ok(true)
}

/// The header's own summary first; for the Node SDK, which sends none, the telemetry that came before.
pub(super) async fn facts(jobs: &Jobs, upload: &Upload, header: &Header) -> Result<SessionFacts, Error> {
    let summary = &header.summary;
    let reported = match &header.job_id {
        Some(job) => jobs.store.session_facts(&upload.project, job).await?,
        None => SessionFacts::default(),
    };
    if !header.unusable.is_empty() {
        tracing::warn!(upload = %upload.id, fields = ?header.unusable, "a session has ids that cannot be; they are left out");
    }
    let facts = SessionFacts {
        room_name: summary.room_name.clone().or(upload.room_name.clone()).or(reported.room_name),
        agent_name: summary.agent_name.clone().or(reported.agent_name),
        tags: if summary.tags.is_empty() { reported.tags } else { summary.tags.clone() },
        sdk_version: summary.sdk_version.clone().or(reported.sdk_version),
        simulated: header.simulated,
    };
    Ok(names::kept(facts))
}

fn join_request(upload: &Upload, header: &Header, facts: &SessionFacts, session: Session, now: WallTime) -> Join {
    Join {
        upload: upload.id,
        project: upload.project.clone(),
        room_sid: header.room_sid.clone(),
        job_id: header.job_id.clone(),
        room_name: facts.room_name.clone(),
        session,
        new_recording: RecordingId::new(entropy::uuid(now)),
        new_capture: CaptureId::new(entropy::uuid(now)),
        now,
    }
}

pub(super) async fn fresh(jobs: &Jobs, recording: &Recording) -> Result<(Recording, Vec<Capture>), Error> {
    let found = jobs.store.recording(&recording.project, recording.id).await?;
    found.ok_or_else(|| echosphere_store::Error::NotFound(format!("recording {}", recording.id)).into())
}

/// What was read from an upload.
pub(super) struct Read {
    /// Its capture.
    pub input: CaptureInput,
    /// The index of its sound.
    pub index: Option<OpusIndex>,
    /// Its turns.
    pub transcript: Option<Transcript>,
    /// Why there is no sound, if there is none.
    pub silent: Reason,
}

impl Read {
    fn new(jobs: &Jobs, upload: &Upload, header: &Header, body: Body, joined: &Joined) -> Self {
        let mut capture = joined.capture.clone();
        let mut problems = Vec::new();
        let cut = !upload.complete || !body.closed;
        if cut {
            problems.push("the upload was cut before its end".to_owned());
        }
        if !matches!(body.header, Some(Ok(_))) {
            problems.push("the header is missing or cannot be read".to_owned());
        }
        if body.chat.as_ref().is_some_and(|chat| chat.damaged) {
            problems.push("the chat history is damaged".to_owned());
        }
        let mut silent = Reason::NoAudio;
        let mut index = None;
        match body.sound {
            Some(sound) => match sound.index {
                Ok(found) => {
                    let audio = Audio {
                        master: Master::Ogg(Location::part(joined.body.clone(), sound.offset, sound.length)),
                        samples: found.total_samples(),
                        segment_ms: jobs.config.segment_duration.as_millis() as u32,
                        fills: Vec::new(),
                    };
                    capture.audio = Some(audio);
                    if found.damaged_pages() > 0 || (found.is_truncated() && !cut) {
                        problems.push("the audio is damaged".to_owned());
                    }
                    if found.unheard_pages() > 0 {
                        problems.push("the audio has sound in it that cannot be played".to_owned());
                    }
                    index = Some(found);
                }
                Err(error) => {
                    silent = Reason::AudioUnreadable;
                    problems.push(error.to_string());
                }
            },
            None if header.summary.audio == Some(true) || (cut && header.summary.audio.is_none()) => {
                silent = Reason::AudioMissing;
                problems.push("the audio is missing".to_owned());
            }
            None => {}
        }
        let transcript = body.chat.map(|chat| chat.transcript);
        settle_times(&mut capture, upload, header, index.as_ref(), transcript.as_ref());
        let whole = header.duration_ms.map_or(MediaTime::ZERO, |ms| MediaTime::from_millis(ms as i64));
        let gaps = index.as_ref().map(|index| capture_input::of_ogg(index, cut, whole)).unwrap_or_default();
        // Its header was read at least.
        let read = capture::Event::Read { is_whole: problems.is_empty(), is_usable: true };
        capture.status = capture::step(capture.status, read);
        capture.error = (!problems.is_empty()).then(|| problems.join("; "));
        Self { input: CaptureInput::new(capture, gaps), index, transcript, silent }
    }
}

/// The files of an upload.
struct Spooled {
    /// Its body, as it came.
    body: PathBuf,
    /// Its sound without what must not be kept.
    silenced: PathBuf,
}

impl Read {
    /// Leaves what may be kept: the sound with silence in it, the turns without some.
    async fn redact(&mut self, spans: &RedactionSpans, header: &Header, spooled: &Spooled) -> Result<(), Error> {
        if let Some(transcript) = &mut self.transcript {
            redaction::redact_turns(transcript, spans);
        }
        let capture = &mut self.input.capture;
        // Without a start time it is not known where in the sound a redaction span lies.
        let extent = capture.audio.as_ref().and_then(Audio::extent);
        let silenced = match (extent, &self.index, header.start_time) {
            (Some(extent), Some(index), Some(start)) => {
                redaction::silence(spans, start, &extent, index, &spooled.body, &spooled.silenced).await?
            }
            _ => None,
        };
        match (silenced, &mut capture.audio) {
            (Some(silenced), Some(Audio { master: Master::Ogg(sound), .. })) => {
                sound.range = Some(ByteRange { offset: 0, length: silenced.length });
                self.index = Some(silenced.index);
            }
            (_, audio) => {
                *audio = None;
                self.index = None;
                self.input.gaps.clear();
            }
        }
        Ok(())
    }
}

/// When a capture began and ended: by its sound, else by its turns.
fn settle_times(
    capture: &mut Capture,
    upload: &Upload,
    header: &Header,
    index: Option<&OpusIndex>,
    transcript: Option<&Transcript>,
) {
    (capture.started_at, capture.ended_at) = times(upload, header, index, transcript);
}

fn times(
    upload: &Upload,
    header: &Header,
    index: Option<&OpusIndex>,
    transcript: Option<&Transcript>,
) -> (Option<WallTime>, Option<WallTime>) {
    if let Some(index) = index {
        let length = samples(index.total_samples()).as_nanos();
        // Without a start time the sound is taken to have ended when the upload began.
        let start = header.start_time.unwrap_or_else(|| upload.received_at.plus_nanos(-length));
        return (Some(start), Some(start.plus_nanos(length)));
    }
    let turns = transcript.map(|transcript| transcript.turns.as_slice()).unwrap_or_default();
    let of_session = turns.iter().filter(|turn| !turn.earlier);
    let times = of_session.flat_map(|turn| [turn.reported.start, turn.reported.end, turn.reported.created]).flatten();
    let times: Vec<WallTime> = times.collect();
    (times.iter().min().copied(), times.iter().max().copied())
}

fn samples(count: u64) -> MediaTime {
    MediaTime::from_samples_48k(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What a recording's captures amount to with this one.
pub(super) async fn publication(
    jobs: &Jobs,
    recording: &Recording,
    captures: &[Capture],
    mut read: Read,
    supersedes: Vec<CaptureId>,
    facts: SessionFacts,
    spans: &RedactionSpans,
) -> Result<Publication, Error> {
    let current = jobs.store.segment_index(recording.id).await?;
    // Until its room is finalized, the recorder's log is what is heard; the session is assembled with it then.
    let is_live = captures
        .iter()
        .any(|capture| capture.source == Source::Recorder && capture.status == CaptureStatus::Processing);
    let others = captures.iter().filter(|other| other.id != read.input.capture.id && !supersedes.contains(&other.id));
    let mut inputs = capture_input::load(&jobs.rendering, recording, others).await?;
    let mut input = read.input.clone();
    let audio_index = read.index.as_ref().map(OpusIndex::to_bytes);
    input.renderer = match (&input.capture.audio, read.index.take()) {
        (Some(audio), Some(index)) => {
            let kept = Kept::of(recording, &input.capture);
            kept.map(|kept| CaptureRenderer::ogg(audio.clone(), kept, index, channel_map(Source::Upload)))
        }
        _ => None,
    };
    inputs.push(input);
    let filled = if is_live { Vec::new() } else { gap_fill::fill(&jobs.assembly, &mut inputs, spans).await? };
    let composed = segment_index::compose(&inputs, &current);
    let content = segment_index::content(&composed, &inputs, read.silent);
    let capture = read.input.capture;
    let started_at = composed.started_at.or(recording.started_at).or(capture.started_at);
    let ended_at = composed.ended_at.max(capture.ended_at.filter(|_| composed.segments.is_empty()));
    Ok(Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: capture_input::others(captures, capture.id),
        audio_index,
        log: None,
        capture,
        transcript: read.transcript,
        supersedes,
        filled,
        content: (!is_live).then_some(content),
        rendition: aac(),
        segments: composed.segments,
        gaps: composed.gaps,
        duration: composed.duration,
        started_at,
        ended_at: ended_at.or(recording.ended_at),
        facts,
        participants: Vec::new(),
        now: jobs.clock.now(),
    })
}
