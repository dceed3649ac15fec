//! Redacts telemetry: removes what it says about stretches that must not be kept, before it is stored, or later where it was stored
//! before its recording was known.

use std::io::Read;

use echosphere_domain::id::{RecordingId, UploadId};
use echosphere_domain::key;
use echosphere_livekit::telemetry::{self, InflateError, Redacted};
use echosphere_store::{Purpose, SessionIds, TelemetryRequest};

use super::{Redaction, RedactionSpans};
use crate::entropy;
use crate::error::Error;

/// The largest request that is redacted, in bytes when inflated: it is parsed in memory. Of a larger one nothing is kept.
const LARGEST: usize = 8 << 20;

/// What may be kept of a request. Blocking.
pub fn redact(
    spans: &RedactionSpans,
    signal: &str,
    content_type: &str,
    is_gzip: bool,
    body: impl Read,
) -> Result<Redacted, InflateError> {
    let body = match telemetry::read_whole(is_gzip, body, LARGEST) {
        Err(InflateError::TooLarge { .. }) => {
            tracing::warn!(signal, "telemetry of a session of which not all may be kept is too large to be read");
            return Ok(Redacted::Nothing);
        }
        other => other?,
    };
    Ok(telemetry::redact(signal, content_type, &body, &spans.everything()))
}

impl Redaction {
    /// Removes from a recording's stored telemetry what must not be kept.
    pub async fn redact_kept(&self, recording: RecordingId, spans: &RedactionSpans) -> Result<(), Error> {
        if spans.is_empty() {
            return Ok(());
        }
        for request in self.store.telemetry_of_recording(recording).await? {
            self.redact_one(&request, spans).await?;
        }
        Ok(())
    }

    async fn redact_one(&self, request: &TelemetryRequest, spans: &RedactionSpans) -> Result<(), Error> {
        let session =
            SessionIds { job_id: request.job_id.clone(), room_sid: request.room_sid.clone(), started_at: None };
        let _looked = self.objects.fences().session().await;
        if self.store.gone(&request.project, &session).await?.is_some() {
            return Ok(());
        }
        let Some(body) = self.objects.find(&request.key).await? else { return Ok(()) };
        let (name, is_gzip) = match request.key.as_str().strip_suffix(".gz") {
            Some(name) => (name, true),
            None => (request.key.as_str(), false),
        };
        let is_json = name.rsplit('.').next() == Some("json");
        let (content_type, extension) =
            if is_json { ("application/json", "json") } else { ("application/x-protobuf", "binpb") };
        let now = self.clock.now();
        let (spans, signal) = (spans.clone(), request.signal.clone());
        let redact = move || redact(&spans, &signal, content_type, is_gzip, body.as_ref());
        let redacted = self.readers.run(&request.project, redact).await;
        let redacted = redacted.map_err(|error| Error::io("read telemetry")(std::io::Error::other(error)))?;
        let new = match redacted {
            Ok(Redacted::Whole) => return Ok(()),
            Ok(Redacted::Nothing) | Err(_) => None,
            Ok(Redacted::Rest(rest)) => {
                let job = request.job_id.as_deref().or(request.room_sid.as_deref()).unwrap_or("unknown");
                let id = UploadId::new(entropy::uuid(now));
                let key = key::telemetry(&request.project, job, &request.signal, id, extension);
                let length = rest.len() as u64;
                self.objects.put_unowned(&request.project, Purpose::Telemetry, &key, rest).await?;
                Some((key, length))
            }
        };
        self.store.replace_telemetry(request.id, new, now).await?;
        self.objects.delete(&request.key).await?;
        self.store.swept(std::slice::from_ref(&request.key)).await?;
        Ok(())
    }
}
