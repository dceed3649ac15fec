//! Background work: tasks that follow from what was written, claims, and the ends of leases.

use echosphere_domain::id::{CaptureId, NodeId, ProjectId, RecordingId, TaskId};
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};

use crate::rows::Rows;
use crate::{Claim, Error, Failure, Lease, NewTask, Result, TaskKind};

/// Queues a task that follows from what was written, unless an open one of the same kind and payload exists.
pub(crate) async fn queue(rows: &mut dyn Rows, kind: TaskKind, payload: String, now: WallTime) -> Result<()> {
    let id = effect_id(kind, &payload, now);
    rows.insert_task(&NewTask { id, kind, payload, run_at: now }).await
}

/// Queues such a task for a capture of a recording.
pub(crate) async fn queue_for(
    rows: &mut dyn Rows,
    kind: TaskKind,
    project: &ProjectId,
    (recording, capture): (RecordingId, CaptureId),
    now: WallTime,
) -> Result<()> {
    queue(rows, kind, format!("{project}/{recording}/{capture}"), now).await
}

/// The id of such a task, made from its kind, payload and time: nothing here may use randomness.
fn effect_id(kind: TaskKind, payload: &str, now: WallTime) -> TaskId {
    let digest = Sha256::digest(format!("{}\n{payload}\n{}", kind.as_str(), now.as_nanos()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    TaskId::new(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Claims the most urgent due task of these kinds.
pub(crate) async fn claim(
    rows: &mut dyn Rows,
    kinds: &[TaskKind],
    owner: NodeId,
    now: WallTime,
    lease_until: WallTime,
) -> Result<Option<Claim>> {
    for kind in TaskKind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
        // Nobody waits for it, and it reads and writes a lot: whoever listens to what is being rendered goes first.
        if kind == TaskKind::Divide && rows.has_task(TaskKind::Render, now).await? {
            continue;
        }
        if let Some(claim) = rows.claim_task(kind, owner, now, lease_until).await? {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

/// Extends a lease that is still ours.
pub(crate) async fn prolong(rows: &mut dyn Rows, lease: &Lease, until: WallTime) -> Result<()> {
    let is_ours = rows.prolong_task(lease, until).await?;
    or_lost(is_ours, lease)
}

/// Deletes the task of a lease that is still ours; otherwise `LeaseLost`, which rolls the caller's transaction back.
pub(crate) async fn finish(rows: &mut dyn Rows, lease: &Lease) -> Result<()> {
    let is_ours = rows.delete_task(lease).await?;
    or_lost(is_ours, lease)
}

/// Gives the task of a lease that is still ours back, or gives it up.
pub(crate) async fn fail(rows: &mut dyn Rows, lease: &Lease, failure: &Failure) -> Result<()> {
    let is_ours = rows.fail_task(lease, failure).await?;
    or_lost(is_ours, lease)
}

fn or_lost(is_ours: bool, lease: &Lease) -> Result<()> {
    if is_ours { Ok(()) } else { Err(Error::LeaseLost(lease.task)) }
}
