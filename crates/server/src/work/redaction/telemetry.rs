//! Telemetry, without what was told of stretches of which nothing is kept: before it is stored, and where it was stored before
//! its recording was known.

use echosphere_domain::id::{RecordingId, UploadId};
use echosphere_domain::key;
use echosphere_livekit::telemetry::{self, Redacted};
use echosphere_store::{Purpose, SessionIds, TelemetryRequest};

use super::Withheld;
use crate::app::App;
use crate::work::Error;
use crate::{clock, entropy};

/// What may be kept of a request.
pub fn redact(withheld: &Withheld, signal: &str, content_type: &str, body: &[u8]) -> Redacted {
    telemetry::redact(signal, content_type, body, &withheld.everything())
}

/// Leaves of a recording's stored telemetry what may be kept.
pub async fn redact_kept(app: &App, recording: RecordingId, withheld: &Withheld) -> Result<(), Error> {
    if withheld.is_empty() {
        return Ok(());
    }
    for request in app.store.telemetry_of_recording(recording).await? {
        redact_one(app, &request, withheld).await?;
    }
    Ok(())
}

async fn redact_one(app: &App, request: &TelemetryRequest, withheld: &Withheld) -> Result<(), Error> {
    let session = SessionIds { job_id: request.job_id.clone(), room_sid: request.room_sid.clone(), started_at: None };
    let _looked = app.fences.session().await;
    if app.store.gone(&request.project, &session).await?.is_some() {
        return Ok(());
    }
    let body = match app.objects.get_range(&request.key, 0..u64::MAX).await {
        Ok(body) => body,
        Err(echosphere_storage::Error::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let is_json = request.key.as_str().rsplit('.').next() == Some("json");
    let (content_type, extension) =
        if is_json { ("application/json", "json") } else { ("application/x-protobuf", "binpb") };
    let now = clock::now();
    let new = match redact(withheld, &request.signal, content_type, &body) {
        Redacted::Whole => return Ok(()),
        Redacted::Nothing => None,
        Redacted::Rest(rest) => {
            let job = request.job_id.as_deref().or(request.room_sid.as_deref()).unwrap_or("unknown");
            let id = UploadId::new(entropy::uuid(now));
            let key = key::telemetry(&request.project, job, &request.signal, id, extension);
            let announced = std::slice::from_ref(&key);
            app.store.announce(&request.project, None, Purpose::Telemetry, announced, now).await?;
            let length = rest.len() as u64;
            app.objects.put(&key, rest.into()).await?;
            Some((key, length))
        }
    };
    app.store.replace_telemetry(request.id, new, now).await?;
    app.objects.delete(&request.key).await?;
    app.store.swept(std::slice::from_ref(&request.key)).await?;
    Ok(())
}
