//! `POST /livekit/webhook`: LiveKit tells what happens in its rooms.

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use echosphere_livekit::webhook::{self, Received};
use echosphere_store::Webhook;

use super::problem::Problem;
use crate::app::SharedApp;
use crate::{clock, names};

/// The longest id or event that is kept, in bytes.
const LONGEST: usize = 1_024;

/// Takes a webhook of LiveKit's. It is durable when it is answered; what it asks for is done after that, and once, however
/// often it comes. Any other answer than 200 makes LiveKit send it again.
#[utoipa::path(
    post, path = "/livekit/webhook", tag = "livekit", operation_id = "receiveWebhook",
    request_body(content = String, content_type = "application/webhook+json"),
    responses(
        (status = 200, description = "Kept"),
        (status = 401, description = "Not signed by a configured key", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "It cannot be kept now", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn receive(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejection| Problem::too_large(rejection.body_text()))?;
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = clock::now();
    let received = webhook::receive(&app.tokens, authorization, &body, now).map_err(|error| {
        tracing::warn!(%error, "a webhook was refused");
        count("refused");
        Problem::unauthorized(error.told())
    })?;
    let Received { project, event, body } = received;
    if [&event.id, &event.name, &event.room_sid].into_iter().any(|text| text.len() > LONGEST) {
        tracing::warn!(
            event = names::shown(&event.name),
            "a webhook was refused: its id, event or room id is too long"
        );
        count("refused");
        return Err(Problem::too_large(format!("id, event and room id of a webhook have {LONGEST} bytes at most")));
    }
    app.rooms.webhook_came(&project);
    tracing::debug!(event = event.name, room = names::shown(&event.room_name), id = event.id, "a webhook came");
    let webhook = Webhook {
        project,
        id: event.id,
        event: event.name,
        room_sid: event.room_sid,
        // What it asks for is read from the body, which has the whole name.
        room_name: names::one("room_name", &event.room_name).unwrap_or_default(),
        created_at: event.created_at,
        received_at: now,
        body,
        attempts: 0,
    };
    let is_new = app.store.receive_webhook(&webhook).await.inspect_err(|_| count("failed"))?;
    count(if is_new { "received" } else { "duplicate" });
    if is_new {
        app.inbox.wake();
    }
    Ok(StatusCode::OK)
}

fn count(outcome: &'static str) {
    metrics::counter!("echosphere_webhooks_total", "outcome" => outcome).increment(1);
}
