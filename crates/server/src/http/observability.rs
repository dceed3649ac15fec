//! The HTTP interface that the agents SDK uploads to: sessions and OTLP telemetry.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::{ProjectId, UploadId};
use echosphere_livekit::session_upload::refusal;
use echosphere_livekit::telemetry::InflateError;
use echosphere_livekit::token::Grant;
use serde_json::json;

use super::access;
use super::problem::Problem;
use crate::http::state::SharedApp;
use crate::uploads::receive::{self, Refusal};
use crate::uploads::telemetry_queue::{Content, ContentError, MAX_LENGTH, Request};
use crate::{clock, entropy};

/// The project whose key signed the SDK's token, if recording is not switched off for it.
fn project(app: &SharedApp, headers: &HeaderMap) -> Result<ProjectId, Problem> {
    let token = access::bearer(headers)?;
    let token = token.ok_or_else(|| Problem::unauthorized("the agents SDK sends a token; this request has none"))?;
    let claims = app.tokens.verify(token, clock::now(), Grant::ObservabilityWrite).map_err(|error| {
        metrics::counter!("echosphere_uploads_total", "outcome" => "refused").increment(1);
        tracing::warn!(%error, "a request of the agents SDK was refused");
        Problem::unauthorized(error.public_message())
    })?;
    let project = app.config.project(&claims.project).filter(|project| !project.recording);
    if project.is_some() {
        return Err(disabled());
    }
    Ok(claims.project)
}

/// The SDK goes quiet for the whole session when it finds these words in a 401.
fn disabled() -> Problem {
    Problem::recording_disabled("data recording is disabled for this project or room")
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Accepts a session upload: `multipart/form-data` with the parts `header`, `chat_history` and `audio`.
#[utoipa::path(
    post, path = "/observability/recordings/v0", tag = "agents SDK", operation_id = "uploadSession",
    request_body(content_type = "multipart/form-data", content = String),
    responses(
        (status = 200, description = "Every byte is durable"),
        (status = 401, description = "A bad token, or recording is switched off", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Larger than uploads.max_bytes", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Not now: google.rpc.Status with RetryInfo", content_type = "application/x-protobuf", body = String),
    ),
)]
pub async fn recordings(State(app): State<SharedApp>, headers: HeaderMap, body: Body) -> Response {
    let project = match project(&app, &headers) {
        Ok(project) => project,
        Err(problem) => return refuse(problem, body),
    };
    let limit = app.config.max_upload_bytes;
    let announced = text(&headers, header::CONTENT_LENGTH).parse::<u64>().unwrap_or(0);
    if announced > limit {
        return refuse(too_large(limit), body);
    }
    match receive::receive(Arc::clone(&app.uploads), project, text(&headers, header::CONTENT_TYPE), body).await {
        Ok(_) => Json(json!({})).into_response(),
        Err(Refusal::TooLarge { limit }) => too_large(limit).into_response(),
        Err(Refusal::Disabled) => disabled().into_response(),
        // The SDK goes quiet, and does not send again what we would have to redact.
        Err(Refusal::Redaction) => Problem::recording_disabled(
            "data recording is disabled for sessions that ask for redaction, which this server cannot do",
        )
        .into_response(),
        // There is nobody left to read this.
        Err(Refusal::Cut { .. }) => StatusCode::BAD_REQUEST.into_response(),
        Err(Refusal::Transient(reason)) => {
            metrics::counter!("echosphere_uploads_total", "outcome" => "retry").increment(1);
            tracing::error!(reason, "an upload cannot be kept now; the sender is asked to come again");
            let body = refusal::try_again("the recording cannot be kept now", app.config.upload_retry_delay);
            let kind = HeaderValue::from_static(refusal::CONTENT_TYPE);
            (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
    }
}

fn too_large(limit: u64) -> Problem {
    Problem::too_large(format!("the upload is larger than {limit} bytes, the limit set by uploads.max_bytes"))
}

/// Answers at once, but goes on reading the body for a while, so that the sender sees the answer.
fn refuse(problem: Problem, body: Body) -> Response {
    receive::linger(body);
    problem.into_response()
}

/// Accepts an OTLP request of the agents SDK. Answered at once: the Node SDK sends no recording when its logs are refused.
#[utoipa::path(
    post, path = "/observability/{signal}/otlp/v0", tag = "agents SDK", operation_id = "sendTelemetry",
    params(("signal" = String, Path, description = "traces, logs or metrics")),
    request_body(content_type = "application/x-protobuf", content = String),
    responses(
        (status = 200, description = "Accepted"),
        (status = 401, description = "A bad token, or recording is switched off", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Larger than 64 MiB, inflated", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn otlp(
    State(app): State<SharedApp>,
    Path(signal): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if !matches!(signal.as_str(), "traces" | "logs" | "metrics") {
        return refuse(Problem::not_found("the signals are traces, logs and metrics"), body);
    }
    let project = match project(&app, &headers) {
        Ok(project) => project,
        Err(problem) => return refuse(problem, body),
    };
    let too_large = || Problem::too_large(format!("an OTLP request may have {MAX_LENGTH} bytes, inflated"));
    let id = UploadId::new(entropy::uuid(clock::now()));
    let body = match Content::receive(&app.uploads, id, body, MAX_LENGTH).await {
        Ok(body) => body,
        Err(ContentError::TooLarge) => return too_large().into_response(),
        Err(ContentError::Cut) => return StatusCode::BAD_REQUEST.into_response(),
        Err(ContentError::Io(error)) => {
            metrics::counter!("echosphere_telemetry_lost_total").increment(1);
            tracing::error!(%error, signal, "telemetry is lost: there is no room for it");
            return accepted();
        }
    };
    let content_type = text(&headers, header::CONTENT_TYPE);
    let is_gzip = text(&headers, header::CONTENT_ENCODING).eq_ignore_ascii_case("gzip");
    let request = Request { project, signal, content_type, is_gzip, body };
    match app.uploads.telemetry.accept(&app.uploads, id, request).await {
        Ok(()) => accepted(),
        Err(InflateError::TooLarge { .. }) => too_large().into_response(),
        Err(error) => Problem::bad_body(error.to_string()).into_response(),
    }
}

fn accepted() -> Response {
    // An Export...ServiceResponse without fields, in either form.
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], "{}").into_response()
}
