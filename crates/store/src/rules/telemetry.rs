//! Stores telemetry unless its session is gone, and fills in what it reports about recordings.

use echosphere_domain::id::UploadId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use super::objects;
use crate::rows::Rows;
use crate::{Result, SessionIds, TelemetryRequest};

/// Stores a request; false when nothing may be kept of its session (any more).
pub(crate) async fn add(rows: &mut dyn Rows, request: &TelemetryRequest) -> Result<bool> {
    let session = SessionIds { job_id: request.job_id.clone(), room_sid: request.room_sid.clone(), started_at: None };
    if rows.gone_of(&request.project, &session).await?.is_some() {
        return Ok(false);
    }
    rows.insert_telemetry(request).await?;
    objects::make_live(rows, &request.key, request.received_at).await?;
    for recording in rows.recordings_of_request(request).await? {
        rows.fill_facts(recording, &request.facts).await?;
    }
    Ok(true)
}

/// Replaces the bytes of a request; without new ones, it goes.
pub(crate) async fn replace(
    rows: &mut dyn Rows,
    id: UploadId,
    new: Option<(ObjectKey, u64)>,
    now: WallTime,
) -> Result<()> {
    let Some(old) = rows.telemetry_object(id).await? else { return Ok(()) };
    objects::condemn(rows, &old, now).await?;
    match new {
        Some((key, bytes)) => {
            objects::make_live(rows, &key, now).await?;
            rows.set_telemetry_object(id, &key, bytes).await
        }
        None => rows.delete_telemetry(id).await,
    }
}
