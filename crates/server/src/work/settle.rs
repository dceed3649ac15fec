//! A room has ended: what its capture log amounts to is found out and published.
//!
//! Everything is read from object storage, so that whoever claims the task can do it, whichever process recorded.

use std::collections::BTreeMap;

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::lifecycle::{Content, Reason};
use echosphere_domain::recording::{self, Audio, Capture, CaptureStatus, Recording, Source};
use echosphere_domain::segment::AUDIO_RENDITION;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_recorder::log::ended;
use echosphere_recorder::sound::{Assembler, Index};
use echosphere_recorder::words::Words;
use echosphere_store::{Claim, Publication, SessionFacts};

use super::compose::{self, Composition, Piece};
use super::redaction::{self, Withheld};
use super::{Error, filling, pieces};
use crate::app::App;
use crate::live::{self, LAG, Told};
use crate::render::Source as Sound;
use crate::{capture_log, clock, people, sources};

pub(super) async fn run(app: &App, claim: &Claim) -> Result<(), Error> {
    let (project, id) = parse(&claim.payload).ok_or_else(|| Error::Payload(claim.payload.clone()))?;
    let found = app.store.recording(&project, id).await?;
    let Some((recording, captures)) = found.filter(|(recording, _)| !recording.state.status.is_terminal()) else {
        return Ok(app.store.complete(&claim.lease).await?);
    };
    let Some(capture) = captures.iter().find(|capture| capture.source == Source::Recorder) else {
        return Ok(app.store.complete(&claim.lease).await?);
    };
    let log = read(app, &recording, capture).await?;
    let withheld = Withheld::of(app, id).await?;
    redaction::redact_kept(app, id, &withheld).await?;
    app.store.note_tracks(id, &live::tracks(&log.assembler)).await?;
    let publication = publication(app, &recording, &captures, capture, &log, &withheld).await?;
    let nobody = publication.content == Some(Content::Silent { reason: Reason::NobodyCame, partial: false });
    let published = app.store.publish(&publication, &claim.lease).await?;
    tracing::info!(
        recording = %id, status = %published.state.status, chunks = log.chunks, content = ?publication.content,
        "a room became a recording"
    );
    if nobody {
        // A room that nobody entered leaves nothing.
        app.store.request_deletion(&project, id, clock::now()).await?;
    }
    Ok(())
}

fn parse(payload: &str) -> Option<(ProjectId, RecordingId)> {
    let (project, recording) = payload.split_once('/')?;
    Some((ProjectId::parse(project).ok()?, recording.parse().ok()?))
}

/// A capture log that was read.
struct Log {
    assembler: Assembler,
    words: Words,
    chunks: u32,
    bytes: u64,
    is_torn: bool,
}

async fn read(app: &App, recording: &Recording, capture: &Capture) -> Result<Log, Error> {
    let told = Told::of(app, recording.id).await?;
    let assembler = Assembler::new(told.layout(), LAG.as_nanos() as i64);
    let mut log = Log { assembler, words: Words::default(), chunks: 0, bytes: 0, is_torn: false };
    log.chunks = capture_log::read(app, recording, capture.attempt, |number, length, chunk| {
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
    app: &App,
    recording: &Recording,
    captures: &[Capture],
    capture: &Capture,
    log: &Log,
    withheld: &Withheld,
) -> Result<Publication, Error> {
    let index = log.assembler.index();
    let mut capture = capture.clone();
    settle(&mut capture, app, recording, log, index.as_ref());
    let mut all = pieces::load(app, recording, captures.iter().filter(|other| other.id != capture.id)).await?;
    all.push(piece(recording, &capture, index.as_ref()));
    let filled = filling::fill(app, &mut all, withheld).await?;
    let current = app.store.segments(recording.id, AUDIO_RENDITION).await?;
    let composition = compose::compose(&all, &current);
    let content = compose::content(&composition, &all, silence(log));
    let words = log.words.transcript();
    let room_sid = recording.room_sid.as_deref().or(log.assembler.room().map(|room| room.room_sid.as_str()));
    let Composition { segments, gaps, duration, started_at, ended_at } = composition;
    Ok(Publication {
        recording: recording.id,
        based_on: recording.state.revision,
        beside: pieces::beside(captures, capture.id),
        audio_index: index.as_ref().map(Index::to_bytes),
        transcript: (!words.turns.is_empty()).then_some(words),
        supersedes: Vec::new(),
        filled,
        content: Some(content),
        segments,
        gaps,
        duration,
        started_at: started_at.or(recording.started_at),
        ended_at: ended_at.or(capture.ended_at),
        facts: facts(log),
        participants: people::with_told(app, &recording.project, recording.id, room_sid, participants(&log.assembler))
            .await?,
        capture,
        now: clock::now(),
    })
}

/// The room's capture, as it is composed.
fn piece(recording: &Recording, capture: &Capture, index: Option<&Index>) -> Piece {
    let (Some(index), Some(audio)) = (index, &capture.audio) else { return Piece::new(capture.clone(), Vec::new()) };
    let chunks = sources::chunks(recording, capture, audio);
    let mut piece = pieces::of(capture.clone(), Sound::log(audio.clone(), index.clone(), chunks, Vec::new()));
    let at = MediaTime::from_samples_48k;
    piece.improved = index.improved.iter().map(|extent| at(extent.start)..at(extent.end)).collect();
    piece
}

fn settle(capture: &mut Capture, app: &App, recording: &Recording, log: &Log, index: Option<&Index>) {
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
            key: recording.prefix.log_chunk(capture.attempt, 0),
            chunks: log.chunks,
            offset: 0,
            length: log.bytes,
            samples: index.samples,
            segment_ms: app.config.segment_duration.as_millis() as u32,
            is_gone: false,
            fills: Vec::new(),
        });
    }
    capture.status = match (index, problems.is_empty()) {
        (_, true) => CaptureStatus::Complete,
        (Some(_), false) => CaptureStatus::Partial,
        (None, false) => CaptureStatus::Failed,
    };
    if log.assembler.ended() == Some(ended::MAX_DURATION) {
        // Nothing is wrong with it; but whoever misses the rest should find out why there is none.
        problems.push("the recording was as long as recorder.max_duration allows, and was ended".to_owned());
    }
    capture.error = (!problems.is_empty()).then(|| problems.join("; "));
}

/// Why nothing is heard, should nothing be.
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

/// Everybody who took part, each identity once.
pub fn participants(assembler: &Assembler) -> Vec<recording::Participant> {
    let people = assembler.people().map(|person| {
        let participant = recording::Participant {
            identity: person.identity.clone(),
            name: Some(person.name.clone()).filter(|name| !name.is_empty()),
            kind: person.kind.clone(),
            attributes: person.attributes.clone().into_iter().collect(),
        };
        (person.identity.clone(), participant)
    });
    people.collect::<BTreeMap<_, _>>().into_values().collect()
}
