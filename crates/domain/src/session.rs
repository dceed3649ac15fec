//! Decides which recording of its room a session belongs to, and whether that recording holds all of the session.
//!
//! The reasons are in docs/decisions/0010-sessions.md.

use std::ops::Range;

use crate::id::RecordingId;
use crate::time::WallTime;
use crate::timeline::Timeline;
use crate::transcript::{Alignment, Kind, Method, Transcript, Turn};

/// How far a session may extend beyond its room's recording and still count as being within it: 5 s, in nanoseconds. A session does
/// not begin and end exactly with its room, and its clock is another machine's.
pub const SLACK: i64 = 5_000_000_000;
/// The longest time from the end of a session to its upload when nothing delays it: 60 s, in nanoseconds.
const PROMPT: i64 = 60_000_000_000;
/// A session's clock is ahead when it says that the session ended more than this after its upload was received: 2 s, in
/// nanoseconds.
const AHEAD: i64 = 2_000_000_000;

/// A recording that captured a room, reduced to what matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// The recording.
    pub id: RecordingId,
    /// When its capture began.
    pub from: WallTime,
    /// When its capture ended; `None` while it goes on.
    pub to: Option<WallTime>,
    /// Whether anything of the room was kept, or may still be.
    pub has_sound: bool,
    /// Whether its deletion was requested.
    pub is_deleted: bool,
}

/// The times of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// When it began, by the agent's clock.
    pub started_at: Option<WallTime>,
    /// When it ended, by the agent's clock.
    pub ended_at: Option<WallTime>,
    /// When its upload was received, by our clock.
    pub received_at: WallTime,
}

/// The recording of its room that a session is a capture of: the one that it overlaps longest. A deleted recording takes precedence
/// for all that it would have held: what joins it is erased. `None` when the room was recorded at another time, or never.
///
/// A session without times belongs to the recording that is still going on, or else to the one that began last. A session whose
/// clock cannot be right is taken to have ended when its upload was received.
pub fn belongs_to(session: &Session, rooms: &[Room]) -> Option<RecordingId> {
    let (Some(start), Some(end)) = (session.started_at, session.ended_at) else { return latest(rooms) };
    let end = end.max(start);
    let by_its_clock = best(start..end, session.received_at, rooms);
    if by_its_clock.is_some() {
        return by_its_clock;
    }
    // By our clock the session ended shortly before its upload; otherwise its clock is wrong, or the upload was late.
    let shift = session.received_at.since(end);
    let certain = shift < -AHEAD;
    if certain || shift > PROMPT {
        let moved = start.plus_nanos(shift)..end.plus_nanos(shift);
        let is_held = |room: &&Room| {
            certain || shared(&moved, room, session.received_at).is_some_and(|held| held >= length(&moved) / 2)
        };
        let held: Vec<Room> = rooms.iter().filter(is_held).cloned().collect();
        if let Some(room) = best(moved, session.received_at, &held) {
            return Some(room);
        }
    }
    // A recorder that kept nothing was meant to record what only the session has.
    let empty = rooms.iter().filter(|room| !room.has_sound && !room.is_deleted && room.from <= session.received_at);
    empty.max_by_key(|room| room.from).map(|room| room.id)
}

fn latest(rooms: &[Room]) -> Option<RecordingId> {
    let goes_on = |room: &Room| room.to.is_none() && !room.is_deleted;
    rooms.iter().max_by_key(|room| (goes_on(room), room.from)).map(|room| room.id)
}

fn span(room: &Room, now: WallTime) -> Range<WallTime> {
    room.from..room.to.unwrap_or(now).max(room.from)
}

fn length(span: &Range<WallTime>) -> i64 {
    span.end.since(span.start)
}

/// How long the two overlap; `None` when they do not meet.
fn shared(session: &Range<WallTime>, room: &Room, now: WallTime) -> Option<i64> {
    let room = span(room, now.max(session.end));
    let shared = session.end.min(room.end).since(session.start.max(room.start));
    (shared >= 0).then_some(shared)
}

fn best(session: Range<WallTime>, now: WallTime, rooms: &[Room]) -> Option<RecordingId> {
    let met = |room: &Room| shared(&session, room, now).map(|shared| (shared, room.from, room.id));
    // A mere difference between two clocks must not let a deletion reach a session that came after it.
    let is_reached = |room: &&Room| {
        let least = SLACK.min(length(&session)).min(length(&span(room, now)));
        room.is_deleted && shared(&session, room, now).is_some_and(|shared| shared >= least)
    };
    let deleted = rooms.iter().filter(is_reached).filter_map(met).max();
    let kept = || rooms.iter().filter(|room| !room.is_deleted).filter_map(met).max();
    deleted.or_else(kept).map(|(_, _, id)| id)
}

/// Whether the recording of a room, which covers the time `room`, holds all of a session: its sound, to within a few seconds, and
/// its lines.
pub fn is_within(room: &Range<WallTime>, sound: Option<&Range<WallTime>>, transcript: &Transcript) -> bool {
    let found = shift(transcript);
    let sound_is_within = sound.is_none_or(|sound| {
        sound.start.plus_nanos(found) >= room.start.plus_nanos(-SLACK)
            && sound.end.plus_nanos(found) <= room.end.plus_nanos(SLACK)
    });
    sound_is_within && transcript.turns.iter().all(|turn| is_near(room, turn, &transcript.alignment))
}

/// A session's transcript, reduced to the lines that fall on the timeline of its room's recording. `goes_on`: the
/// timeline will still grow.
pub fn within(mut transcript: Transcript, timeline: &Timeline, goes_on: bool) -> Transcript {
    let Some(mut room) = timeline.wall() else { return transcript };
    if goes_on {
        room.end = WallTime::from_nanos(i64::MAX);
    }
    let Transcript { turns, alignment } = &mut transcript;
    turns.retain(|turn| is_near(&room, turn, alignment));
    transcript
}

/// By how much a session's clock was found to be off, in nanoseconds.
fn shift(transcript: &Transcript) -> i64 {
    let is_found = transcript.alignment.method == Method::VoiceActivity;
    if is_found { transcript.alignment.offset_ms.saturating_mul(1_000_000) } else { 0 }
}

/// Whether a turn overlaps a stretch of time, to within [`SLACK`]. A turn without a time counts as near, and so does one that
/// concerns only the agent: it has its instructions before it joins, and brings an earlier conversation with it.
fn is_near(room: &Range<WallTime>, turn: &Turn, alignment: &Alignment) -> bool {
    if turn.earlier || matches!(turn.kind, Kind::Handoff | Kind::Config | Kind::Marker) {
        return true;
    }
    let times = turn.reported;
    let spoken: Vec<WallTime> = [times.start, times.end].into_iter().flatten().collect();
    let reported = if spoken.is_empty() { times.created.into_iter().collect() } else { spoken };
    let reported = reported.iter().min().zip(reported.iter().max());
    let reported = reported.map(|(from, to)| (alignment.time(*from), alignment.time(*to)));
    let heard = turn.refined.map(|refined| (refined.start, refined.end));
    let Some((from, to)) = heard.or(reported) else { return true };
    from <= room.end.plus_nanos(SLACK) && to >= room.start.plus_nanos(-SLACK)
}

#[cfg(test)]
mod tests;
