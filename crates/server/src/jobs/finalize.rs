//! Finalizes a room that has ended: reads its capture log, finds out what it amounts to, and publishes the recording.
//!
//! Everything is read from object storage, so that any process can do it, whichever one recorded the room.

use echosphere_domain::lifecycle::{Content, Reason, capture};
use echosphere_domain::location::Location;
use echosphere_domain::master::Master;
use echosphere_domain::recording::{Audio, Capture, Recording, Source};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_recorder::log::ended;
use echosphere_recorder::room_transcript::RoomTranscript;
use echosphere_recorder::sound::{Assembler, Index};
use echosphere_store::{Claim, Publication, SessionFacts};

use super::{Error, Jobs, payload};
use crate::assembly::capture_input::{self, CaptureInput};
use crate::assembly::gap_fill;
use crate::assembly::segment_index::{self, SegmentIndex};
use crate::recording_options;
use crate::redaction::RedactionSpans;
use crate::rendering::capture_log::{self, LAG};
use crate::rendering::{self, CaptureRenderer, Kept};

pub(super) async fn run(jobs: &Jobs, claim: &Claim) -> Result<(), Error> {
    let (project, id) = payload::recording(claim)?;
    let found = jobs.store.recording(&project, id).await?;
    let Some((recording, captures)) = found.filter(|(recording, _)| !recording.state.status.is_terminal()) else {
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let Some(capture) = captures.iter().find(|capture| capture.source == Source::Recorder) else {
        return Ok(jobs.store.complete(&claim.lease).await?);
    };
    let log = read(jobs, &recording, capture).await?;
    let spans = RedactionSpans::of(jobs.store.as_ref(), id).await?;
    jobs.uploads.redaction.redact_kept(id, &spans).await?;
    jobs.store.note_tracks(id, &capture_log::tracks(&log.assembler)).await?;
    let publication = publication(jobs, &recording, &captures, capture, &log, &spans).await?;
    let nobody = publication.content == Some(Content::Silent { reason: Reason::NobodyCame, partial: false });
    let published = jobs.store.publish(&publication, &claim.lease).await?;
    tracing::info!(
        recording = %id, status = %published.state.status, chunks = log.chunks, content = ?publication.content,
        "a room became a recording"
    );
    if nobody {
        // A room that nobody entered leaves nothing.
        jobs.store.request_deletion(&project, id, jobs.clock.now()).await?;
    }
    Ok(())
}

/// A capture log that was read.
struct Log {
    assembler: Assembler,
    words: RoomTranscript,
    chunks: u32,
    bytes: u64,
    is_torn: bool,
}

async fn read(jobs: &Jobs, recording: &Recording, capture: &Capture) -> Result<Log, Error> {
    let options = jobs.store.recording_options(recording.id).await?.unwrap_or_default();
    let assembler = Assembler::new(recording_options::layout(&options), LAG.as_nanos() as i64);
    let mut log = Log { assembler, words: RoomTranscript::default(), chunks: 0, bytes: 0, is_torn: false };
    log.chunks = capture_log::read(&jobs.objects, recording, capture.attempt, |number, length, chunk| {
        log.bytes += length as u64;
        log.is_torn |= chunk.as_ref().is_none_or(|chunk| chunk.is_torn);
        for entry in chunk.iter().flat_map(|chunk| &chunk.entries) {
            log.assembler.take(entry, number);
            log.words.take(entry);
        }
    })
    .await?;
    Ok(log)
}

async fn publication(
    jobs: &Jobs,
    recording: &Recording,
    captures: &[Capture],
    capture: &Capture,
    log: &Log,
    spans: &RedactionSpans,
) -> Result<Publication, Error> {
    let index = log.assembler.index();
    let mut capture = capture.clone();
    conclude(&mut capture, jobs, recording, log, index.as_ref());
    let mut all =
        capture_input::load(&jobs.rendering, recording, captures.iter().filter(|other| other.id != capture.id)).await?;
    all.push(input(recording, &capture, index.as_ref()));
    let filled = gap_fill::fill(&jobs.assembly, &mut all, spans).await?;
    let current = jobs.store.segment_index(recording.id).await?;
    let composed = segment_index::compose(&all, &current);
    let content = segment_index::content(&composed, &all, silence(log));
    let words = log.words.transcript();
    let room_sid = recording.room_sid.as_deref().or(log.assembler.room().map(|room| room.room_sid.as_str()));
    let SegmentIndex { segments, gaps, duration, started_at, ended_at } = composed;
    Ok(Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: capture_input::others(captures, capture.id),
        audio_index: index.as_ref().map(Index::to_bytes),
        log: log.chunks.gt(&0).then(|| master(recording, &capture, log)),
        transcript: (!words.turns.is_empty()).then_some(words),
        supersedes: Vec::new(),
        filled,
        content: Some(content),
        rendition: rendering::aac(),
        segments,
        gaps,
        duration,
        started_at: started_at.or(recording.started_at),
        ended_at: ended_at.or(capture.ended_at),
        facts: facts(log),
        participants: jobs
            .participants
            .with_named(&recording.project, recording.id, room_sid, capture_log::participants(&log.assembler))
            .await?,
        capture,
        now: jobs.clock.now(),
    })
}

/// The room's capture, as an input of the segment index.
fn input(recording: &Recording, capture: &Capture, index: Option<&Index>) -> CaptureInput {
    let (Some(index), Some(audio)) = (index, &capture.audio) else {
        return CaptureInput::new(capture.clone(), Vec::new());
    };
    let Some(kept) = Kept::of(recording, capture) else { return CaptureInput::new(capture.clone(), Vec::new()) };
    let renderer = CaptureRenderer::log(audio.clone(), kept, index.clone(), Vec::new());
    let mut input = capture_input::of(capture.clone(), renderer);
    let at = MediaTime::from_samples_48k;
    input.improved = index.improved.iter().map(|extent| at(extent.start)..at(extent.end)).collect();
    input
}

fn conclude(capture: &mut Capture, jobs: &Jobs, recording: &Recording, log: &Log, index: Option<&Index>) {
    let mut problems = Vec::new();
    if log.is_torn {
        problems.push("a part of the capture log is damaged".to_owned());
    }
    match log.assembler.ended() {
        None => problems.push("the recorder did not come to its end".to_owned()),
        Some("connection_lost") if log.assembler.room().is_none() => {
            problems.push("LiveKit could not be joined; `echosphere doctor` says what is in the way".to_owned());
        }
        Some("connection_lost") => problems.push("the connection to LiveKit was lost and did not come back".to_owned()),
        Some("encrypted") => {
            problems.push("the room is end-to-end encrypted; it cannot be recorded without its key".to_owned());
        }
        Some(ended::MISSED) => {
            problems.push("the room ended while nobody listened to it; its last part is missing".to_owned());
        }
        Some(ended::DISK_FULL) => problems.push("the disk was full; what was kept until then is here".to_owned()),
        Some(_) => {}
    }
    capture.ended_at = Some(WallTime::from_nanos(log.assembler.last_at()));
    if let Some(index) = index {
        capture.started_at = Some(WallTime::from_nanos(index.zero));
        capture.audio = Some(Audio {
            master: master(recording, capture, log),
            samples: index.samples,
            segment_ms: jobs.config.segment_duration.as_millis() as u32,
            fills: Vec::new(),
        });
    }
    let read = capture::Event::Read { is_whole: problems.is_empty(), is_usable: index.is_some() };
    capture.status = capture::step(capture.status, read);
    if log.assembler.ended() == Some(ended::MAX_DURATION) {
        // Nothing is wrong with it, but a user who misses the rest should find out why there is none.
        problems.push("the recording was as long as recorder.max_duration allows, and was ended".to_owned());
    }
    capture.error = (!problems.is_empty()).then(|| problems.join("; "));
}

fn master(recording: &Recording, capture: &Capture, log: &Log) -> Master {
    let at = Location::whole(recording.prefix.log_chunk(capture.attempt, 0));
    Master::Log { at, is_joined: false, chunks: log.chunks, length: log.bytes, is_gone: false }
}

/// Why the recording is silent, if it is.
fn silence(log: &Log) -> Reason {
    match log.assembler.ended() {
        Some("encrypted") => Reason::Encrypted,
        Some("connection_lost") => Reason::ConnectionLost,
        Some("nobody_came") => Reason::NobodyCame,
        _ if log.assembler.people().next().is_none() && log.assembler.room().is_none() => Reason::ConnectionLost,
        _ => Reason::NoAudio,
    }
}

fn facts(log: &Log) -> SessionFacts {
    let agent = log.assembler.people().find(|person| person.kind == "AGENT");
    SessionFacts {
        room_name: log.assembler.room().map(|room| room.room_name.clone()),
        agent_name: agent.and_then(|agent| agent.attributes.get("lk.agent.name").cloned()),
        tags: Vec::new(),
        sdk_version: None,
        simulated: false,
    }
}
