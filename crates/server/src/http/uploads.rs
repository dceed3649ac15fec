//! `/v1/uploads`: session uploads that did not become recordings, because they are held or in quarantine.

use std::pin::pin;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::UploadId;
use echosphere_domain::key;
use echosphere_domain::time::WallTime;
use echosphere_store::{Upload, UploadState};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;
use utoipa::{IntoParams, ToSchema};

use super::access::Caller;
use super::problem::Problem;
use crate::clock;
use crate::http::state::{App, SharedApp};
use crate::jobs::clean;
use crate::uploads::held;

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// `held` (the name of the room is not known, and `excluded_rooms` wants it) or `quarantined` (it cannot be read).
    state: String,
    /// How many at most: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A session upload that did not become a recording.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldUpload {
    /// Its id.
    id: String,
    /// `held` or `quarantined`.
    state: &'static str,
    /// Why it is in quarantine.
    reason: Option<String>,
    /// When it came.
    #[schema(format = "date-time")]
    received_at: String,
    /// When it is deleted, or (held) kept or deleted as `uploads.unknown_room` says.
    #[schema(format = "date-time")]
    due_at: String,
    /// Its length in bytes.
    bytes: u64,
    /// Whether the whole body came.
    complete: bool,
    /// LiveKit's job id, if its header says one.
    job_id: Option<String>,
    /// LiveKit's room id, if its header says one.
    room_sid: Option<String>,
}

/// A page of uploads.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadPage {
    /// The uploads, newest first.
    items: Vec<HeldUpload>,
    /// What to send as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

impl HeldUpload {
    fn new(app: &App, upload: Upload) -> Self {
        let wait = if upload.state == UploadState::Held { app.config.unknown_room_wait } else { app.config.quarantine };
        Self {
            id: upload.id.to_string(),
            state: upload.state.as_str(),
            reason: upload.reason,
            received_at: clock::rfc3339(upload.received_at),
            due_at: clock::rfc3339(upload.received_at.after(wait)),
            bytes: upload.bytes,
            complete: upload.complete,
            job_id: upload.job_id,
            room_sid: upload.room_sid,
        }
    }
}

/// Refuses a caller who may see one room only: which room these uploads are of is not known.
fn whole_project(caller: &Caller) -> Result<(), Problem> {
    match &caller.room {
        None => Ok(()),
        Some(_) => {
            Err(Problem::forbidden("a token for one room reaches no uploads: nobody knows which room they are of"))
        }
    }
}

/// The upload that a path names, if it is held or in quarantine and of the caller's project.
async fn find(app: &App, caller: &Caller, id: &str) -> Result<Upload, Problem> {
    whole_project(caller)?;
    let none = || {
        let shown: String = id.chars().take(64).collect();
        Problem::upload_not_found(format!("no upload {shown:?} is held or in quarantine, for these credentials"))
    };
    let parsed: UploadId = id.parse().map_err(|_| none())?;
    let upload = app.store.upload(parsed).await?.filter(|upload| upload.project == caller.project);
    upload.filter(|upload| matches!(upload.state, UploadState::Held | UploadState::Quarantined)).ok_or_else(none)
}

/// Lists session uploads that did not become recordings, newest first.
#[utoipa::path(
    get, path = "/v1/uploads", tag = "uploads", operation_id = "listUploads", params(Params),
    responses(
        (status = 200, description = "One page", body = UploadPage),
        (status = 400, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is for one room only", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<UploadPage>, Problem> {
    whole_project(&caller)?;
    let Query(params) = params.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let state = match params.state.as_str() {
        "held" => UploadState::Held,
        "quarantined" => UploadState::Quarantined,
        other => {
            let shown: String = other.chars().take(64).collect();
            return Err(Problem::bad_parameter(format!("state is {shown:?}; it must be held or quarantined")));
        }
    };
    let limit = params.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Problem::bad_parameter(format!("limit is {limit}; it must be from 1 to 200")));
    }
    let before = params.cursor.map(|cursor| cursor.parse::<i64>().map(WallTime::from_nanos)).transpose();
    let before = before.map_err(|_| Problem::bad_parameter("cursor is not one that a list answered as next_cursor"))?;
    let uploads = app.store.uploads_in(&caller.project, state, before, limit).await?;
    let next_cursor = uploads.last().filter(|_| uploads.len() == limit as usize);
    let next_cursor = next_cursor.map(|last| last.received_at.as_nanos().to_string());
    let items = uploads.into_iter().map(|upload| HeldUpload::new(&app, upload)).collect();
    Ok(Json(UploadPage { items, next_cursor }))
}

/// The bytes of an upload that is held or in quarantine, as they came.
#[utoipa::path(
    get, path = "/v1/uploads/{id}/body", tag = "uploads", operation_id = "getUploadBody",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 200, description = "The body as it came", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is for one room only", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such upload", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn body(State(app): State<SharedApp>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    let upload = find(&app, &caller, &id).await?;
    let body = if let Ok(file) = tokio::fs::File::open(app.data.spool(upload.id)).await {
        Body::from_stream(ReaderStream::new(file))
    } else {
        // Where earlier versions kept what is in quarantine.
        let object = key::quarantine(&upload.project, upload.id);
        if app.objects.head(&object).await?.is_none() {
            return Err(Problem::upload_not_found("the upload does not wait any more"));
        }
        Body::from_stream(app.objects.pieces(object, 0..u64::MAX))
    };
    // Whatever the body claims to be, a browser must not display it.
    let kind = HeaderValue::from_static("application/octet-stream");
    let disposition = HeaderValue::from_static("attachment; filename=\"upload.multipart\"");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], body).into_response())
}

/// Reads an upload again: one that is held becomes a recording now, though nobody knows the name of its room.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/reprocess", tag = "uploads", operation_id = "reprocessUpload",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 202, description = "It is read again"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is for one room only", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such upload", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn reprocess(
    State(app): State<SharedApp>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let _alone = app.uploads.leaving.lock().await;
    let upload = find(&app, &caller, &id).await?;
    if upload.state == UploadState::Quarantined && !app.data.spool(upload.id).exists() {
        spool_again(&app, &upload).await?;
    }
    held::release(&app.uploads, &upload, upload.state == UploadState::Held).await?;
    tracing::info!(upload = %upload.id, project = %upload.project, "an upload is read again");
    Ok(StatusCode::ACCEPTED)
}

/// Moves an upload that an earlier version put into object storage for quarantine into the spool, where uploads are read.
async fn spool_again(app: &SharedApp, upload: &Upload) -> Result<(), Problem> {
    let object = key::quarantine(&upload.project, upload.id);
    let failed = |error: std::io::Error| {
        tracing::warn!(upload = %upload.id, %error, "an upload in quarantine cannot be read again");
        Problem::unavailable("the upload cannot be put into the spool now; the server's log says more")
    };
    let path = app.data.spool(upload.id);
    let mut file = tokio::fs::File::create(&path).await.map_err(failed)?;
    let mut pieces = pin!(app.objects.pieces(object.clone(), 0..u64::MAX));
    while let Some(piece) = pieces.next().await {
        tokio::io::AsyncWriteExt::write_all(&mut file, &piece?).await.map_err(failed)?;
    }
    file.sync_all().await.map_err(failed)?;
    Ok(app.objects.forget(&[object]).await?)
}

/// Deletes an upload that is held or in quarantine.
#[utoipa::path(
    delete, path = "/v1/uploads/{id}", tag = "uploads", operation_id = "deleteUpload",
    params(("id" = String, Path, description = "The upload's id")),
    responses(
        (status = 204, description = "Nothing of it is left"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is for one room only", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such upload", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(app): State<SharedApp>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let _alone = app.uploads.leaving.lock().await;
    let upload = find(&app, &caller, &id).await?;
    clean::forget_quarantined(&app.jobs, &upload).await.map_err(|error| {
        tracing::warn!(upload = %upload.id, %error, "an upload cannot be deleted now");
        Problem::unavailable("the upload cannot be deleted now; the server's log says more")
    })?;
    tracing::info!(upload = %upload.id, project = %upload.project, "an upload was deleted");
    Ok(StatusCode::NO_CONTENT)
}
