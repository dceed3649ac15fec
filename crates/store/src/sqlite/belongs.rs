//! The one list of what belongs to a recording: every table and column, and what becomes of it when the recording is erased.
//!
//! A test compares it with the schema and fails for a table or column that has no line here.

/// What becomes of a column when the recording that a row belongs to is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The row is deleted.
    Removed,
    /// The row stays, and this column is emptied.
    Cleared,
    /// The row stays as it is: an id, a time, a number or a word of ours, or something that identifies no person.
    Stays,
}

use Fate::{Cleared, Removed, Stays};

/// A table, and what becomes of its columns.
pub struct Belongs {
    /// The table.
    pub table: &'static str,
    /// Its columns.
    pub columns: &'static [(&'static str, Fate)],
    /// The statements that do it, in this order. In them `{gone}` stands for the tombstones of what is erased, and `{rooms}` for
    /// those of their rooms, as (project, room sid), that no other recording holds. `?1` is the recording's id, or null; `?2` the
    /// number of a single tombstone, or null.
    pub erased_by: &'static [&'static str],
}

/// Every table; one that refers to another comes before it.
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
        // Their objects are deleted before, from the list that `belongings` gives.
        erased_by: &["DELETE FROM telemetry WHERE {telemetry}"],
    },
    Belongs {
        table: "leftovers",
        columns: &[("key", Removed), ("place", Removed), ("until", Removed)],
        // The copies are deleted with their objects.
        erased_by: &["DELETE FROM leftovers WHERE key IN (SELECT key FROM objects WHERE recording = ?1)"],
    },
    Belongs {
        table: "objects",
        columns: &[
            ("store", Removed),
            ("key", Removed),
            ("project", Removed),
            ("recording", Removed),
            ("purpose", Removed),
            ("state", Removed),
            ("since", Removed),
            ("is_prefix", Removed),
            ("place", Removed),
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
            ("is_foreign", Removed),
        ],
        erased_by: &["DELETE FROM segments WHERE recording = ?1"],
    },
    Belongs {
        table: "renditions",
        columns: &[
            ("recording", Removed),
            ("id", Removed),
            ("position", Removed),
            ("codecs", Removed),
            ("bandwidth", Removed),
            ("container", Removed),
            ("init", Removed),
        ],
        erased_by: &["DELETE FROM renditions WHERE recording = ?1"],
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
        table: "turns",
        columns: &[
            ("capture", Removed),
            ("seq", Removed),
            // Its other columns are made from this one.
            ("turn", Removed),
        ],
        erased_by: &["DELETE FROM turns WHERE capture IN (SELECT id FROM captures WHERE recording = ?1)"],
    },
    Belongs {
        table: "masters",
        columns: &[
            ("capture", Removed),
            ("part", Removed),
            // `key` is made from this one.
            ("master", Removed),
            ("undivided", Removed),
        ],
        erased_by: &["DELETE FROM masters WHERE capture IN (SELECT id FROM captures WHERE recording = ?1)"],
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
        table: "inbox",
        // The id stays for its day, so that an event that comes again is known; so do what came of it and the kind of credentials of
        // whoever asked.
        columns: &[
            ("project", Stays),
            ("source", Stays),
            ("id", Stays),
            ("kind", Stays),
            ("recording", Stays),
            ("room_sid", Stays),
            ("room_name", Cleared),
            ("body", Cleared),
            ("asked_by", Stays),
            ("created_at", Stays),
            ("received_at", Stays),
            ("attempts", Stays),
            ("due", Stays),
            ("outcome", Stays),
        ],
        erased_by: &[
            "UPDATE inbox SET room_name = '', body = '' WHERE (project, room_sid) IN {rooms} OR recording = ?1",
        ],
    },
    Belongs {
        table: "rooms",
        // Pauses, and on which side somebody was left out, say what must not be kept of later uploads of the room.
        columns: &[
            ("recording", Stays),
            ("capture", Stays),
            ("options", Cleared),
            ("paused", Stays),
            ("pauses", Stays),
            ("excluded", Cleared),
            ("left_out", Stays),
            ("owner", Stays),
            ("lease_until", Stays),
        ],
        // While another recording holds the room, these names leave people out of that one too; they are cleared together with it.
        erased_by: &["UPDATE rooms SET options = '{}', excluded = '[]' WHERE recording IN (SELECT id FROM recordings
                 WHERE (id = ?1 AND NOT EXISTS (SELECT 1 FROM recordings AS holder WHERE {holds}
                     AND holder.project = recordings.project AND holder.room_sid = recordings.room_sid))
                 OR (deletion <> 'none' AND (project, room_sid) IN {rooms}))"],
    },
    Belongs {
        table: "idempotency",
        // Key and request are SHA-256 hashes: a repeated request is recognised for a day, and not carried out again.
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
            // Replaced by one without the session's id.
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
            ("delete_at", Stays),
            ("is_held", Stays),
            ("sound_until", Stays),
            ("words_until", Stays),
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
            ("owner", Stays),
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
    // About people who look at recordings, not about people in them.
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
    // Patterns that the configuration names, about no recording.
    Belongs {
        table: "rules",
        // `kind` is made from `rule`.
        columns: &[("project", Stays), ("position", Stays), ("rule", Stays)],
        erased_by: &[],
    },
    // Where objects are, about no recording.
    Belongs {
        table: "places",
        columns: &[("id", Stays), ("marker", Stays), ("settings", Stays), ("used_since", Stays)],
        erased_by: &[],
    },
    // Ids and numbers.
    Belongs {
        table: "sidecars",
        columns: &[("recording", Stays), ("changed", Stays), ("written", Stays)],
        erased_by: &[],
    },
    Belongs { table: "upkeep", columns: &[("name", Stays), ("done_at", Stays)], erased_by: &[] },
];
