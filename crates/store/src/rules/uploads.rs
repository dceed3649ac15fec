//! Session uploads: the states that they go through.

use echosphere_domain::id::{TaskId, UploadId};
use echosphere_domain::time::WallTime;

use super::{masters, objects};
use crate::rows::Rows;
use crate::{NewTask, Result, Sealed, TaskKind, UploadState};

/// Whether an upload is in one of these states.
async fn is_in(rows: &mut dyn Rows, id: UploadId, states: &[UploadState]) -> Result<bool> {
    Ok(rows.find_upload(id).await?.is_some_and(|upload| states.contains(&upload.state)))
}

async fn queue_ingest(rows: &mut dyn Rows, id: UploadId, task: TaskId, now: WallTime) -> Result<()> {
    rows.insert_task(&NewTask { id: task, kind: TaskKind::Ingest, payload: id.to_string(), run_at: now }).await
}

/// Acknowledges a durable body. Only an upload that was arriving changes.
pub(crate) async fn seal(rows: &mut dyn Rows, id: UploadId, sealed: Sealed, task: TaskId, now: WallTime) -> Result<()> {
    if !is_in(rows, id, &[UploadState::Receiving]).await? {
        return Ok(());
    }
    rows.set_sealed(id, sealed).await?;
    rows.set_upload_state(id, UploadState::Received, None).await?;
    queue_ingest(rows, id, task, now).await
}

/// Deletes the row of an upload of which nothing was kept.
pub(crate) async fn abandon(rows: &mut dyn Rows, id: UploadId) -> Result<()> {
    let is_arriving = is_in(rows, id, &[UploadState::Receiving]).await?;
    if is_arriving { rows.delete_upload(id).await } else { Ok(()) }
}

/// Ends an upload that brings nothing new.
pub(crate) async fn drop_duplicate(rows: &mut dyn Rows, id: UploadId, now: WallTime) -> Result<()> {
    if let Some(capture) = rows.capture_of_upload(id).await? {
        let body = masters::body_of(rows, capture.id).await?;
        objects::condemn(rows, &body, now).await?;
        rows.delete_masters(capture.id).await?;
        rows.delete_turns(capture.id).await?;
        rows.delete_capture(capture.id).await?;
    }
    rows.set_upload_state(id, UploadState::Duplicate, None).await
}

/// Ends an upload that cannot be read.
pub(crate) async fn quarantine(rows: &mut dyn Rows, id: UploadId, reason: &str) -> Result<()> {
    rows.set_upload_state(id, UploadState::Quarantined, Some(reason)).await
}

/// Makes an upload that waits to be read wait for the name of its room.
pub(crate) async fn hold(rows: &mut dyn Rows, id: UploadId) -> Result<()> {
    if !is_in(rows, id, &[UploadState::Received]).await? {
        return Ok(());
    }
    rows.set_upload_state(id, UploadState::Held, None).await
}

/// Has an upload that is held or in quarantine read (again); false when it is neither.
pub(crate) async fn release(
    rows: &mut dyn Rows,
    id: UploadId,
    released: bool,
    task: TaskId,
    now: WallTime,
) -> Result<bool> {
    if !is_in(rows, id, &[UploadState::Held, UploadState::Quarantined]).await? {
        return Ok(false);
    }
    rows.set_upload_state(id, UploadState::Received, None).await?;
    if released {
        rows.set_released(id).await?;
    }
    queue_ingest(rows, id, task, now).await?;
    Ok(true)
}

/// Deletes the row of an upload, unless it became a capture.
pub(crate) async fn forget(rows: &mut dyn Rows, id: UploadId) -> Result<()> {
    let is_capture = rows.capture_of_upload(id).await?.is_some();
    if is_capture { Ok(()) } else { rows.delete_upload(id).await }
}
