//! `POST /v1/recordings`: a room is recorded from now on.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::view;
use crate::app::SharedApp;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::live::{self, Told};

/// The longest room name or session id, in bytes.
const LONGEST: usize = 512;

/// What is to be recorded.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The room, by its name. A room that does not exist yet is waited in.
    pub room_name: String,
    /// Your own id for the conversation.
    pub session_id: Option<String>,
    /// Your own key-value pairs.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `agent_left` (agents on the left, everybody else on the right) or `mix`.
    pub layout: Option<String>,
    /// Identities of participants who are left out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Whether keeping is paused from the start.
    #[serde(default)]
    pub paused: bool,
}

/// Begins to record a room.
#[utoipa::path(
    post, path = "/v1/recordings", tag = "recordings", operation_id = "startRecording", request_body = Start,
    responses(
        (status = 201, description = "The recording, STARTING", body = view::Recording),
        (status = 400, description = "The body is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The room is being recorded; `recording_id` says as what", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "No room can be recorded now", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn start(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Json<Start>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(wanted) = body.map_err(|rejection| Problem::bad_body(rejection.body_text()))?;
    check(&wanted)?;
    if !caller.sees_room(Some(&wanted.room_name)) {
        return Err(Problem::forbidden("the token is for another room"));
    }
    let told = Told { layout: wanted.layout, exclude: wanted.exclude, paused: wanted.paused };
    let started = live::start(&app, &caller.project, &wanted.room_name, wanted.session_id, wanted.labels, told).await;
    let (recording, capture) = started.map_err(problem)?;
    let base = super::base(&app, &headers);
    let location = HeaderValue::from_str(&format!("{base}/v1/recordings/{}", recording.id));
    let shown = super::show(&app, &base, recording, vec![capture]);
    let mut response = (StatusCode::CREATED, Json(shown)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn check(wanted: &Start) -> Result<(), Problem> {
    let fits = |text: &str| !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control);
    if !fits(&wanted.room_name) {
        return Err(Problem::bad_body(format!("room_name must have 1 to {LONGEST} bytes, and no control characters")));
    }
    if wanted.session_id.as_deref().is_some_and(|id| !fits(id)) {
        return Err(Problem::bad_body(format!("session_id must have 1 to {LONGEST} bytes, and no control characters")));
    }
    if wanted.layout.as_deref().is_some_and(|layout| !matches!(layout, "agent_left" | "mix")) {
        return Err(Problem::bad_body("layout must be agent_left or mix"));
    }
    if wanted.labels.len() > 64 || wanted.labels.iter().any(|(name, value)| name.len() + value.len() > 1_024) {
        return Err(Problem::bad_body("labels must be 64 at most, each of 1,024 bytes at most"));
    }
    Ok(())
}

fn problem(error: live::Error) -> Problem {
    match error {
        live::Error::Store(error) => error.into(),
        live::Error::Already(id) => Problem::already_recording(error.to_string()).about(id),
        live::Error::NoServer | live::Error::NoKey(_) => Problem::not_configured(error.to_string()),
        live::Error::NoWay { .. } | live::Error::Full(_) | live::Error::Stopping => {
            Problem::unavailable(error.to_string())
        }
    }
}
