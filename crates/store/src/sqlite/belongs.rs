//! The one list of what belongs to a recording: every table and column, and what becomes of it when the recording is erased.
//!
//! A test compares it with the schema: a new table or column without a line here fails.

/// What becomes of a column when the recording that a row belongs to is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The row goes.
    Removed,
    /// The row stays, this column is emptied.
    Cleared,
    /// It stays: an id, a time, a number or a word of ours, or what no person is known by.
    Stays,
}

use Fate::{Cleared, Removed, Stays};

/// A table, and what becomes of its columns.
pub struct Belongs {
    /// The table.
    pub table: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Fate)],
    /// How: statements whose `{gone}` are the tombstones of what is erased and whose `{rooms}` are their rooms, as (project, room
    /// sid), that no other recording holds. `?1` is the recording's id, or null. In the order of this list.
    pub erased_by: &'static [&'static str],
}

/// Every table, in the order of their references.
pub const BELONGS: &[Belongs] = &[
    Belongs {
        table: "telemetry",
        columns: &[
            ("id", Removed),
            ("project", Removed),
            ("signal", Removed),
            ("job_id", Removed),
            ("room_sid", Removed),
            ("key", Removed),
            ("bytes", Removed),
            ("received_at", Removed),
            ("facts", Removed),
        ],
        // Their objects go first, by what `belongings` lists.
        erased_by: &["DELETE FROM telemetry WHERE {telemetry}"],
    },
    Belongs {
        table: "objects",
        columns: &[
            ("key", Removed),
            ("project", Removed),
            ("recording", Removed),
            ("purpose", Removed),
            ("state", Removed),
            ("since", Removed),
        ],
        erased_by: &["DELETE FROM objects WHERE recording = ?1"],
    },
    Belongs {
        table: "segments",
        columns: &[
            ("recording", Removed),
            ("rendition", Removed),
            ("revision", Removed),
            ("seq", Removed),
            ("discontinuity", Removed),
            ("capture", Removed),
            ("capture_index", Removed),
            ("media_start", Removed),
            ("ticks", Removed),
            ("timescale", Removed),
            ("wall_start", Removed),
            ("codecs", Removed),
            ("store", Removed),
            ("state", Removed),
            ("object_key", Removed),
            ("byte_offset", Removed),
            ("byte_length", Removed),
            ("missing", Removed),
        ],
        erased_by: &["DELETE FROM segments WHERE recording = ?1"],
    },
    Belongs {
        table: "uploads",
        columns: &[
            ("id", Removed),
            ("project", Removed),
            ("content_type", Removed),
            ("received_at", Removed),
            ("state", Removed),
            ("bytes", Removed),
            ("complete", Removed),
            ("reason", Removed),
            ("job_id", Removed),
            ("room_sid", Removed),
            ("room_name", Removed),
            ("is_released", Removed),
        ],
        erased_by: &["DELETE FROM uploads WHERE {uploads}"],
    },
    Belongs {
        table: "captures",
        columns: &[
            ("id", Removed),
            ("recording", Removed),
            ("project", Removed),
            ("attempt", Removed),
            ("source", Removed),
            ("status", Removed),
            ("started_at", Removed),
            ("ended_at", Removed),
            ("error", Removed),
            ("upload", Removed),
            ("job_id", Removed),
            ("audio", Removed),
            ("audio_index", Removed),
            ("transcript", Removed),
            ("body", Removed),
            ("copy_of", Removed),
            ("is_placed", Removed),
        ],
        erased_by: &["DELETE FROM captures WHERE recording = ?1"],
    },
    Belongs {
        table: "people",
        columns: &[
            ("project", Removed),
            ("room_sid", Removed),
            ("who", Removed),
            ("person", Removed),
            ("told_at", Removed),
        ],
        erased_by: &["DELETE FROM people WHERE (project, room_sid) IN {rooms}"],
    },
    Belongs {
        table: "webhooks",
        // The id stays for its day, so that a webhook that comes again is known.
        columns: &[
            ("project", Stays),
            ("id", Stays),
            ("event", Stays),
            ("room_sid", Stays),
            ("room_name", Cleared),
            ("created_at", Stays),
            ("received_at", Stays),
            ("body", Cleared),
            ("attempts", Stays),
            ("due", Stays),
        ],
        erased_by: &["UPDATE webhooks SET room_name = '', body = '' WHERE (project, room_sid) IN {rooms}"],
    },
    Belongs {
        table: "live",
        // When it was paused, and on which side somebody was left out, says which later uploads of the room must not be kept.
        columns: &[
            ("recording", Stays),
            ("capture", Stays),
            ("settings", Cleared),
            ("paused", Stays),
            ("pauses", Stays),
            ("excluded", Cleared),
            ("left_out", Stays),
        ],
        // While another recording holds the room, those who are left out of it are left out by these names too; they go with it.
        erased_by: &["UPDATE live SET settings = '{}', excluded = '[]' WHERE recording IN (SELECT id FROM recordings
                 WHERE (id = ?1 AND NOT EXISTS (SELECT 1 FROM recordings AS holder WHERE {holds}
                     AND holder.project = recordings.project AND holder.room_sid = recordings.room_sid))
                 OR (deletion <> 'none' AND (project, room_sid) IN {rooms}))"],
    },
    Belongs {
        table: "idempotency",
        // Key and request are SHA-256: a request that is sent again is known for its day, and not carried out again.
        columns: &[("project", Stays), ("key", Stays), ("asked", Stays), ("recording", Stays), ("at", Stays)],
        erased_by: &[],
    },
    Belongs {
        table: "recordings",
        columns: &[
            ("id", Stays),
            ("project", Stays),
            ("session_id", Cleared),
            ("room_name", Cleared),
            ("room_sid", Stays),
            // Made anew, without the session's id in it.
            ("prefix", Cleared),
            ("status", Stays),
            ("partial", Stays),
            ("reason", Stays),
            ("revision", Stays),
            ("deletion", Stays),
            ("tier", Stays),
            ("created_at", Stays),
            ("started_at", Stays),
            ("ended_at", Stays),
            ("duration", Cleared),
            ("gaps", Cleared),
            ("agent_name", Cleared),
            ("tags", Cleared),
            ("labels", Cleared),
            ("participants", Cleared),
            ("analysis", Cleared),
            ("tracks", Cleared),
            ("is_over", Stays),
            ("simulated", Stays),
        ],
        erased_by: &[
            "UPDATE recordings SET session_id = NULL, room_name = NULL, agent_name = NULL, tags = '[]', labels = '{}',
                    participants = '[]', tracks = '[]', gaps = '[]', analysis = NULL, duration = 0 WHERE id = ?1",
        ],
    },
    Belongs {
        table: "tasks",
        // Payloads are ids; errors name ids and paths made of ids.
        columns: &[
            ("id", Stays),
            ("kind", Stays),
            ("urgency", Stays),
            ("payload", Stays),
            ("run_at", Stays),
            ("generation", Stays),
            ("lease_until", Stays),
            ("attempts", Stays),
            ("dead", Stays),
            ("last_error", Stays),
        ],
        erased_by: &[],
    },
    Belongs {
        table: "tombstones",
        columns: &[
            ("id", Stays),
            ("project", Stays),
            ("recording", Stays),
            ("job_id", Stays),
            ("room_sid", Stays),
            ("started_at", Stays),
            ("scope", Stays),
            ("reason", Stays),
            ("at", Stays),
        ],
        erased_by: &[],
    },
    // Who looks at recordings, not who is in them.
    Belongs {
        table: "sign_ins",
        columns: &[
            ("id", Stays),
            ("project", Stays),
            ("credential", Stays),
            ("created_at", Stays),
            ("seen_at", Stays),
            ("ends_at", Stays),
        ],
        erased_by: &[],
    },
    Belongs { table: "used_sign_in_links", columns: &[("nonce", Stays), ("expires_at", Stays)], erased_by: &[] },
    Belongs { table: "upkeep", columns: &[("name", Stays), ("done_at", Stays)], erased_by: &[] },
];

/// Tombstones of what is erased: of the recording `?1`, or number `?2`.
pub(super) const GONE: &str = "(SELECT * FROM tombstones WHERE recording = ?1 OR id = ?2)";
/// A recording that holds its room.
pub(super) const HOLDS: &str = "holder.deletion = 'none'";
/// The rooms of what is erased, where no other recording holds them.
const ROOMS: &str = "(SELECT project, room_sid FROM {gone} AS room WHERE room_sid IS NOT NULL AND scope <> 'nothing'
     AND NOT EXISTS (SELECT 1 FROM recordings AS holder WHERE {holds}
                     AND holder.project = room.project AND holder.room_sid = room.room_sid))";
/// Telemetry of the jobs; of the rooms what names no job, and where all of the room goes also what names one.
pub(super) const TELEMETRY: &str = "(project, job_id) IN (SELECT project, job_id FROM {gone} WHERE job_id IS NOT NULL)
     OR ((project, room_sid) IN {rooms} AND (job_id IS NULL OR (project, room_sid) IN
             (SELECT project, room_sid FROM {gone} WHERE scope = 'room' AND room_sid IS NOT NULL)))";
/// Uploads that became captures of the recording, those of its jobs that did not or did not yet, and those of rooms that are left
/// out. What is in quarantine is nobody's.
pub(super) const UPLOADS: &str = "id IN (SELECT upload FROM captures WHERE recording = ?1)
     OR (state <> 'quarantined' AND (
         (project, job_id) IN (SELECT project, job_id FROM {gone} WHERE job_id IS NOT NULL)
         OR (state = 'duplicate' AND job_id IS NULL AND (project, room_sid) IN {rooms})
         OR (state IN ('receiving', 'received', 'held') AND (project, room_sid) IN (SELECT project, room_sid FROM {gone}
             WHERE scope = 'room' AND reason = 'excluded' AND room_sid IS NOT NULL))))";

/// Uploads of the room of a recorder's recording that are not read yet: by their time they are of the recording or not.
pub(super) const AWAITED: &str = "state IN ('receiving', 'received') AND (project, room_sid) IN {rooms}
     AND (project, room_sid) IN (SELECT project, room_sid FROM {gone} WHERE scope = 'room' AND room_sid IS NOT NULL)
     AND NOT ({uploads})";

/// Fills a statement in.
pub(super) fn statement(text: &str) -> String {
    text.replace("{awaited}", AWAITED)
        .replace("{telemetry}", TELEMETRY)
        .replace("{uploads}", UPLOADS)
        .replace("{rooms}", ROOMS)
        .replace("{holds}", HOLDS)
        .replace("{gone}", GONE)
}
