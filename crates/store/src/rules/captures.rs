//! Rules for captures: numbering attempts, replacing turns, superseding captures.

use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::lifecycle::capture::{self, Event};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Turn;

use super::masters;
use crate::Result;
use crate::rows::Rows;

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
