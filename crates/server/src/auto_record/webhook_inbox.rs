//! Processes the inbox of LiveKit's webhooks: what they ask for is done after they were answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use echosphere_domain::backoff::Backoff;
use echosphere_livekit::webhook;
use echosphere_store::Webhook;

use super::{AutoRecord, Outcome, webhook_came};
use crate::names;

/// How often to look for what is due when nothing wakes us.
const LOOK: Duration = Duration::from_secs(5);
/// Webhooks that are read at once.
const BATCH: u32 = 100;
/// Attempts at doing what a webhook asks for; with the pauses between them (510 s), that is about nine minutes. After that, polling
/// finds the room that it was about, if there still is one.
const MAX_ATTEMPTS: u32 = 9;
/// The pauses between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(2), longest: Duration::from_secs(256) };
/// How long a webhook's id is kept, so that it is recognized when it comes again, and how long who was in rooms is kept.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often old ones are forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Processes the inbox until the server stops: first what an earlier process left.
pub async fn run(auto: Arc<AutoRecord>) {
    let mut forgotten = None;
    while !auto.stop.is_cancelled() {
        if forgotten.is_none_or(|at: Instant| at.elapsed() > FORGET) {
            forgotten = Some(Instant::now());
            forget(&auto).await;
        }
        let rung = auto.inbox.rung();
        match auto.store.due_webhooks(auto.clock.now(), BATCH).await {
            Ok(webhooks) if !webhooks.is_empty() => {
                for webhook in webhooks {
                    work_on(&auto, webhook).await;
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the inbox cannot be read now"),
        }
        tokio::select! {
            () = rung => {}
            () = auto.stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn work_on(auto: &AutoRecord, webhook: Webhook) {
    let event = webhook::read_kept(&webhook.body);
    let applied = async {
        auto.exclusion.room_named(&webhook.project, &event.room_sid, &event.room_name).await?;
        auto.participants.named(&webhook.project, &event).await
    };
    let outcome = match applied.await {
        Ok(()) => webhook_came(auto, &webhook.project, &event).await,
        Err(_) => Outcome::Later,
    };
    let attempts = webhook.attempts + 1;
    let noted = match outcome {
        Outcome::Later if attempts < MAX_ATTEMPTS => {
            let due = auto.clock.now().after(BACKOFF.after(attempts));
            auto.store.webhook_failed(&webhook.project, &webhook.id, due).await
        }
        outcome => {
            if matches!(outcome, Outcome::Later) {
                tracing::error!(
                    id = webhook.id,
                    room = names::shown(&webhook.room_name),
                    "what a webhook asks for is given up"
                );
                metrics::counter!("echosphere_webhooks_given_up_total").increment(1);
            }
            auto.store.webhook_done(&webhook.project, &webhook.id).await
        }
    };
    if let Err(error) = noted {
        // It stays due: doing it twice is harmless, losing it is not. The pause keeps a full disk from being asked all the time.
        tracing::warn!(%error, "what became of a webhook cannot be noted now");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn forget(auto: &AutoRecord) {
    if let Err(error) = auto.store.forget_webhooks(auto.clock.now().before(LIFE)).await {
        tracing::warn!(%error, "old webhooks cannot be forgotten now");
    }
    if let Err(error) = auto.store.forget_people(auto.clock.now().before(LIFE)).await {
        tracing::warn!(%error, "who was in rooms that are over cannot be forgotten now");
    }
}
