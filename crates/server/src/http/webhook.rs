//! `POST /livekit/webhook`: LiveKit tells what happens in its rooms.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use echosphere_livekit::webhook;

use super::problem::Problem;
use crate::app::SharedApp;
use crate::{clock, live};

/// Takes a webhook of LiveKit's. What it asks for is durable when it is answered.
#[utoipa::path(
    post, path = "/livekit/webhook", tag = "livekit", operation_id = "receiveWebhook",
    request_body(content = String, content_type = "application/webhook+json"),
    responses(
        (status = 200, description = "Taken"),
        (status = 401, description = "Not signed by a configured key", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn receive(State(app): State<SharedApp>, headers: HeaderMap, body: Bytes) -> Result<StatusCode, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let received = webhook::receive(&app.tokens, authorization, &body, clock::now());
    let (project, event) = received.map_err(|error| {
        tracing::warn!(%error, "a webhook was refused");
        Problem::unauthorized(error.to_string())
    })?;
    tracing::debug!(event = event.name, room = event.room_name, id = event.id, "a webhook came");
    metrics::counter!("echosphere_webhooks_total").increment(1);
    live::auto::told(&app, &project, &event).await;
    Ok(StatusCode::OK)
}
