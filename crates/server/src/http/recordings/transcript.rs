//! `GET /v1/recordings/{id}/transcript`, as JSON, WebVTT, SubRip or text.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::{Capture, CaptureStatus, Source};
use echosphere_domain::segment;
use echosphere_domain::session;
use echosphere_domain::transcript::{Alignment, Placed, Transcript, export, markup, once, place};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::view;
use crate::clock::rfc3339;
use crate::http::access::{Caller, Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::{App, SharedApp};
use crate::jobs::realign;

/// How many transcripts are made at the same time: meanwhile each is in memory several times.
static MADE: Semaphore = Semaphore::const_new(4);

/// Waits for permission to make a transcript, and to write it out.
async fn turn_to_make() -> Option<SemaphorePermit<'static>> {
    // The semaphore is never closed.
    MADE.acquire().await.ok()
}

/// The turns of a recording, placed on its timeline.
pub(super) async fn read(app: &App, id: RecordingId, captures: &[Capture]) -> Result<Read, echosphere_store::Error> {
    let segments = app.store.segment_index(id).await?;
    let is_room = |id| captures.iter().any(|capture| capture.id == id && capture.source == Source::Recorder);
    let kept = app.store.transcripts(id).await?;
    let is_old = kept.iter().any(|(_, transcript)| realign::is_old(transcript));
    let (rooms, sessions): (Vec<_>, Vec<_>) = kept.into_iter().partition(|(capture, _)| is_room(*capture));
    let timeline = segment::timeline(&segments);
    let room = captures.iter().find(|capture| capture.is_of_room());
    // What a session has outside of its room's recording is shown in a recording of its own, not at an edge of this one.
    let goes_on = room.is_some_and(|room| room.status == CaptureStatus::Processing);
    let here = |(_, lines)| if room.is_some() { session::within(lines, &timeline, goes_on) } else { lines };
    let mut sessions: Vec<Transcript> = sessions.into_iter().map(here).collect();
    // While a room goes on, its transcript is with the task that records it.
    let mut room =
        rooms.into_iter().map(|(_, transcript)| transcript).next().or_else(|| app.recorder.registry.transcript(id));
    sessions.iter_mut().chain(&mut room).for_each(markup::remove_marks);
    let has_room = room.is_some();
    let mut transcripts = once(sessions, room);
    // A room that adds no turns says nothing about how certain the times are.
    transcripts.pop_if(|room| has_room && room.turns.is_empty());
    let placed = place(&transcripts, &timeline);
    // Of several sources the least certain one says how far the whole can be trusted.
    let alignment = transcripts.into_iter().map(|transcript| transcript.alignment);
    let alignment = alignment.min_by(|a, b| a.confidence.total_cmp(&b.confidence)).unwrap_or_default();
    Ok(Read { alignment, turns: placed, segments: segments.len(), is_old })
}

/// The turns of a recording, and how much of it can be heard.
pub(super) struct Read {
    /// How the times were determined.
    pub(super) alignment: Alignment,
    /// The turns, placed.
    pub(super) turns: Vec<Placed>,
    /// How many segments can be heard.
    pub(super) segments: usize,
    /// Whether an older version determined the times.
    is_old: bool,
}

/// The transcript as JSON.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/transcript", tag = "transcript", operation_id = "getTranscript",
    params(("id" = String, Path, description = "The recording's id"), Signed),
    responses(
        (status = 200, description = "The transcript; without turns when none came", body = view::Transcript),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn json(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let _turn = turn_to_make().await;
    let read = read(&app, recording.id, &captures).await?;
    if read.is_old && app.store.analysis(recording.id).await?.is_some() {
        realign::request(&app.jobs, &recording).await?;
    }
    let transcript = view::Transcript {
        recording_id: recording.id.to_string(),
        alignment: alignment(&read.alignment),
        turns: read.turns.into_iter().map(turn).collect(),
    };
    Ok(Json(transcript).into_response())
}

pub(super) fn alignment(alignment: &Alignment) -> view::Alignment {
    view::Alignment {
        method: alignment.method,
        offset_ms: alignment.offset_ms,
        confidence: (alignment.confidence * 1000.0).round() / 1000.0,
    }
}

pub(super) fn turn(placed: Placed) -> view::Turn {
    let call = placed.turn.call.map(|call| view::Call {
        call_id: call.call_id,
        name: call.name,
        arguments: call.arguments,
        output: call.output,
        is_error: call.is_error,
    });
    view::Turn {
        id: placed.turn.id,
        kind: placed.turn.kind,
        role: placed.turn.role,
        speaker: placed.turn.speaker,
        text: placed.turn.text,
        source_text: placed.turn.source_text,
        start_ms: placed.start.map(echosphere_domain::time::MediaTime::as_millis),
        end_ms: placed.end.map(echosphere_domain::time::MediaTime::as_millis),
        started_at: placed.started_at.map(rfc3339),
        approximate: placed.approximate,
        interrupted: placed.turn.interrupted,
        // A line that was taken for typed, and then found in the sound, was spoken.
        typed: placed.turn.typed && placed.turn.refined.is_none(),
        confidence: placed.turn.confidence,
        metrics: placed.turn.metrics,
        call,
        earlier: placed.turn.earlier,
    }
}

async fn export_as(
    app: SharedApp,
    caller: Caller,
    id: String,
    kind: &'static str,
    write: fn(&[Placed]) -> String,
) -> Result<Response, Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let _turn = turn_to_make().await;
    let read = read(&app, recording.id, &captures).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], write(&read.turns)).into_response())
}

/// The transcript as WebVTT.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/transcript.vtt", tag = "transcript", operation_id = "getTranscriptVtt",
    params(("id" = String, Path, description = "The recording's id"), Signed),
    responses((status = 200, description = "WebVTT, a cue for each line", content_type = "text/vtt", body = String)),
)]
pub async fn vtt(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    export_as(app, caller, id, "text/vtt; charset=utf-8", export::vtt).await
}

/// The transcript as SubRip.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/transcript.srt", tag = "transcript", operation_id = "getTranscriptSrt",
    params(("id" = String, Path, description = "The recording's id"), Signed),
    responses((status = 200, description = "SubRip, a cue for each line", content_type = "application/x-subrip", body = String)),
)]
pub async fn srt(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    export_as(app, caller, id, "application/x-subrip; charset=utf-8", export::srt).await
}

/// The transcript as plain text.
#[utoipa::path(
    get, path = "/v1/recordings/{id}/transcript.txt", tag = "transcript", operation_id = "getTranscriptText",
    params(("id" = String, Path, description = "The recording's id"), Signed),
    responses((status = 200, description = "A line for each turn", content_type = "text/plain", body = String)),
)]
pub async fn text(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    export_as(app, caller, id, "text/plain; charset=utf-8", export::text).await
}
