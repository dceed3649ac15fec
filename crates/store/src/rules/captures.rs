//! Rules for captures: numbering attempts, replacing turns, superseding captures.

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::lifecycle::capture::{self, Event};
use echosphere_domain::recording::{CaptureStatus, Recording};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Turn;

use super::{masters, objects};
use crate::rows::Rows;
use crate::{Result, SessionIds};

/// The attempt of a recording's next capture.
pub(crate) async fn next_attempt(rows: &mut dyn Rows, recording: RecordingId) -> Result<u32> {
    Ok(rows.last_attempt(recording).await?.saturating_add(1))
}

/// Replaces the turns of a capture's transcript.
pub(crate) async fn replace_turns(rows: &mut dyn Rows, capture: CaptureId, turns: &[Turn]) -> Result<()> {
    rows.delete_turns(capture).await?;
    rows.insert_turns(capture, turns).await
}

/// Marks a capture of a recording as superseded, and condemns its masters since this time unless another capture needs them.
pub(crate) async fn supersede(
    rows: &mut dyn Rows,
    recording: RecordingId,
    capture: CaptureId,
    since: WallTime,
) -> Result<()> {
    let found = rows.capture(capture).await?.filter(|found| found.recording == recording);
    let Some(found) = found else { return Ok(()) };
    rows.empty_capture(capture, capture::step(found.status, Event::Superseded)).await?;
    rows.delete_turns(capture).await?;
    masters::condemn(rows, capture, since).await
}

/// Since when that counts as condemned which a recording gives up now: what somebody may be heard in who is deleted does not wait for
/// listeners who are in the middle of it.
pub(crate) async fn condemned_since(rows: &mut dyn Rows, recording: &Recording, now: WallTime) -> Result<WallTime> {
    Ok(if has_withdrawn(rows, recording).await? { objects::AT_ONCE } else { now })
}

/// Whether a recording had a session of which nothing may be kept any more.
async fn has_withdrawn(rows: &mut dyn Rows, recording: &Recording) -> Result<bool> {
    let captures = rows.captures_of(recording.id).await?;
    for given_up in captures.iter().filter(|capture| capture.status == CaptureStatus::Superseded) {
        let session = SessionIds {
            job_id: given_up.job_id.clone(),
            room_sid: recording.room_sid.clone(),
            started_at: given_up.started_at,
        };
        if rows.gone_of_upload(&recording.project, &session).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
