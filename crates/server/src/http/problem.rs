//! RFC 9457 problem details: the one place where an error becomes an HTTP answer.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::RecordingId;
use serde::Serialize;
use utoipa::ToSchema;

/// After how many seconds to try again what does not work now.
const RETRY_AFTER: &str = "5";

/// An error as the API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is; stable, for programs. The list is in docs/http.md.
    #[serde(rename = "type")]
    #[schema(example = "/problems/recording-not-found")]
    pub kind: String,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status code.
    #[schema(value_type = u16, example = 404)]
    #[serde(serialize_with = "status_number")]
    pub status: StatusCode,
    /// What happened this time, and what to do about it.
    pub detail: String,
    /// The recording that is in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording_id: Option<String>,
}

fn status_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

/// Every kind of problem: a slug, a title and a status.
macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident = $status:ident, $slug:literal, $title:literal;)*) => {
        impl Problem {
            $($(#[$doc])*
            pub fn $name(detail: impl Into<String>) -> Self {
                Self {
                    kind: concat!("/problems/", $slug).to_owned(),
                    title: $title,
                    status: StatusCode::$status,
                    detail: detail.into(),
                    recording_id: None,
                }
            })*
        }
    };
}

problems! {
    /// No usable credentials.
    unauthorized = UNAUTHORIZED, "unauthorized", "Credentials are missing or not valid";
    /// Valid credentials that do not allow this.
    forbidden = FORBIDDEN, "forbidden", "The credentials do not allow this";
    /// Session recording is switched off; the agents SDK looks for certain words in the detail.
    recording_disabled = UNAUTHORIZED, "recording-disabled", "Session recording is switched off";
    /// There is no such recording, for these credentials.
    recording_not_found = NOT_FOUND, "recording-not-found", "There is no such recording";
    /// There is no such upload, for these credentials.
    upload_not_found = NOT_FOUND, "upload-not-found", "There is no such upload";
    /// The recording has no such part.
    part_not_found = NOT_FOUND, "part-not-found", "The recording has no such part";
    /// There is nothing at this path.
    not_found = NOT_FOUND, "not-found", "There is nothing here";
    /// The path exists, the method does not.
    method_not_allowed = METHOD_NOT_ALLOWED, "method-not-allowed", "The method is not allowed here";
    /// The recording's bytes were deleted.
    deleted = GONE, "deleted", "The recording was deleted";
    /// The request is not valid HTTP.
    bad_request = BAD_REQUEST, "bad-request", "The request is not valid";
    /// A parameter is not valid.
    bad_parameter = BAD_REQUEST, "bad-parameter", "A parameter is not valid";
    /// The body is not valid.
    bad_body = BAD_REQUEST, "bad-body", "The request body is not valid";
    /// The body is larger than allowed.
    too_large = PAYLOAD_TOO_LARGE, "too-large", "The request body is too large";
    /// The room is being recorded.
    already_recording = CONFLICT, "already-recording", "The room is being recorded already";
    /// The Idempotency-Key was used for another request.
    key_reused = UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The Idempotency-Key was used for another request";
    /// The recording is under legal hold.
    on_hold = CONFLICT, "on-hold", "The recording is under legal hold";
    /// The recording is over.
    not_recording = CONFLICT, "not-recording", "The room is not being recorded";
    /// Too many sign-ins failed.
    too_many_attempts = TOO_MANY_REQUESTS, "too-many-attempts", "Too many attempts failed";
    /// A setting is missing.
    not_configured = SERVICE_UNAVAILABLE, "not-configured", "The server is not set up for this";
    /// There is no AAC here.
    no_aac = NOT_IMPLEMENTED, "no-aac", "The server makes no AAC";
    /// Something on our side does not work now; trying again helps.
    unavailable = SERVICE_UNAVAILABLE, "unavailable", "The server cannot do this now";
    /// A defect on our side.
    internal = INTERNAL_SERVER_ERROR, "internal", "The server failed";
}

impl Problem {
    /// The same, naming the recording that it is about.
    pub fn about(self, recording: RecordingId) -> Self {
        Self { recording_id: Some(recording.to_string()), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let wait = match () {
            () if self.kind == Self::unavailable("").kind => Some(RETRY_AFTER),
            () if status == StatusCode::TOO_MANY_REQUESTS => Some("60"),
            () => None,
        };
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(wait) = wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<echosphere_store::Error> for Problem {
    fn from(error: echosphere_store::Error) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "the database is not available");
            return Self::unavailable("the database does not answer now; try again in a few seconds");
        }
        if let echosphere_store::Error::Deleted(recording) = &error {
            return Self::deleted(format!("the recording {recording} is being deleted"));
        }
        tracing::error!(%error, "the database call failed");
        Self::internal("the server's log says more")
    }
}

impl From<echosphere_storage::Error> for Problem {
    fn from(error: echosphere_storage::Error) -> Self {
        if error.is_transient() {
            tracing::warn!(%error, "object storage is not available");
            return Self::unavailable("object storage does not answer now; try again in a few seconds");
        }
        tracing::error!(%error, "the object storage call failed");
        Self::internal("the server's log says more")
    }
}

impl From<crate::error::Error> for Problem {
    fn from(error: crate::error::Error) -> Self {
        match error {
            crate::error::Error::Store(error) => error.into(),
            crate::error::Error::Storage(error) => error.into(),
            error => {
                tracing::warn!(%error, "what is kept cannot be read or written now");
                Self::unavailable("the server's disk does not answer now; try again in a few seconds")
            }
        }
    }
}
