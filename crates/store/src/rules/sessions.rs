//! Sessions in recordings of rooms: gives them recordings of their own, and extends deletions to all copies.

use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::lifecycle::Event;
use echosphere_domain::recording::{Capture, CaptureStatus, Recording, Source};
use echosphere_domain::time::WallTime;

use super::{captures, lifecycle, masters, objects, segments, tasks};
use crate::rows::{Rows, Scope, SessionInRoom};
use crate::{Error, Lease, Own, OwnRecording, Result, SessionFacts, SessionIds, SplitSession, TaskKind};

async fn queue_compose(rows: &mut dyn Rows, recording: &Recording, now: WallTime) -> Result<()> {
    tasks::queue(rows, TaskKind::Compose, format!("{}/{}", recording.project, recording.id), now).await
}

/// Queues a `TaskKind::Separate` task for each session in the recording of a room.
pub(crate) async fn place(rows: &mut dyn Rows, room: &Recording, now: WallTime) -> Result<()> {
    for capture in rows.sessions_in(room.id).await? {
        tasks::queue_for(rows, TaskKind::Separate, &room.project, (room.id, capture), now).await?;
    }
    Ok(())
}

/// Queues such tasks for sessions of which it is not known which recordings hold them; returns the last one.
pub(crate) async fn place_unplaced(
    rows: &mut dyn Rows,
    after: Option<CaptureId>,
    limit: u32,
    now: WallTime,
) -> Result<Option<CaptureId>> {
    let mut last = None;
    for found in rows.unplaced(after, limit).await? {
        tasks::queue_for(rows, TaskKind::Separate, &found.project, (found.recording, found.capture), now).await?;
        last = Some(found.capture);
    }
    Ok(last)
}

/// Ends a task that placed a session.
pub(crate) async fn placed(rows: &mut dyn Rows, capture: CaptureId, lease: &Lease) -> Result<()> {
    tasks::finish(rows, lease).await?;
    rows.set_placed(capture).await
}

/// Extends a deletion to whatever else holds the same sessions.
pub(crate) async fn reach_copies(rows: &mut dyn Rows, deleted: RecordingId, now: WallTime) -> Result<()> {
    for copy in rows.copies_of(deleted).await? {
        let mut copy = rows.recording(copy).await?;
        lifecycle::step(rows, &mut copy, Event::DeletionRequested, now).await?;
    }
    for held in rows.originals_of(deleted).await? {
        let room = rows.recording(held.room).await?;
        if !room.state.deletion.is_requested() {
            withdraw(rows, &room, held.capture, deleted, now).await?;
        }
    }
    Ok(())
}

/// Makes recordings of rooms give up what they hold of a refused session, or of all sessions of its room. Returns whether any did, and
/// whether any keeps it because it is under legal hold.
pub(crate) async fn withdraw_of(
    rows: &mut dyn Rows,
    project: &ProjectId,
    session: &SessionIds,
    scope: Scope,
    now: WallTime,
) -> Result<(bool, bool)> {
    let (mut is_withdrawn, mut is_kept) = (false, false);
    for SessionInRoom { room, capture } in rows.sessions_in_rooms(project, session, scope).await? {
        let room = rows.recording(room).await?;
        if room.state.is_held {
            is_kept = true;
            continue;
        }
        captures::supersede(rows, room.id, capture, objects::AT_ONCE).await?;
        queue_compose(rows, &room, now).await?;
        is_withdrawn = true;
    }
    Ok((is_withdrawn, is_kept))
}

/// Makes a room's recording give a session up. The session's masters then belong to the deleted recording.
async fn withdraw(
    rows: &mut dyn Rows,
    room: &Recording,
    capture: CaptureId,
    deleted: RecordingId,
    now: WallTime,
) -> Result<()> {
    for key in masters::keys(rows, capture).await? {
        rows.give_object(&key, Some(room.id), deleted).await?;
    }
    captures::supersede(rows, room.id, capture, objects::AT_ONCE).await?;
    queue_compose(rows, room, now).await
}

/// Finds or makes a session's own recording, and the capture in it.
pub(crate) async fn own(rows: &mut dyn Rows, own: &Own) -> Result<Option<OwnRecording>> {
    let room = rows.recording(own.room).await?;
    let session = rows.capture(own.capture).await?;
    let session = session.filter(|session| session.recording == room.id && session.status != CaptureStatus::Superseded);
    let Some(session) = session.filter(|_| !room.state.deletion.is_requested()) else { return Ok(None) };
    let (mut recording, capture) = match rows.copy_of(session.id).await? {
        Some(capture) => (rows.recording(capture.recording).await?, capture),
        None => match recording_of(rows, &room, &session, own).await? {
            Some(recording) => {
                let capture = copy(rows, &recording, &session, own).await?;
                (recording, capture)
            }
            None => return Ok(None),
        },
    };
    if recording.state.deletion.is_requested() {
        return Ok(None);
    }
    if capture.status == CaptureStatus::Processing {
        lifecycle::step(rows, &mut recording, Event::UploadJoined, own.now).await?;
    }
    let others = rows.captures_of(recording.id).await?.into_iter();
    let others = others.filter(|other| other.id != capture.id && other.status != CaptureStatus::Superseded);
    let supersedes = others.map(|other| other.id).collect();
    Ok(Some(OwnRecording { recording, capture, supersedes }))
}

/// The own recording of a session: an existing one from an earlier upload, or a new one; `None` when nothing may be kept of it.
async fn recording_of(
    rows: &mut dyn Rows,
    room: &Recording,
    session: &Capture,
    own: &Own,
) -> Result<Option<Recording>> {
    let earlier = rows.own_recording_of(room.id, session.job_id.as_deref(), session.started_at).await?;
    if let Some(earlier) = earlier {
        return rows.recording(earlier).await.map(Some);
    }
    let ids =
        SessionIds { job_id: session.job_id.clone(), room_sid: room.room_sid.clone(), started_at: session.started_at };
    if rows.gone_of_upload(&room.project, &ids).await?.is_some() {
        return Ok(None);
    }
    let mut created_at = room.created_at;
    if let Some(upload) = session.upload
        && let Some(upload) = rows.find_upload(upload).await?
    {
        created_at = upload.received_at;
    }
    let mut recording = Recording {
        room_name: room.room_name.clone(),
        room_sid: room.room_sid.clone(),
        ..Recording::starting(own.new_recording, room.project.clone(), session.job_id.clone(), created_at)
    };
    lifecycle::insert_processing(rows, &mut recording).await?;
    Ok(Some(recording))
}

/// Makes the capture of a session in its own recording.
async fn copy(rows: &mut dyn Rows, recording: &Recording, session: &Capture, own: &Own) -> Result<Capture> {
    let attempt = captures::next_attempt(rows, recording.id).await?;
    let capture = Capture {
        job_id: session.job_id.clone(),
        ..Capture::processing(own.new_capture, recording.id, attempt, Source::Upload)
    };
    rows.insert_capture(&capture, &recording.project).await?;
    rows.set_copy_of(capture.id, session.id).await?;
    Ok(capture)
}

/// Gives sessions that are in one recording recordings of their own.
pub(crate) async fn split(
    rows: &mut dyn Rows,
    id: RecordingId,
    session_id: Option<&str>,
    parts: Vec<SplitSession>,
    now: WallTime,
) -> Result<()> {
    let recording = rows.recording(id).await?;
    if recording.state.deletion.is_requested() {
        return Ok(());
    }
    for part in parts {
        let SplitSession { captures, recording: new, session_id, facts, created_at } = part;
        let mut new = Recording {
            room_name: recording.room_name.clone(),
            room_sid: recording.room_sid.clone(),
            ..Recording::starting(new, recording.project.clone(), session_id, created_at)
        };
        lifecycle::insert_processing(rows, &mut new).await?;
        rows.fill_facts(new.id, &SessionFacts { room_name: None, ..facts }).await?;
        for (capture, attempt) in captures.into_iter().zip(1..) {
            hand_over(rows, capture, id, new.id, attempt).await?;
            for key in rows.delete_segments_of(id, capture).await? {
                segments::condemn_unless_needed(rows, &key, now).await?;
            }
        }
        queue_compose(rows, &new, now).await?;
    }
    rows.set_session_id(id, session_id).await?;
    queue_compose(rows, &recording, now).await
}

/// Moves a capture, with its masters, to another recording.
async fn hand_over(
    rows: &mut dyn Rows,
    capture: CaptureId,
    from: RecordingId,
    to: RecordingId,
    attempt: u32,
) -> Result<()> {
    if !rows.move_capture(capture, from, to, attempt).await? {
        return Err(Error::Conflict(from));
    }
    for key in masters::keys(rows, capture).await? {
        rows.give_object(&key, None, to).await?;
    }
    Ok(())
}
