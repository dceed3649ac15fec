//! Keeps a request: what it tells is read, whether anything of it may be kept is asked, and the rest is stored.

use echosphere_domain::id::UploadId;
use echosphere_domain::key::{self, ObjectKey};
use echosphere_livekit::telemetry::{self, InflateError, Redacted, Session};
use echosphere_store::{Gone, Purpose, SessionFacts, SessionIds, TelemetryRequest};

use super::{Content, Error, MAX_LENGTH, Request};
use crate::app::App;
use crate::config::Redaction;
use crate::excluded::{self, Answer};
use crate::work::redaction::{Withheld, redact_request};
use crate::{clock, names};

/// What a request tells.
async fn read(app: &App, request: &Request) -> Result<Session, Error> {
    let Request { content_type, is_gzip, body, .. } = request.clone();
    let read = move || match body.open() {
        Ok(source) => telemetry::read_from(&content_type, is_gzip, source, MAX_LENGTH),
        Err(error) => Err(InflateError::Unreadable(error.to_string())),
    };
    Ok(app.readers.run(&request.project, read).await??)
}

/// The request's body, without what must not be kept; `None` when nothing is left.
async fn redact(app: &App, request: &Request, withheld: Withheld) -> Result<Option<Content>, Error> {
    if withheld.is_empty() {
        return Ok(Some(request.body.clone()));
    }
    let whole = request.clone();
    let redact = move || {
        let Request { signal, content_type, is_gzip, body, .. } = &whole;
        let source = body.open().map_err(|error| InflateError::Unreadable(error.to_string()))?;
        redact_request(&withheld, signal, content_type, *is_gzip, source)
    };
    Ok(match app.readers.run(&request.project, redact).await?? {
        Redacted::Whole => Some(request.body.clone()),
        Redacted::Rest(rest) => Some(Content::Memory(rest.into())),
        Redacted::Nothing => None,
    })
}

/// Why nothing of a request is kept, if so.
async fn refusal(app: &App, request: &Request, ids: &SessionIds, session: &Session) -> Result<Option<Gone>, Error> {
    if session.redaction && app.config.redaction == Redaction::Refuse {
        return Ok(Some(Gone::Redaction));
    }
    if let Some(gone) = app.store.gone(&request.project, ids).await? {
        return Ok(Some(gone));
    }
    let told = (session.room_name.as_deref(), session.room_is_sure);
    let is_excluded = excluded::ask_of_telemetry(app, &request.project, ids, told).await? == Answer::Excluded;
    Ok(is_excluded.then_some(Gone::Excluded))
}

/// Where a request is kept. One of which something was taken out was inflated for that.
fn place(id: UploadId, request: &Request, session: &Session, is_gzip: bool) -> ObjectKey {
    let extension = match (request.content_type.contains("json"), is_gzip) {
        (true, false) => "json",
        (true, true) => "json.gz",
        (false, false) => "binpb",
        (false, true) => "binpb.gz",
    };
    let job = session.job_id.as_deref().or(session.room_sid.as_deref()).unwrap_or("unknown");
    key::telemetry(&request.project, job, &request.signal, id, extension)
}

/// Lets a request go of which nothing may be kept, and what an attempt before this one stored of it.
async fn let_go(app: &App, id: UploadId, request: &Request, session: &Session) -> Result<(), Error> {
    metrics::counter!("echosphere_telemetry_refused_total").increment(1);
    let keys = [false, true].map(|is_gzip| place(id, request, session, is_gzip));
    for key in &keys {
        app.objects.delete(key).await.map_err(crate::work::Error::from)?;
    }
    Ok(app.store.forget_objects(&keys).await?)
}

/// Keeps a request, or nothing of it where nothing may be kept.
pub(super) async fn keep(app: &App, id: UploadId, request: &Request) -> Result<(), Error> {
    let session = read(app, request).await?;
    if !session.unusable.is_empty() {
        tracing::warn!(request = %id, fields = ?session.unusable, "telemetry has ids that cannot be; they are left out");
    }
    let ids = SessionIds { job_id: session.job_id.clone(), room_sid: session.room_sid.clone(), started_at: None };
    // A deletion waits until what was looked at before it is kept.
    let looked = app.fences.session().await;
    if let Some(gone) = refusal(app, request, &ids, &session).await? {
        drop(looked);
        if gone != Gone::Deleted {
            excluded::refuse(app, &request.project, &ids, gone).await?;
        }
        return let_go(app, id, request, &session).await;
    }
    let (job_id, room_sid) = (session.job_id.as_deref(), session.room_sid.as_deref());
    let withheld = Withheld::of_session(app, &request.project, job_id, room_sid).await?;
    let Some(body) = redact(app, request, withheld).await? else { return Ok(()) };
    let now = clock::now();
    let key = place(id, request, &session, request.is_gzip && body.is_same(&request.body));
    app.store.announce(&request.project, None, Purpose::Telemetry, std::slice::from_ref(&key), now).await?;
    body.put(app, &key).await.map_err(crate::work::Error::from)?;
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
    if !app.store.add_telemetry(&row).await? {
        return let_go(app, id, request, &session).await;
    }
    if names_room {
        app.held.wake();
    }
    Ok(())
}
