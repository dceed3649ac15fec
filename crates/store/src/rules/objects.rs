//! Objects: what may be written, what something needs, and what nothing needs any more.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::rows::{ObjectState, Rows};
use crate::{Error, Purpose, Result};

/// Announces keys that are about to be written.
pub(crate) async fn announce(
    rows: &mut dyn Rows,
    project: &ProjectId,
    recording: Option<RecordingId>,
    purpose: Purpose,
    keys: &[ObjectKey],
    now: WallTime,
) -> Result<()> {
    if let Some(recording) = recording {
        refuse_deleted(rows, recording).await?;
    }
    let state = if matches!(purpose, Purpose::Log | Purpose::Sidecar | Purpose::Deletion) {
        ObjectState::Live
    } else {
        ObjectState::Announced
    };
    rows.put_objects(project, recording, purpose, keys, state, now).await
}

/// Announces a folder in which somebody else writes for us.
pub(crate) async fn announce_folder(
    rows: &mut dyn Rows,
    project: &ProjectId,
    recording: RecordingId,
    purpose: Purpose,
    folder: &ObjectKey,
    now: WallTime,
) -> Result<()> {
    announce(rows, project, Some(recording), purpose, std::slice::from_ref(folder), now).await?;
    rows.set_folder(folder).await
}

/// The fence of a deletion: once the transaction that requested it has committed, nothing is announced for the recording.
async fn refuse_deleted(rows: &mut dyn Rows, recording: RecordingId) -> Result<()> {
    let found = rows.find_recording(recording).await?;
    let is_deleted = found.is_some_and(|found| found.state.deletion.is_requested());
    if is_deleted { Err(Error::Deleted(recording)) } else { Ok(()) }
}

/// From now on something needs the object. An object without a row was never announced: a defect of the caller.
pub(crate) async fn make_live(rows: &mut dyn Rows, key: &ObjectKey, now: WallTime) -> Result<()> {
    let is_known = rows.set_object_state(key, ObjectState::Live, now).await?;
    if is_known { Ok(()) } else { Err(Error::NotFound(format!("the announcement of object {key}"))) }
}

/// When something is condemned that is not to wait for its age: what was said by somebody who is deleted, and what exists a second time.
pub(crate) const AT_ONCE: WallTime = WallTime::from_nanos(0);

/// Nothing needs the object any more.
pub(crate) async fn condemn(rows: &mut dyn Rows, key: &ObjectKey, now: WallTime) -> Result<()> {
    rows.set_object_state(key, ObjectState::Condemned, now).await.map(|_| ())
}

/// Deletes the rows of keys whose bytes are gone, unless they became live; returns these keys.
pub(crate) async fn swept(rows: &mut dyn Rows, keys: Vec<ObjectKey>) -> Result<Vec<ObjectKey>> {
    let mut forgotten = Vec::with_capacity(keys.len());
    for key in keys {
        if rows.delete_unneeded(&key).await? {
            forgotten.push(key);
        }
    }
    Ok(forgotten)
}

/// Deletes the rows of objects whose bytes are gone, and the telemetry stored in them.
pub(crate) async fn forget(rows: &mut dyn Rows, keys: &[ObjectKey]) -> Result<()> {
    for key in keys {
        rows.delete_telemetry_in(key).await?;
        rows.delete_object(key).await?;
    }
    Ok(())
}
