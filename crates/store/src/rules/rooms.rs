//! Rooms that are being recorded: who records them, how a recording begins, grows and ends, and what must not be kept of it.

use echosphere_domain::id::{NodeId, RecordingId};
use echosphere_domain::lifecycle::{Event, State, Status};
use echosphere_domain::recording::{Capture, Participant, Recording, Source, Track};
use echosphere_domain::rendition::Rendition;
use echosphere_domain::segment::Segment;
use echosphere_domain::time::{MediaTime, WallTime};

use super::{inbox, lifecycle, once, segments};
use crate::rows::{Room, Rows};
use crate::{Begun, Error, LeftOut, LiveRow, NewLive, OwnedRoom, Result, Stretch};

/// Begins a recording, unless a room of that name is being recorded or the request was carried out before.
pub(crate) async fn begin(rows: &mut dyn Rows, new: &NewLive) -> Result<Begun> {
    if let Some(once) = &new.once
        && let Some(repeated) = once::known(rows, &new.project, once, new.now).await?
    {
        return Ok(Begun::Repeated(repeated));
    }
    let same_name = rows.live_of_name(&new.project, &new.room_name).await?;
    if let Some(other) = same_name.iter().find(|other| other.state.holds_room()) {
        return Ok(Begun::Already(other.id));
    }
    let recording = Recording {
        room_name: Some(new.room_name.clone()),
        labels: new.labels.clone(),
        ..Recording::starting(new.recording, new.project.clone(), new.session_id.clone(), new.now)
    };
    rows.insert_recording(&recording).await?;
    let capture = Capture::processing(new.capture, recording.id, 1, Source::Recorder);
    rows.insert_capture(&capture, &new.project).await?;
    // A pause from the start is like any other: later sources must know of it.
    let pauses: Vec<Stretch> = new.options.paused.then_some(Stretch { from: new.now, to: None }).into_iter().collect();
    rows.insert_room(new, &pauses).await?;
    if let Some(once) = &new.once {
        once::note(rows, &new.project, once, recording.id, new.now).await?;
    }
    Ok(Begun::New(Box::new((recording, capture))))
}

/// Whether a recorder may still be in a recording's room.
pub(crate) fn may_have_recorder(state: &State) -> bool {
    matches!(state.status, Status::Starting | Status::Active)
}

/// Whether a recording of a room goes on.
pub(crate) fn goes_on(state: &State) -> bool {
    may_have_recorder(state) && !state.deletion.is_requested()
}

/// Gives a node all rooms being recorded that it owns, that nobody owns, or whose lease has expired.
pub(crate) async fn claim(
    rows: &mut dyn Rows,
    owner: NodeId,
    now: WallTime,
    lease_until: WallTime,
) -> Result<Vec<LiveRow>> {
    let is_free = |room: &Room| {
        room.owner.is_none_or(|other| other == owner) || room.lease_until.is_none_or(|until| until <= now)
    };
    let mut claimed = Vec::new();
    for room in rows.live_rooms().await?.into_iter().filter(is_free) {
        let Some(capture) = rows.capture(room.capture).await? else { continue };
        rows.set_owner(room.recording.id, owner, lease_until).await?;
        let Room { recording, options, paused, owner: previous_owner, .. } = room;
        claimed.push(LiveRow { recording, capture, options, paused, previous_owner });
    }
    Ok(claimed)
}

/// The recording of a room that is the node's. `None` when it is not and the recording is over: whatever is repeated of it then changes
/// nothing.
async fn own(rows: &mut dyn Rows, room: OwnedRoom) -> Result<Option<Recording>> {
    let recording = rows.recording(room.recording).await?;
    if rows.owner_of(room.recording).await? == Some(room.owner) {
        return Ok(Some(recording));
    }
    if goes_on(&recording.state) { Err(Error::NotOwner(recording.id)) } else { Ok(None) }
}

/// Stores the sid of a room that was joined, unless another recording of the same project holds this very room; returns that one.
pub(crate) async fn joined(rows: &mut dyn Rows, room: OwnedRoom, room_sid: &str) -> Result<Option<RecordingId>> {
    let Some(ours) = own(rows, room).await? else { return Ok(None) };
    let others = rows.recordings_in_room(&ours.project, room_sid).await?;
    if let Some(other) = others.iter().find(|other| other.id != ours.id && other.state.holds_room()) {
        return Ok(Some(other.id));
    }
    rows.set_room_sid(ours.id, room_sid).await?;
    Ok(None)
}

/// Notes the first sound.
pub(crate) async fn heard(rows: &mut dyn Rows, room: OwnedRoom, started_at: WallTime) -> Result<()> {
    let Some(mut recording) = own(rows, room).await? else { return Ok(()) };
    lifecycle::step(rows, &mut recording, Event::Heard, started_at).await?;
    rows.set_started(recording.id, started_at).await
}

/// Appends to the index the segments that were stored while the room goes on.
pub(crate) async fn append(
    rows: &mut dyn Rows,
    room: OwnedRoom,
    (rendition, list): (&Rendition, &[Segment]),
    duration: MediaTime,
    participants: &[Participant],
    now: WallTime,
) -> Result<()> {
    let Some(recording) = own(rows, room).await? else { return Ok(()) };
    if recording.state.deletion.is_requested() || recording.state.status != Status::Active {
        return Ok(());
    }
    rows.put_rendition(recording.id, rendition).await?;
    rows.insert_segments(recording.id, &rendition.id, recording.state.revision, list).await?;
    segments::make_live(rows, list, now).await?;
    rows.set_duration(recording.id, duration).await?;
    if participants.is_empty() { Ok(()) } else { rows.set_participants(recording.id, participants).await }
}

/// Stores which tracks a recording's capture log has.
pub(crate) async fn note_tracks(rows: &mut dyn Rows, id: RecordingId, tracks: &[Track]) -> Result<()> {
    let found = rows.find_recording(id).await?;
    let is_kept = found.is_some_and(|found| !found.state.deletion.is_requested());
    if is_kept { rows.set_tracks(id, tracks).await } else { Ok(()) }
}

/// Pauses a room, or ends its pause.
pub(crate) async fn pause(rows: &mut dyn Rows, recording: RecordingId, paused: bool, at: WallTime) -> Result<()> {
    let mut stretches = rows.pauses(recording).await?;
    match stretches.iter_mut().find(|stretch| stretch.to.is_none()) {
        None if paused => stretches.push(Stretch { from: at, to: None }),
        Some(open) if !paused => open.to = Some(at),
        Some(_) | None => return Ok(()),
    }
    rows.set_pauses(recording, paused, &stretches).await
}

/// Excludes an identity from now on.
pub(crate) async fn exclude(rows: &mut dyn Rows, recording: RecordingId, identity: &str) -> Result<()> {
    let mut all = rows.excluded_from(recording).await?;
    if all.iter().any(|known| known == identity) {
        return Ok(());
    }
    all.push(identity.to_owned());
    rows.set_excluded(recording, &all).await
}

/// Notes that somebody who is left out was seen in the room.
pub(crate) async fn note_left_out(rows: &mut dyn Rows, room: OwnedRoom, who: LeftOut) -> Result<()> {
    let Some(recording) = own(rows, room).await? else { return Ok(()) };
    let mut all = rows.left_out_of(recording.id).await?;
    if all.contains(&who) {
        return Ok(());
    }
    all.push(who);
    rows.set_left_out(recording.id, &all).await
}

/// The room has ended, but what was kept is not all in storage yet.
pub(crate) async fn over(rows: &mut dyn Rows, room: OwnedRoom, now: WallTime) -> Result<()> {
    let Some(mut recording) = own(rows, room).await? else { return Ok(()) };
    lifecycle::step(rows, &mut recording, Event::RoomOver, now).await
}

/// The room has ended, and what was kept is in storage.
pub(crate) async fn ended(rows: &mut dyn Rows, room: OwnedRoom, now: WallTime) -> Result<()> {
    let Some(mut recording) = own(rows, room).await? else { return Ok(()) };
    lifecycle::step(rows, &mut recording, Event::RoomEnded, now).await?;
    rows.clear_owner(recording.id).await?;
    inbox::close(rows, recording.id).await
}
