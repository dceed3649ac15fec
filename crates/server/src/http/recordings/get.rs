//! `GET /v1/recordings/{id}`: one recording.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;

use super::view;
use crate::http::access::{Signed, Viewer};
use crate::http::problem::Problem;
use crate::http::state::SharedApp;

/// One recording.
#[utoipa::path(
    get, path = "/v1/recordings/{id}", tag = "recordings", operation_id = "getRecording",
    params(("id" = String, Path, description = "The recording's id"), Signed),
    responses(
        (status = 200, description = "The recording", body = view::Recording),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The link is not valid (any more)", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such recording", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It was deleted", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(app): State<SharedApp>,
    Viewer(caller): Viewer,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<view::Recording>, Problem> {
    let (recording, captures) = super::find(&app, &caller, super::parse_id(&id)?).await?;
    Ok(Json(super::shown(&app, &super::base(&app, &headers), &caller, recording, captures).await?))
}
