//! Stores one telemetry request: reads it, decides whether it may be kept, redacts it, and stores what is left.

use echosphere_domain::id::UploadId;
use echosphere_domain::key::{self, ObjectKey};
use echosphere_livekit::telemetry::{self, InflateError, Redacted, TelemetrySession};
use echosphere_store::{Gone, Purpose, SessionFacts, SessionIds, TelemetryRequest};

use super::{Content, Error, MAX_LENGTH, Request};
use crate::config::Redaction;
use crate::names;
use crate::redaction::{RedactionSpans, redact_request};
use crate::uploads::Uploads;
use crate::uploads::exclusion::Answer;

/// What a request says about its session.
async fn read(uploads: &Uploads, request: &Request) -> Result<TelemetrySession, Error> {
    let Request { content_type, is_gzip, body, .. } = request.clone();
    let read = move || match body.open() {
        Ok(source) => telemetry::read_from(&content_type, is_gzip, source, MAX_LENGTH),
        Err(error) => Err(InflateError::Unreadable(error.to_string())),
    };
    Ok(uploads.redaction.readers.run(&request.project, read).await??)
}

/// The request's body, without what must not be kept; `None` when nothing is left.
async fn redact(uploads: &Uploads, request: &Request, spans: RedactionSpans) -> Result<Option<Content>, Error> {
    if spans.is_empty() {
        return Ok(Some(request.body.clone()));
    }
    let whole = request.clone();
    let redact = move || {
        let Request { signal, content_type, is_gzip, body, .. } = &whole;
        let source = body.open().map_err(|error| InflateError::Unreadable(error.to_string()))?;
        redact_request(&spans, signal, content_type, *is_gzip, source)
    };
    Ok(match uploads.redaction.readers.run(&request.project, redact).await?? {
        Redacted::Whole => Some(request.body.clone()),
        Redacted::Rest(rest) => Some(Content::Memory(rest.into())),
        Redacted::Nothing => None,
    })
}

/// Why nothing of a request may be kept; `None` when it may.
async fn refusal(
    uploads: &Uploads,
    request: &Request,
    ids: &SessionIds,
    session: &TelemetrySession,
) -> Result<Option<Gone>, Error> {
    if session.redaction && uploads.config.redaction == Redaction::Refuse {
        return Ok(Some(Gone::Redaction));
    }
    if let Some(gone) = uploads.store.gone(&request.project, ids).await? {
        return Ok(Some(gone));
    }
    let reported = (session.room_name.as_deref(), session.room_is_sure);
    let is_excluded = uploads.exclusion.ask_of_telemetry(&request.project, ids, reported).await? == Answer::Excluded;
    Ok(is_excluded.then_some(Gone::Excluded))
}

/// The key under which a request is kept. A redacted one is no longer gzip: it was inflated for that.
fn place(id: UploadId, request: &Request, session: &TelemetrySession, is_gzip: bool) -> ObjectKey {
    let extension = match (request.content_type.contains("json"), is_gzip) {
        (true, false) => "json",
        (true, true) => "json.gz",
        (false, false) => "binpb",
        (false, true) => "binpb.gz",
    };
    let job = session.job_id.as_deref().or(session.room_sid.as_deref()).unwrap_or("unknown");
    key::telemetry(&request.project, job, &request.signal, id, extension)
}

/// Drops a request of which nothing may be kept, and deletes what an earlier attempt stored of it.
async fn drop_request(
    uploads: &Uploads,
    id: UploadId,
    request: &Request,
    session: &TelemetrySession,
) -> Result<(), Error> {
    metrics::counter!("echosphere_telemetry_refused_total").increment(1);
    let keys = [false, true].map(|is_gzip| place(id, request, session, is_gzip));
    Ok(uploads.objects.forget(&keys).await?)
}

/// Stores a request, or nothing of it if nothing may be kept.
pub(super) async fn store_request(uploads: &Uploads, id: UploadId, request: &Request) -> Result<(), Error> {
    let session = read(uploads, request).await?;
    if !session.unusable.is_empty() {
        tracing::warn!(request = %id, fields = ?session.unusable, "telemetry has ids that cannot be; they are left out");
    }
    let ids = SessionIds { job_id: session.job_id.clone(), room_sid: session.room_sid.clone(), started_at: None };
    // A deletion waits until requests that were checked before it are stored.
    let looked = uploads.objects.fences().session().await;
    if let Some(gone) = refusal(uploads, request, &ids, &session).await? {
        drop(looked);
        if gone != Gone::Deleted {
            uploads.exclusion.refuse(&request.project, &ids, gone).await?;
        }
        return drop_request(uploads, id, request, &session).await;
    }
    let (job_id, room_sid) = (session.job_id.as_deref(), session.room_sid.as_deref());
    let spans = RedactionSpans::of_session(uploads.store.as_ref(), &request.project, job_id, room_sid).await?;
    let Some(body) = redact(uploads, request, spans).await? else { return Ok(()) };
    uploads.check_disk().await.map_err(crate::error::Error::io("keep telemetry"))?;
    let now = uploads.clock.now();
    let key = place(id, request, &session, request.is_gzip && body.is_same(&request.body));
    uploads.objects.put_unowned(&request.project, Purpose::Telemetry, &key, body.to_object()).await?;
    drop(looked);
    let names_room = session.room_name.is_some();
    let row = TelemetryRequest {
        id,
        project: request.project.clone(),
        signal: request.signal.clone(),
        job_id: session.job_id.clone(),
        room_sid: session.room_sid.clone(),
        key,
        bytes: body.len() as u64,
        received_at: now,
        facts: names::kept(SessionFacts {
            room_name: session.room_name.clone(),
            agent_name: session.agent_name.clone(),
            tags: Vec::new(),
            sdk_version: session.sdk_version.clone(),
            simulated: false,
        }),
    };
    if !uploads.store.add_telemetry(&row).await? {
        return drop_request(uploads, id, request, &session).await;
    }
    if names_room {
        uploads.held.ring();
    }
    Ok(())
}
