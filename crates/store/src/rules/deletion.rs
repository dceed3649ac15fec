//! Deletion: how it is requested, scheduled and held, what it reaches, and how it ends.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::RecordingPrefix;
use echosphere_domain::lifecycle::{Deletion, Event};
use echosphere_domain::recording::Recording;
use echosphere_domain::time::WallTime;

use super::{inbox, lifecycle, sessions, tasks};
use crate::rows::{Rows, Scope, Tombstone};
use crate::{Erasure, Error, Gone, Lease, Result, SessionIds, TaskKind};

/// What became of the request to delete a recording.
pub(crate) enum Requested {
    /// The project has no such recording.
    Unknown,
    /// It is deleted already.
    Done,
    /// It is under legal hold, or has a session of one that is.
    Held(Recording),
    /// Its deletion has begun, now or before.
    Begun(Recording),
}

/// Steps a recording by an event that may begin its deletion, which then reaches whatever else holds the same sessions. False when a
/// legal hold is in the way.
async fn step(rows: &mut dyn Rows, recording: &mut Recording, event: Event, now: WallTime) -> Result<bool> {
    let is_new = !recording.state.deletion.is_requested();
    let is_shared = is_new && rows.shares_with_held(recording.id).await?;
    let is_held = is_shared || (is_new && recording.state.is_held);
    if is_held && matches!(event, Event::DeletionRequested | Event::TimePassed) {
        return Ok(false);
    }
    // What another recording's hold keeps is not due however late it is. When that hold is lifted, it is found to be.
    let now = if is_shared { WallTime::from_nanos(i64::MIN) } else { now };
    lifecycle::step(rows, recording, event, now).await?;
    if recording.state.deletion.is_requested() && (is_new || event == Event::DeletionRequested) {
        inbox::close(rows, recording.id).await?;
        sessions::reach_copies(rows, recording.id, now).await?;
    }
    Ok(true)
}

/// Begins the deletion of a project's recording. One that has begun is begun again: its effects are repeated.
pub(crate) async fn request(
    rows: &mut dyn Rows,
    project: &ProjectId,
    id: RecordingId,
    now: WallTime,
) -> Result<Requested> {
    let Some(mut recording) = rows.recording_in(project, id).await? else { return Ok(Requested::Unknown) };
    if recording.state.deletion == Deletion::Done {
        return Ok(Requested::Done);
    }
    let has_begun = step(rows, &mut recording, Event::DeletionRequested, now).await?;
    Ok(if has_begun { Requested::Begun(recording) } else { Requested::Held(recording) })
}

/// Steps a project's recording by an event of its schedule or its legal hold; `None` when there is none, or it is deleted already.
pub(crate) async fn change(
    rows: &mut dyn Rows,
    project: &ProjectId,
    id: RecordingId,
    event: Event,
    now: WallTime,
) -> Result<Option<Recording>> {
    let found = rows.recording_in(project, id).await?;
    let Some(mut recording) = found.filter(|found| found.state.deletion != Deletion::Done) else { return Ok(None) };
    step(rows, &mut recording, event, now).await?;
    Ok(Some(recording))
}

/// Begins the scheduled deletions that are due; returns how many.
pub(crate) async fn time_passed(rows: &mut dyn Rows, now: WallTime) -> Result<u64> {
    let mut begun = 0;
    for id in rows.deletions_due(now).await? {
        let mut recording = rows.recording(id).await?;
        // One that was begun before in this loop may have reached it.
        let is_scheduled = recording.state.deletion == Deletion::Scheduled;
        begun += u64::from(is_scheduled && step(rows, &mut recording, Event::TimePassed, now).await?);
    }
    Ok(begun)
}

/// From now on nothing is kept of a session; of an excluded one, nothing of its whole room. Returns whether there was anything.
pub(crate) async fn refuse(
    rows: &mut dyn Rows,
    project: &ProjectId,
    session: &SessionIds,
    reason: Gone,
    now: WallTime,
) -> Result<bool> {
    if reason != Gone::Excluded {
        return refuse_one(rows, project, session, reason, now).await;
    }
    // The rule is about rooms: a job's room is looked up, and a room's jobs, as far as any row has both.
    let mut session = session.clone();
    if session.room_sid.is_none() {
        session.room_sid = rows.rooms_of_job(project, session.job_id.as_deref()).await?.into_iter().next();
    }
    let mut found = refuse_one(rows, project, &session, reason, now).await?;
    for job in rows.jobs_of_room(project, session.room_sid.as_deref()).await? {
        if session.job_id.as_ref() != Some(&job) {
            let other = SessionIds { job_id: Some(job), room_sid: session.room_sid.clone(), started_at: None };
            found |= refuse_one(rows, project, &other, reason, now).await?;
        }
    }
    Ok(found)
}

async fn refuse_one(
    rows: &mut dyn Rows,
    project: &ProjectId,
    session: &SessionIds,
    reason: Gone,
    now: WallTime,
) -> Result<bool> {
    let is_of_room = reason == Gone::Excluded && session.room_sid.is_some();
    let scope = if is_of_room { Scope::Room } else { Scope::Session };
    let tombstone = Tombstone { project, recording: None, session, scope, reason };
    let tombstone = match rows.find_tombstone(&tombstone).await? {
        Some(known) => known,
        None => rows.insert_tombstone(&tombstone, now).await?,
    };
    let (mut found, mut is_kept) = (false, false);
    for recording in rows.recordings_of_session(project, session, scope).await? {
        let mut recording = rows.recording(recording).await?;
        let has_begun = step(rows, &mut recording, Event::DeletionRequested, now).await?;
        (found, is_kept) = (found || has_begun, is_kept || !has_begun);
    }
    let (is_withdrawn, is_kept_by_room) = sessions::withdraw_of(rows, project, session, scope, now).await?;
    (found, is_kept) = (found || is_withdrawn, is_kept || is_kept_by_room);
    let what = Erasure::Refused(tombstone);
    // What else there is of a session that is under legal hold stays with it.
    if !is_kept && rows.has_kept(what).await? {
        tasks::queue(rows, TaskKind::Erase, what.payload(), now).await?;
        found = true;
    }
    Ok(found)
}

/// Erases all rows of what was deleted.
pub(crate) async fn erase_rows(rows: &mut dyn Rows, what: Erasure) -> Result<()> {
    let Erasure::Recording(id) = what else { return rows.erase(what).await };
    let recording = rows.recording(id).await?;
    if !recording.state.deletion.is_requested() {
        return Err(Error::NotFound(format!("the deletion of recording {id}")));
    }
    rows.erase(what).await?;
    rows.set_prefix(id, &RecordingPrefix::new(&recording.project, None, id)).await
}

/// Ends an erasure, and its task.
pub(crate) async fn finish(rows: &mut dyn Rows, what: Erasure, lease: &Lease, now: WallTime) -> Result<()> {
    tasks::finish(rows, lease).await?;
    if let Erasure::Recording(id) = what {
        let mut recording = rows.recording(id).await?;
        lifecycle::step(rows, &mut recording, Event::Erased, now).await?;
    }
    Ok(())
}

/// Queues the erasure of recordings whose deletion is pending without an open task; returns how many.
pub(crate) async fn resume(rows: &mut dyn Rows, now: WallTime) -> Result<u64> {
    let pending = rows.deletions_without_task().await?;
    for id in &pending {
        tasks::queue(rows, TaskKind::Erase, Erasure::Recording(*id).payload(), now).await?;
    }
    Ok(pending.len() as u64)
}
