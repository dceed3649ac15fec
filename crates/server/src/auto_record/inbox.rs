//! Processes the inbox: what LiveKit's webhooks say, and rooms that polling found.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::backoff::Backoff;
use echosphere_livekit::webhook;
use echosphere_store::{Event, What};

use super::{AutoRecord, Outcome, room_found, webhook_came};
use crate::names;

/// How often to look for what is due when nothing wakes us.
const LOOK: Duration = Duration::from_secs(5);
/// Events that are read at once.
const BATCH: u32 = 100;
/// Attempts at doing what a webhook asks for; with the pauses between them (510 s), that is about nine minutes. After that, polling
/// finds the room that it was about, if there still is one.
const MAX_ATTEMPTS: u32 = 9;
/// The pauses between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(256) };
/// How long an event's id is kept, so that it is recognized when it comes again, and how long who was in rooms is kept.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often old ones are forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Processes the inbox until the server stops: first what an earlier process left.
pub async fn run(auto: Arc<AutoRecord>) {
    let mut forgotten = None;
    let mut changed = auto.store.changes().inbox();
    while !auto.stop.is_cancelled() {
        if forgotten.is_none_or(|at: Instant| at.elapsed() > FORGET) {
            forgotten = Some(Instant::now());
            forget(&auto).await;
        }
        match auto.store.due_events(auto.clock.now(), BATCH).await {
            Ok(events) if !events.is_empty() => {
                for event in events {
                    work_on(&auto, event).await;
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the inbox cannot be read now"),
        }
        tokio::select! {
            () = changed.next() => {}
            () = auto.stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn work_on(auto: &AutoRecord, event: Event) {
    let outcome = match &event.what {
        What::Livekit { body, .. } => livekit_said(auto, &event, body).await.unwrap_or(Outcome::Later),
        What::RoomFound => {
            room_found(auto, &event.id.project, &event.room_name, &event.room_sid).await;
            // Where it was not begun, polling finds it again.
            Outcome::Done
        }
        // These are never due here: `asked_of` passes them to the owners of rooms.
        What::Asked(_) | What::DeletionAsked => Outcome::Done,
    };
    let attempts = event.attempts + 1;
    let noted = match outcome {
        Outcome::Later if attempts < MAX_ATTEMPTS => {
            let due = auto.clock.now().after(BACKOFF.after(attempts));
            auto.store.event_failed(&event.id, due).await
        }
        outcome => {
            if matches!(outcome, Outcome::Later) {
                tracing::error!(
                    id = event.id.id,
                    room = names::shown(&event.room_name),
                    "what a webhook asks for is given up"
                );
                metrics::counter!("echosphere_webhooks_given_up_total").increment(1);
            }
            auto.store.event_done(&event.id, None).await
        }
    };
    if let Err(error) = noted {
        // It stays due: doing it twice is harmless, losing it is not. The pause keeps a full disk from being asked all the time.
        tracing::warn!(%error, "what became of an event cannot be noted now");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn livekit_said(auto: &AutoRecord, event: &Event, body: &str) -> Result<Outcome, echosphere_store::Error> {
    let said = webhook::read_kept(body);
    let project = &event.id.project;
    auto.exclusion.room_named(project, &said.room_sid, &said.room_name).await?;
    auto.participants.named(project, &said).await?;
    Ok(webhook_came(auto, project, &said).await)
}

async fn forget(auto: &AutoRecord) {
    if let Err(error) = auto.store.forget_events(auto.clock.now().before(LIFE)).await {
        tracing::warn!(%error, "old events cannot be forgotten now");
    }
    if let Err(error) = auto.store.forget_people(auto.clock.now().before(LIFE)).await {
        tracing::warn!(%error, "who was in rooms that are over cannot be forgotten now");
    }
}
