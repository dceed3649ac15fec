//! SQL conditions that several statements share.

/// The condition for a recording to have captured a room: a recorder was sent there, or it has a capture of that kind.
pub(super) const CAPTURED_ROOM: &str =
    "(recordings.id IN (SELECT recording FROM rooms) OR EXISTS (SELECT 1 FROM captures
     WHERE captures.recording = recordings.id AND captures.source IN ('recorder', 'egress')))";

/// The tombstones of what is erased: those of the recording `?1`, or number `?2`.
const GONE: &str = "(SELECT * FROM tombstones WHERE recording = ?1 OR id = ?2)";
/// The condition for a recording (`holder`) to hold its room.
pub(super) const HOLDS: &str = "holder.deletion = 'none'";
/// The rooms of what is erased that no other recording holds.
const ROOMS: &str = "(SELECT project, room_sid FROM {gone} AS room WHERE room_sid IS NOT NULL AND scope <> 'nothing'
     AND NOT EXISTS (SELECT 1 FROM recordings AS holder WHERE {holds}
                     AND holder.project = room.project AND holder.room_sid = room.room_sid))";
/// The telemetry that is erased: of the jobs; of the rooms, if it names no job; and of rooms that are erased as a whole, also if it
/// names one.
const TELEMETRY: &str = "(project, job_id) IN (SELECT project, job_id FROM {gone} WHERE job_id IS NOT NULL)
     OR ((project, room_sid) IN {rooms} AND (job_id IS NULL OR (project, room_sid) IN
             (SELECT project, room_sid FROM {gone} WHERE scope = 'room' AND room_sid IS NOT NULL)))";
/// The uploads that are erased: those that became captures of the recording, those of its jobs that did not or did not yet,
/// duplicates without a job in its rooms, and those of excluded rooms. Any other quarantined upload belongs to nobody.
const UPLOADS: &str = "id IN (SELECT upload FROM captures WHERE recording = ?1)
     OR (state <> 'quarantined' AND (
         (project, job_id) IN (SELECT project, job_id FROM {gone} WHERE job_id IS NOT NULL)
         OR (state = 'duplicate' AND job_id IS NULL AND (project, room_sid) IN {rooms})
         OR (state IN ('receiving', 'received', 'held') AND (project, room_sid) IN (SELECT project, room_sid FROM {gone}
             WHERE scope = 'room' AND reason = 'excluded' AND room_sid IS NOT NULL))))";

/// Uploads, not read yet, of the room of a recorder's recording: their times will say whether they belong to the recording.
const AWAITED: &str = "state IN ('receiving', 'received') AND (project, room_sid) IN {rooms}
     AND (project, room_sid) IN (SELECT project, room_sid FROM {gone} WHERE scope = 'room' AND room_sid IS NOT NULL)
     AND NOT ({uploads})";

/// A statement with its placeholders filled in.
pub(super) fn statement(text: &str) -> String {
    text.replace("{awaited}", AWAITED)
        .replace("{telemetry}", TELEMETRY)
        .replace("{uploads}", UPLOADS)
        .replace("{rooms}", ROOMS)
        .replace("{holds}", HOLDS)
        .replace("{gone}", GONE)
}
