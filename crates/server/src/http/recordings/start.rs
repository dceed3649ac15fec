//! `POST /v1/recordings`: starts recording a room.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::name;
use echosphere_domain::options::{ChannelLayout, RecordingOptions};
use echosphere_store::{Once, Repeated};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::view;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;
use crate::recording::{self, RecordingRequest};

/// The most identities, kinds and attributes, all together, that one request may exclude.
const MOST_EXCLUDED: usize = 1_000;

/// What is to be recorded.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
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
    /// Identities of participants who are excluded.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// LiveKit's kinds of participants who are excluded, besides those that the configuration names: `STANDARD`, `SIP`, ...
    #[serde(default)]
    pub exclude_kinds: Vec<String>,
    /// Participants with one of these attributes are excluded, from when they have it to when they have it no more;
    /// `echosphere.record` = `false` always counts.
    #[serde(default)]
    pub exclude_attributes: BTreeMap<String, String>,
    /// Whether keeping is paused from the start.
    #[serde(default)]
    pub paused: bool,
}

/// Begins to record a room. With an `Idempotency-Key` a request that is sent again within 24 h begins nothing: it is answered
/// with the recording that the first one began.
#[utoipa::path(
    post, path = "/v1/recordings", tag = "recordings", operation_id = "startRecording", request_body = Start,
    params(("Idempotency-Key" = Option<String>, Header, description = "A key of your own for this request, 1 to 255 characters")),
    responses(
        (status = 200, description = "The recording that this very request began before", body = view::Recording),
        (status = 201, description = "The recording, STARTING", body = view::Recording),
        (status = 400, description = "The body is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The room is being recorded; `recording_id` says as what", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "The Idempotency-Key was used for another request", body = Problem, content_type = "application/problem+json"),
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
    let once = once(&headers, &wanted)?;
    let (status, recording, captures) =
        match recording::start(&app.recorder, &caller.project, request(wanted, once)).await {
            Ok((recording, capture)) => (StatusCode::CREATED, recording, vec![capture]),
            Err(recording::Error::Repeated(Repeated::Same(id))) => {
                let (recording, captures) = super::find(&app, &caller, id).await?;
                (StatusCode::OK, recording, captures)
            }
            Err(error) => return Err(problem(error)),
        };
    let base = super::base(&app, &headers);
    let location = HeaderValue::from_str(&format!("{base}/v1/recordings/{}", recording.id));
    let shown = super::shown(&app, &base, &caller, recording, captures).await?;
    let mut response = (status, Json(shown)).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// The request's Idempotency-Key, with a fingerprint of what it asks for.
fn once(headers: &HeaderMap, wanted: &Start) -> Result<Option<Once>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().unwrap_or_default().trim();
    if !(1..=255).contains(&key.len()) {
        return Err(Problem::bad_parameter("the Idempotency-Key must have 1 to 255 characters of ASCII"));
    }
    let asked = serde_json::to_vec(wanted).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Some(Once { key: key.to_owned(), asked: hex::encode(Sha256::digest(asked)) }))
}

fn request(wanted: Start, once: Option<Once>) -> RecordingRequest {
    RecordingRequest {
        room_name: wanted.room_name,
        session_id: wanted.session_id,
        labels: wanted.labels,
        options: RecordingOptions {
            layout: wanted.layout.as_deref().and_then(layout),
            exclude: wanted.exclude,
            exclude_kinds: wanted.exclude_kinds,
            exclude_attributes: wanted.exclude_attributes,
            paused: wanted.paused,
        },
        once,
    }
}

fn layout(word: &str) -> Option<ChannelLayout> {
    match word {
        "agent_left" => Some(ChannelLayout::AgentLeft),
        "mix" => Some(ChannelLayout::Mix),
        _ => None,
    }
}

fn check(wanted: &Start) -> Result<(), Problem> {
    check_name("room_name", &wanted.room_name)?;
    wanted.session_id.as_deref().map_or(Ok(()), |id| check_name("session_id", id))?;
    if wanted.layout.as_deref().is_some_and(|word| layout(word).is_none()) {
        return Err(Problem::bad_body("layout must be agent_left or mix"));
    }
    if wanted.labels.len() > 64 || wanted.labels.iter().any(|(name, value)| name.len() + value.len() > 1_024) {
        return Err(Problem::bad_body("labels must be 64 at most, each of 1,024 bytes at most"));
    }
    let lists = wanted.exclude.len() + wanted.exclude_kinds.len() + wanted.exclude_attributes.len();
    let attributes = wanted.exclude_attributes.iter().flat_map(|(name, value)| [name, value]);
    let mut texts = wanted.exclude.iter().chain(&wanted.exclude_kinds).chain(attributes);
    if lists > MOST_EXCLUDED || texts.any(|text| text.chars().count() > name::LONGEST) {
        return Err(Problem::bad_body(format!(
            "exclude, exclude_kinds and exclude_attributes may have {MOST_EXCLUDED} entries together, each of {} characters at most",
            name::LONGEST
        )));
    }
    Ok(())
}

/// Refuses a name that could not be stored whole. Any characters but U+0000 are allowed, as LiveKit allows them.
pub(super) fn check_name(what: &str, text: &str) -> Result<(), Problem> {
    if name::is_whole(text) {
        return Ok(());
    }
    let most = name::LONGEST;
    Err(Problem::bad_body(format!("{what} must have 1 to {most} characters, of which none is U+0000")))
}

fn problem(error: recording::Error) -> Problem {
    match error {
        recording::Error::Store(error) => error.into(),
        recording::Error::Already(id) => Problem::already_recording(error.to_string()).about(id),
        recording::Error::Repeated(_) => Problem::key_reused(
            "this Idempotency-Key was used for a request with another body; use a new key for a new request",
        ),
        recording::Error::Name => Problem::bad_body(error.to_string()),
        recording::Error::NoServer | recording::Error::NoKey(_) => Problem::not_configured(error.to_string()),
        recording::Error::NoWay { .. } | recording::Error::Full(_) | recording::Error::Stopping => {
            Problem::unavailable(error.to_string())
        }
    }
}
