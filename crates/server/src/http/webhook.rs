//! `POST /livekit/webhook`: receives LiveKit's webhooks about its rooms, and stores them for `auto_record`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use echosphere_livekit::webhook::{self, Received};
use echosphere_store::{Applied, Event, EventId, Origin, What};

use super::problem::Problem;
use crate::http::state::SharedApp;
use crate::uploads::receive::{self, Refusal};
use crate::{clock, names};

/// The largest webhook, in bytes. LiveKit's have metadata and attributes of a room and a participant, each 64 KiB at most by
/// default.
const LARGEST: usize = 1 << 20;
/// The longest id, event name or room id that is accepted, in bytes.
const LONGEST: usize = 1_024;

/// Accepts a webhook of LiveKit's. It is durable when it is answered; what it asks for is done after that, and once, however
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
pub async fn receive(State(app): State<SharedApp>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = clock::now();
    // The body is read only if a key of ours has signed the token.
    webhook::check(&app.tokens, authorization, now).map_err(refused)?;
    let body = match receive::collect(body, LARGEST).await {
        Ok(body) => body,
        Err(Refusal::TooLarge { limit }) => {
            count("refused");
            return Err(Problem::too_large(format!("a webhook has {limit} bytes at most")));
        }
        Err(_) => return Err(Problem::bad_body("the body broke off")),
    };
    let received = webhook::receive(&app.tokens, authorization, &body, now).map_err(refused)?;
    let Received { project, event, body } = received;
    if [&event.id, &event.name, &event.room_sid].into_iter().any(|text| text.len() > LONGEST) {
        tracing::warn!(
            event = names::shown(&event.name),
            "a webhook was refused: its id, event or room id is too long"
        );
        count("refused");
        return Err(Problem::too_large(format!("id, event and room id of a webhook have {LONGEST} bytes at most")));
    }
    if project == *app.config.recording_project() {
        app.auto_record.last_webhook.came();
    } else if app.auto_record.has_rules() {
        let recording_project = app.config.recording_project();
        tracing::debug!(%project, %recording_project, "a webhook of another project than recorder.project begins no recording");
        count("other_project");
    }
    tracing::debug!(event = event.name, room = names::shown(&event.room_name), id = event.id, "a webhook came");
    let is_excluded = app.uploads.exclusion.is_excluded(&project, &event.room_name);
    if is_excluded {
        // What is known of the room is erased; the event is stored without the room's name and without its body, as nothing needs
        // them.
        let applied = app.uploads.exclusion.room_named(&project, &event.room_sid, &event.room_name).await;
        applied.inspect_err(|_| count("failed"))?;
    }
    let id = EventId { project, origin: Origin::Webhook, id: event.id };
    let what = What::Livekit { event: event.name, body: if is_excluded { String::new() } else { body } };
    let happened = Event {
        room_sid: event.room_sid,
        // It may be shortened: what the webhook asks for is read from the body, which has the whole name.
        room_name: names::one("room_name", &event.room_name).filter(|_| !is_excluded).unwrap_or_default(),
        created_at: event.created_at,
        ..Event::received(id, what, now)
    };
    let applied = app.store.apply(&happened, now).await.inspect_err(|_| count("failed"))?;
    count(if applied == Applied::Known { "duplicate" } else { "received" });
    Ok(StatusCode::OK)
}

fn refused(error: webhook::Error) -> Problem {
    tracing::warn!(%error, "a webhook was refused");
    count("refused");
    Problem::unauthorized(error.public_message())
}

fn count(outcome: &'static str) {
    metrics::counter!("echosphere_webhooks_total", "outcome" => outcome).increment(1);
}
