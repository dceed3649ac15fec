//! `DELETE /v1/recordings/{id}`: deletes a recording.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use echosphere_store::Applied;

use super::view;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;
use crate::recording::ask_deletion;

/// Asks for the deletion of a recording. The answer is given when that is durable; `deletion` turns from `pending` to
/// `done` when the bytes are gone.
#[utoipa::path(
    delete, path = "/v1/recordings/{id}", tag = "recordings", operation_id = "deleteRecording",
    params(("id" = String, Path, description = "The recording's id")),
    responses(
        (status = 202, description = "Deletion is pending", body = view::Recording),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is under legal hold", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It was deleted", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<view::Recording>), Problem> {
    let (recording, _) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    // Nothing more of it is kept from now on; its bytes are deleted when the room has been left (`jobs::erase`).
    match ask_deletion(&app.recorder, &recording, caller.kind()).await? {
        Applied::Stored | Applied::Known => {}
        Applied::Over => return Err(super::not_found(&id)),
        Applied::Held => return Err(Problem::on_hold("the recording is under legal hold; lift the hold first")),
    }
    let found = app.store.recording(&caller.project, recording.id).await?;
    let (recording, captures) = found.ok_or_else(|| super::not_found(&id))?;
    tracing::info!(recording = %recording.id, project = %recording.project, "deletion was asked for");
    let shown = super::shown(&app, &super::base(&app, &headers), &caller, recording, captures).await?;
    Ok((StatusCode::ACCEPTED, Json(shown)))
}
