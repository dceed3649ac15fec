//! Works off the inbox: what LiveKit's webhooks ask for is done after they were answered.

use std::time::Duration;

use echosphere_livekit::webhook;
use echosphere_store::Webhook;
use tokio::sync::Notify;

use super::auto;
use crate::app::SharedApp;
use crate::{clock, excluded, names, people};

/// How often to look for what is due when nothing wakes us.
const LOOK: Duration = Duration::from_secs(5);
/// Webhooks that are read at once.
const BATCH: u32 = 100;
/// How often it is tried to do what a webhook asks for; with the waits between, that is about ten minutes. After that asking
/// for rooms finds what it was about, if there still is such a room.
const MAX_ATTEMPTS: u32 = 9;
/// How long the id of a webhook is kept, so that it is known when it comes again.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// How often old ones are forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// The bell that wakes whoever works off the inbox.
#[derive(Debug, Default)]
pub struct Inbox {
    bell: Notify,
}

impl Inbox {
    /// Something came.
    pub fn wake(&self) {
        self.bell.notify_one();
    }
}

/// Works off the inbox until the server stops: first what an earlier process left.
pub async fn run(app: SharedApp) {
    let mut stopping = app.stopping.subscribe();
    let mut forgotten = None;
    while !app.is_stopping() {
        if forgotten.is_none_or(|at: std::time::Instant| at.elapsed() > FORGET) {
            forgotten = Some(std::time::Instant::now());
            forget(&app).await;
        }
        match app.store.due_webhooks(clock::now(), BATCH).await {
            Ok(webhooks) if !webhooks.is_empty() => {
                for webhook in webhooks {
                    work_on(&app, webhook).await;
                }
                continue;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the inbox cannot be read now"),
        }
        tokio::select! {
            () = app.inbox.bell.notified() => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn work_on(app: &SharedApp, webhook: Webhook) {
    let event = webhook::read_kept(&webhook.body);
    let told = async {
        excluded::told(app, &webhook.project, &event.room_sid, &event.room_name).await?;
        people::told(app, &webhook.project, &event).await
    };
    let outcome = match told.await {
        Ok(()) => auto::told(app, &webhook.project, &event).await,
        Err(_) => auto::Outcome::Later,
    };
    let attempts = webhook.attempts + 1;
    let noted = match outcome {
        auto::Outcome::Later if attempts < MAX_ATTEMPTS => {
            let due = clock::now().after(Duration::from_secs(1 << attempts));
            app.store.webhook_failed(&webhook.project, &webhook.id, due).await
        }
        outcome => {
            if matches!(outcome, auto::Outcome::Later) {
                tracing::error!(
                    id = webhook.id,
                    room = names::shown(&webhook.room_name),
                    "what a webhook asks for is given up"
                );
                metrics::counter!("echosphere_webhooks_given_up_total").increment(1);
            }
            app.store.webhook_done(&webhook.project, &webhook.id).await
        }
    };
    if let Err(error) = noted {
        // It stays due: doing it twice is harmless, losing it is not. The pause keeps a full disk from being asked all the time.
        tracing::warn!(%error, "what became of a webhook cannot be noted now");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn forget(app: &SharedApp) {
    if let Err(error) = app.store.forget_webhooks(clock::now().before(LIFE)).await {
        tracing::warn!(%error, "old webhooks cannot be forgotten now");
    }
    if let Err(error) = app.store.forget_people(clock::now().before(LIFE)).await {
        tracing::warn!(%error, "who was in rooms that are over cannot be forgotten now");
    }
}
