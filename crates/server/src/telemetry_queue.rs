//! OTLP requests on their way to storage.
//!
//! They are answered at once, whatever else is going on: a request that cannot be stored within a moment waits in memory and
//! is tried again, and when too much waits the oldest goes. Logs may be lost in a crash; a recording that is not sent because
//! its logs were refused would be lost for sure.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use echosphere_domain::id::{ProjectId, UploadId};
use echosphere_domain::key::{self, ObjectKey};
use echosphere_livekit::telemetry::{self, Redacted};
use echosphere_store::{Gone, Purpose, SessionFacts, SessionIds, TelemetryRequest};

use crate::app::{App, SharedApp};
use crate::config::Redaction;
use crate::excluded::{self, Answer};
use crate::fences::Looking;
use crate::work::redaction::{Withheld, redact_request};
use crate::{clock, entropy, names};

/// What may wait in memory, in bytes.
const MAX_WAITING: usize = 32 << 20;
/// How long the sender waits for durability before the request waits instead.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often what waits is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// An authenticated request, inflated.
#[derive(Debug, Clone)]
pub struct Request {
    /// Whose token it came with.
    pub project: ProjectId,
    /// `traces`, `logs` or `metrics`.
    pub signal: String,
    /// Its Content-Type.
    pub content_type: String,
    /// Its body.
    pub body: Bytes,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<(UploadId, Request)>,
    bytes: usize,
}

/// What waits to be stored.
#[derive(Default)]
pub struct TelemetryQueue {
    waiting: Mutex<Waiting>,
}

impl TelemetryQueue {
    /// Stores a request, or lets it wait. Returns within moments.
    pub async fn take(&self, app: &SharedApp, request: Request) {
        let id = UploadId::new(entropy::uuid(clock::now()));
        let stored = tokio::time::timeout(PATIENCE, store(app, id, &request)).await;
        match stored {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "telemetry cannot be stored now; it waits");
                self.push(id, request);
            }
            Err(_) => {
                tracing::warn!("storing telemetry takes long; it waits");
                self.push(id, request);
            }
        }
    }

    fn push(&self, id: UploadId, request: Request) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.bytes += request.body.len();
        waiting.requests.push_back((id, request));
        while waiting.bytes > MAX_WAITING {
            let Some((_, oldest)) = waiting.requests.pop_front() else { break };
            waiting.bytes -= oldest.body.len();
            metrics::counter!("echosphere_telemetry_lost_total").increment(1);
            tracing::error!(signal = oldest.signal, bytes = oldest.body.len(), "telemetry is lost: too much waits");
        }
    }

    fn pop(&self) -> Option<(UploadId, Request)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.requests.pop_front()?;
        waiting.bytes -= next.1.body.len();
        Some(next)
    }
}

/// Tries what waits, until the server stops.
pub async fn run(app: SharedApp) {
    let mut stopping = app.stopping.subscribe();
    loop {
        tokio::select! {
            _ = stopping.changed() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
        while let Some((id, request)) = app.telemetry.pop() {
            if let Err(error) = store(&app, id, &request).await {
                tracing::warn!(%error, "telemetry still cannot be stored");
                app.telemetry.push(id, request);
                break;
            }
        }
        if app.is_stopping() {
            return;
        }
    }
}

/// Why nothing of a request is kept, if so.
async fn refusal(
    app: &App,
    project: &ProjectId,
    ids: &SessionIds,
    session: &telemetry::Session,
) -> Result<Option<Gone>, echosphere_store::Error> {
    if session.redaction && app.config.redaction == Redaction::Refuse {
        return Ok(Some(Gone::Redaction));
    }
    if let Some(gone) = app.store.gone(project, ids).await? {
        return Ok(Some(gone));
    }
    let told = (session.room_name.as_deref(), session.room_is_sure);
    let is_excluded = excluded::ask_of_telemetry(app, project, ids, told).await? == Answer::Excluded;
    Ok(is_excluded.then_some(Gone::Excluded))
}

/// Lets a request go of which nothing may be kept, and what was stored of it before the sender's patience was over.
async fn let_go(app: &App, key: &ObjectKey) -> Result<(), crate::work::Error> {
    metrics::counter!("echosphere_telemetry_refused_total").increment(1);
    app.objects.delete(key).await?;
    Ok(app.store.forget_objects(std::slice::from_ref(key)).await?)
}

async fn store(app: &App, id: UploadId, request: &Request) -> Result<(), crate::work::Error> {
    let session = telemetry::read(&request.content_type, &request.body);
    if !session.unusable.is_empty() {
        tracing::warn!(request = %id, fields = ?session.unusable, "telemetry has ids that cannot be; they are left out");
    }
    let ids = SessionIds { job_id: session.job_id.clone(), room_sid: session.room_sid.clone(), started_at: None };
    let extension = if request.content_type.contains("json") { "json" } else { "binpb" };
    let job = session.job_id.as_deref().or(session.room_sid.as_deref()).unwrap_or("unknown");
    let key = key::telemetry(&request.project, job, &request.signal, id, extension);
    // A deletion waits until what was looked at before it is kept.
    let looked = app.fences.session().await;
    if let Some(gone) = refusal(app, &request.project, &ids, &session).await? {
        drop(looked);
        if gone != Gone::Deleted {
            excluded::refuse(app, &request.project, &ids, gone).await?;
        }
        return let_go(app, &key).await;
    }
    let (job_id, room_sid) = (session.job_id.as_deref(), session.room_sid.as_deref());
    let withheld = Withheld::of_session(app, &request.project, job_id, room_sid).await?;
    let body = match redact_request(&withheld, &request.signal, &request.content_type, &request.body) {
        Redacted::Whole => request.body.clone(),
        Redacted::Rest(rest) => rest.into(),
        Redacted::Nothing => return Ok(()),
    };
    let length = body.len() as u64;
    let now = clock::now();
    app.store.announce(&request.project, None, Purpose::Telemetry, std::slice::from_ref(&key), now).await?;
    put(app, &key, body, &looked).await?;
    let names_room = session.room_name.is_some();
    let row = TelemetryRequest {
        id,
        project: request.project.clone(),
        signal: request.signal.clone(),
        job_id: session.job_id,
        room_sid: session.room_sid,
        key,
        bytes: length,
        received_at: now,
        facts: names::kept(SessionFacts {
            room_name: session.room_name,
            agent_name: session.agent_name,
            tags: Vec::new(),
            sdk_version: session.sdk_version,
            simulated: false,
        }),
    };
    if !app.store.add_telemetry(&row).await? {
        return let_go(app, &row.key).await;
    }
    if names_room {
        app.held.wake();
    }
    Ok(())
}

/// Stores the bytes. Goes on when the caller's patience is over, and a deletion waits for it all the same.
async fn put(app: &App, key: &ObjectKey, body: Bytes, looked: &Looking) -> Result<(), crate::work::Error> {
    let (looked, objects, key) = (Arc::clone(looked), Arc::clone(&app.objects), key.clone());
    let put = tokio::spawn(async move {
        let put = objects.put(&key, body).await;
        drop(looked);
        put
    });
    match put.await {
        Ok(put) => Ok(put?),
        Err(error) => Err(crate::work::Error::Io { action: "store telemetry", source: std::io::Error::other(error) }),
    }
}
