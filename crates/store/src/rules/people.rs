//! People in rooms, and the participants of recordings.

use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::recording::Participant;
use echosphere_domain::time::WallTime;
use sha2::{Digest, Sha256};

use crate::rows::Rows;
use crate::{Result, SessionIds};

/// The most people of one room that are stored.
const MOST: u32 = 1_000;

fn who(identity: &str) -> String {
    hex::encode(Sha256::digest(identity))
}

/// Whether nothing more may be kept of a room.
pub(crate) async fn is_room_gone(rows: &mut dyn Rows, project: &ProjectId, room_sid: &str) -> Result<bool> {
    let session = SessionIds { room_sid: Some(room_sid.to_owned()), ..SessionIds::default() };
    Ok(rows.gone_of(project, &session).await?.is_some())
}

/// Stores that somebody was in a room.
pub(crate) async fn note(
    rows: &mut dyn Rows,
    project: &ProjectId,
    room_sid: &str,
    person: &Participant,
    told_at: WallTime,
) -> Result<()> {
    put(rows, project, room_sid, (&person.identity, Some(person)), told_at).await
}

/// Marks somebody as left out of a room: only the hash of the identity is stored, and nothing replaces that mark.
pub(crate) async fn leave_out(
    rows: &mut dyn Rows,
    project: &ProjectId,
    room_sid: &str,
    identity: &str,
    now: WallTime,
) -> Result<()> {
    put(rows, project, room_sid, (identity, None), now).await
}

async fn put(
    rows: &mut dyn Rows,
    project: &ProjectId,
    room_sid: &str,
    (identity, person): (&str, Option<&Participant>),
    told_at: WallTime,
) -> Result<()> {
    if is_room_gone(rows, project, room_sid).await? {
        return Ok(());
    }
    rows.put_person(project, room_sid, &who(identity), person, told_at, MOST).await
}

/// Adds participants to those of a recording; those it has already stay as they are.
pub(crate) async fn add(rows: &mut dyn Rows, id: RecordingId, people: Vec<Participant>) -> Result<()> {
    let recording = rows.recording(id).await?;
    if recording.state.deletion.is_requested() {
        return Ok(());
    }
    let mut all = recording.participants;
    for person in people {
        if !all.iter().any(|known| known.identity == person.identity) {
            all.push(person);
        }
    }
    rows.set_participants(id, &all).await
}
