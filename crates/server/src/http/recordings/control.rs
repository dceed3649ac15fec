//! `POST /v1/recordings/{id}/stop`, `/pause`, `/resume`, `/exclude`: controls a recording that is going on.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use echosphere_domain::lifecycle::Status;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_store::Command;
use serde::Deserialize;
use utoipa::ToSchema;

use super::start::check_name;
use super::view;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;
use crate::recording::{Asked, ask};

/// How long a stop waits for the recording to be finalized, before it answers with the status so far.
const PATIENCE: Duration = Duration::from_secs(2);

type Answer = Result<(StatusCode, Json<view::Recording>), Problem>;

/// Stops recording. What was kept is playable when the answer says COMPLETED, which is nearly always; else soon after.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/stop", tag = "recordings", operation_id = "stopRecording",
    params(("id" = String, Path, description = "The recording's id")),
    responses(
        (status = 200, description = "The recording", body = view::Recording),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is stopping", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn stop(State(app): State<SharedApp>, caller: Caller, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let (recording, _) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    if app.stop.is_cancelled() {
        return Err(Problem::unavailable("the server is stopping; the next one goes on with the room"));
    }
    let mut changed = app.store.changes().of(recording.id);
    // Where it is over already, the rest of it is still being stored, or it is finalized.
    ask(&app.recorder, &recording, Command::Stop, caller.kind()).await?;
    let over = async {
        loop {
            let found = super::find(&app, &caller, recording.id).await?;
            if found.0.state.status.is_terminal() {
                return Ok::<_, Problem>(found);
            }
            changed.next().await;
        }
    };
    let (recording, captures) = match tokio::time::timeout(PATIENCE, over).await {
        Ok(found) => found?,
        Err(_) => super::find(&app, &caller, recording.id).await?,
    };
    let shown = super::shown(&app, &super::base(&app, &headers), &caller, recording, captures).await?;
    Ok((StatusCode::OK, Json(shown)))
}

/// Keeps nothing from now on, until it is resumed. Nothing of a pause is kept, whichever source brings it.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/pause", tag = "recordings", operation_id = "pauseRecording",
    params(("id" = String, Path, description = "The recording's id")),
    responses(
        (status = 200, description = "The recording", body = view::Recording),
        (status = 202, description = "Stored, and true of every source from now on; whoever records the room has not acted on it yet", body = view::Recording),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not being recorded", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn pause(State(app): State<SharedApp>, caller: Caller, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    set_paused(&app, &caller, &headers, &id, true).await
}

/// Keeps again.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/resume", tag = "recordings", operation_id = "resumeRecording",
    params(("id" = String, Path, description = "The recording's id")),
    responses(
        (status = 200, description = "The recording", body = view::Recording),
        (status = 202, description = "Stored, and true of every source from now on; whoever records the room has not acted on it yet", body = view::Recording),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not being recorded", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn resume(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Answer {
    set_paused(&app, &caller, &headers, &id, false).await
}

/// Who is to be excluded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclude {
    /// The participant's identity; it need not be in the room yet.
    pub identity: String,
}

/// Excludes a participant from now on: sound, messages and speaker activity, whichever source brings them, to the end of
/// the recording. What was kept of them before stays.
#[utoipa::path(
    post, path = "/v1/recordings/{id}/exclude", tag = "recordings", operation_id = "excludeParticipant",
    params(("id" = String, Path, description = "The recording's id")), request_body = Exclude,
    responses(
        (status = 200, description = "The recording", body = view::Recording),
        (status = 202, description = "Stored, and true of every source from now on; whoever records the room has not acted on it yet", body = view::Recording),
        (status = 400, description = "The body is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not being recorded", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn exclude(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    body: Result<Json<Exclude>, JsonRejection>,
) -> Answer {
    let (recording, captures) = going_on(&app, &caller, &id).await?;
    let Json(Exclude { identity }) = body.map_err(|rejection| Problem::bad_body(rejection.body_text()))?;
    check_name("identity", &identity)?;
    asked(&app, &caller, &headers, (recording, captures), Command::Exclude(identity)).await
}

async fn set_paused(app: &SharedApp, caller: &Caller, headers: &HeaderMap, id: &str, paused: bool) -> Answer {
    let found = going_on(app, caller, id).await?;
    asked(app, caller, headers, found, if paused { Command::Pause } else { Command::Resume }).await
}

/// Asks the owner of a room for something, and answers with the room's recording.
async fn asked(
    app: &SharedApp,
    caller: &Caller,
    headers: &HeaderMap,
    (recording, captures): (Recording, Vec<Capture>),
    command: Command,
) -> Answer {
    let status = match ask(&app.recorder, &recording, command, caller.kind()).await? {
        Asked::Acted => StatusCode::OK,
        Asked::Waits => StatusCode::ACCEPTED,
        Asked::Over => {
            return Err(Problem::not_recording("the room is over; what was heard of it is being kept"));
        }
    };
    let shown = super::shown(app, &super::base(app, headers), caller, recording, captures).await?;
    Ok((status, Json(shown)))
}

/// The recording with this id, if it goes on.
async fn going_on(app: &SharedApp, caller: &Caller, id: &str) -> Result<(Recording, Vec<Capture>), Problem> {
    let (recording, captures) = super::find(app, caller, super::parse_id(id)?).await?;
    if !matches!(recording.state.status, Status::Starting | Status::Active) {
        return Err(Problem::not_recording("the recording is over; what was kept stays, or can be deleted"));
    }
    Ok((recording, captures))
}
