//! Masters: how they are divided, given up and dropped.

use echosphere_domain::id::CaptureId;
use echosphere_domain::key::ObjectKey;
use echosphere_domain::master::{self, Master, Part};
use echosphere_domain::recording::{Capture, Recording};
use echosphere_domain::time::WallTime;

use super::{objects, tasks};
use crate::rows::{ObjectState, Rows};
use crate::{Divided, Error, Lease, Result, TaskKind};

/// The object that holds the body of an upload that was joined and not read yet.
pub(crate) async fn body_of(rows: &mut dyn Rows, capture: CaptureId) -> Result<ObjectKey> {
    let masters = rows.masters_of(capture).await?;
    let whole = master::of(&masters, Part::Whole).and_then(Master::own);
    whole.cloned().ok_or_else(|| Error::NotFound(format!("the body of capture {capture}")))
}

/// The objects of ours that the masters of a capture are in, or begin in.
pub(crate) async fn keys(rows: &mut dyn Rows, capture: CaptureId) -> Result<Vec<ObjectKey>> {
    let masters = rows.masters_of(capture).await?;
    let mut keys: Vec<ObjectKey> = masters.iter().filter_map(|(_, master)| master.own().cloned()).collect();
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// Condemns the objects of a capture's masters that no other capture needs.
pub(crate) async fn condemn(rows: &mut dyn Rows, capture: CaptureId, since: WallTime) -> Result<()> {
    for key in keys(rows, capture).await? {
        condemn_unless_needed(rows, &key, since).await?;
    }
    Ok(())
}

async fn condemn_unless_needed(rows: &mut dyn Rows, key: &ObjectKey, since: WallTime) -> Result<()> {
    let is_needed = rows.has_master(key).await?;
    if is_needed { Ok(()) } else { objects::condemn(rows, key, since).await }
}

/// Stores what is kept of a capture that was read: its sound, and the log of a room also where nothing was heard. What is known already
/// stays: it may have been divided meanwhile.
pub(crate) async fn note_read(rows: &mut dyn Rows, capture: &Capture, log: Option<&Master>) -> Result<()> {
    let Some(master) = capture.audio.as_ref().map(|audio| &audio.master).or(log) else { return Ok(()) };
    let known = rows.masters_of(capture.id).await?;
    if master::sound(&known).is_some() {
        return Ok(());
    }
    let part = if matches!(master, Master::Log { .. }) { Part::Whole } else { Part::Sound };
    rows.insert_master(capture.id, part, master).await
}

/// Queues a task that divides the master of a capture, if it is whole and can be divided.
pub(crate) async fn queue_divide(
    rows: &mut dyn Rows,
    recording: &Recording,
    capture: CaptureId,
    now: WallTime,
) -> Result<()> {
    if !rows.is_undivided(capture).await? {
        return Ok(());
    }
    tasks::queue_for(rows, TaskKind::Divide, &recording.project, (recording.id, capture), now).await
}

/// Queues such tasks for captures that earlier versions read; returns the last one.
pub(crate) async fn divide_all(
    rows: &mut dyn Rows,
    after: Option<CaptureId>,
    limit: u32,
    now: WallTime,
) -> Result<Option<CaptureId>> {
    let mut last = None;
    for found in rows.undivided(after, limit).await? {
        tasks::queue_for(rows, TaskKind::Divide, &found.project, (found.recording, found.capture), now).await?;
        last = Some(found.capture);
    }
    Ok(last)
}

/// Switches a capture from a whole master to its parts, and with it all captures that have the same one. False when it was divided,
/// superseded or deleted meanwhile: then the parts are condemned.
pub(crate) async fn divided(rows: &mut dyn Rows, divided: &Divided, lease: &Lease) -> Result<bool> {
    tasks::finish(rows, lease).await?;
    let parts: Vec<&ObjectKey> = divided.parts.iter().filter_map(|(_, master)| master.own()).collect();
    let capture = rows.capture(divided.capture).await?;
    // It may have become another recording's meanwhile: then its parts would not be.
    let is_in_place = capture.is_some_and(|capture| capture.recording == divided.recording);
    let is_wanted = is_in_place && rows.is_undivided(divided.capture).await?;
    let masters = rows.masters_of(divided.capture).await?;
    let whole = master::of(&masters, Part::Whole).filter(|whole| is_wanted && **whole == divided.whole);
    let Some(key) = whole.and_then(Master::own) else {
        for key in parts {
            condemn_unless_needed(rows, key, objects::AT_ONCE).await?;
        }
        return Ok(false);
    };
    for capture in rows.captures_of_whole(key).await? {
        rows.delete_masters(capture).await?;
        for (part, master) in &divided.parts {
            rows.insert_master(capture, *part, master).await?;
        }
    }
    rows.set_object_states(&divided.replaced, ObjectState::Condemned, objects::AT_ONCE).await?;
    for key in parts {
        objects::make_live(rows, key, divided.now).await?;
    }
    Ok(true)
}

/// Ends a task whose master cannot be divided: it stays whole.
pub(crate) async fn stays_whole(rows: &mut dyn Rows, capture: CaptureId, why: &str, lease: &Lease) -> Result<()> {
    tasks::finish(rows, lease).await?;
    rows.set_undivided(capture, why).await
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
