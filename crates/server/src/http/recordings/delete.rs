//! `DELETE /v1/recordings/{id}`: deletes a recording.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use echosphere_recorder::room::Command;

use super::view;
use crate::clock;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;

/// Asks for the deletion of a recording. The answer is given when that is durable; `deletion` turns from `pending` to
/// `done` when the bytes are gone.
#[utoipa::path(
    delete, path = "/v1/recordings/{id}", tag = "recordings", operation_id = "deleteRecording",
    params(("id" = String, Path, description = "The recording's id")),
    responses(
        (status = 202, description = "Deletion is pending", body = view::Recording),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It was deleted", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<view::Recording>), Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    let asked = app.store.request_deletion(&caller.project, recording.id, clock::now()).await?;
    let recording = asked.ok_or_else(|| super::not_found(&id))?;
    // Nothing more of it is kept; its bytes are deleted when the room has been left (`jobs::erase`).
    app.recorder.registry.send(recording.id, Command::Stop);
    app.jobs.bell.ring();
    tracing::info!(recording = %recording.id, project = %recording.project, "deletion was asked for");
    let shown = super::shown(&app, &super::base(&app, &headers), &caller, recording, captures).await?;
    Ok((StatusCode::ACCEPTED, Json(shown)))
}
