//! Rules for captures: numbering attempts, finding bodies, superseding captures, giving up capture logs.

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::lifecycle::capture::{self, Event};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Turn;

use super::objects;
use crate::rows::Rows;
use crate::{Error, Result};

/// The attempt of a recording's next capture.
pub(crate) async fn next_attempt(rows: &mut dyn Rows, recording: RecordingId) -> Result<u32> {
    Ok(rows.last_attempt(recording).await?.saturating_add(1))
}

/// The object that holds the body of a capture's upload.
pub(crate) async fn body_of(rows: &mut dyn Rows, capture: CaptureId) -> Result<ObjectKey> {
    let body = rows.body(capture).await?;
    body.ok_or_else(|| Error::NotFound(format!("the body of capture {capture}")))
}

/// Replaces the turns of a capture's transcript.
pub(crate) async fn replace_turns(rows: &mut dyn Rows, capture: CaptureId, turns: &[Turn]) -> Result<()> {
    rows.delete_turns(capture).await?;
    rows.insert_turns(capture, turns).await
}

/// Marks a capture of a recording as superseded, and condemns its body unless another capture needs it.
pub(crate) async fn supersede(
    rows: &mut dyn Rows,
    recording: RecordingId,
    capture: CaptureId,
    now: WallTime,
) -> Result<()> {
    let found = rows.capture(capture).await?.filter(|found| found.recording == recording);
    let Some(found) = found else { return Ok(()) };
    rows.empty_capture(capture, capture::step(found.status, Event::Superseded)).await?;
    rows.delete_turns(capture).await?;
    let Some(body) = rows.body(capture).await? else { return Ok(()) };
    let is_needed = rows.is_body_needed(&body).await?;
    if is_needed { Ok(()) } else { objects::condemn(rows, &body, now).await }
}

/// Gives up the capture logs of completed recordings that ended before a time and are rendered; returns how many.
pub(crate) async fn give_up_logs(rows: &mut dyn Rows, ended_before: WallTime, now: WallTime) -> Result<u64> {
    let logs = rows.logs_to_give_up(ended_before).await?;
    for (capture, recording) in &logs {
        rows.set_log_gone(*capture).await?;
        rows.set_tracks(*recording, &[]).await?;
        rows.condemn_logs(*recording, now).await?;
    }
    Ok(logs.len() as u64)
}
