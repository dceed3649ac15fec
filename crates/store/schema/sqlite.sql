-- The schema that all migrations make: a new database is begun with it. A test holds it against them, and prints it anew.

CREATE TABLE recordings (
    id           TEXT    NOT NULL PRIMARY KEY,
    project      TEXT    NOT NULL,
    session_id   TEXT,
    room_name    TEXT,
    room_sid     TEXT,
    prefix       TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    partial      INTEGER NOT NULL,
    reason       TEXT,
    revision     INTEGER NOT NULL,
    deletion     TEXT    NOT NULL,
    tier         TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    duration     INTEGER NOT NULL,
    gaps         TEXT    NOT NULL,
    agent_name   TEXT,
    tags         TEXT    NOT NULL,
    labels       TEXT    NOT NULL,
    participants TEXT    NOT NULL,
    analysis     TEXT
, tracks TEXT NOT NULL DEFAULT '[]', is_over INTEGER NOT NULL DEFAULT 0, simulated INTEGER NOT NULL DEFAULT 0, delete_at INTEGER, is_held INTEGER NOT NULL DEFAULT 0, sound_until INTEGER, words_until INTEGER) STRICT;

CREATE TABLE captures (
    id          TEXT    NOT NULL PRIMARY KEY,
    recording   TEXT    NOT NULL REFERENCES recordings (id),
    project     TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    source      TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    started_at  INTEGER,
    ended_at    INTEGER,
    error       TEXT,
    upload      TEXT    UNIQUE,
    job_id      TEXT,
    audio       TEXT,
    audio_index BLOB,
    transcript  TEXT, copy_of TEXT, is_placed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (recording, attempt)
) STRICT;

CREATE INDEX captures_by_job ON captures (project, job_id) WHERE job_id IS NOT NULL;

CREATE TABLE uploads (
    id           TEXT    NOT NULL PRIMARY KEY,
    project      TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    received_at  INTEGER NOT NULL,
    state        TEXT    NOT NULL,
    bytes        INTEGER NOT NULL,
    complete     INTEGER NOT NULL,
    reason       TEXT
, job_id TEXT, room_sid TEXT, room_name TEXT, is_released INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE segments (
    recording     TEXT    NOT NULL REFERENCES recordings (id),
    rendition     TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    discontinuity INTEGER NOT NULL,
    capture       TEXT    NOT NULL REFERENCES captures (id),
    capture_index INTEGER NOT NULL,
    media_start   INTEGER NOT NULL,
    ticks         INTEGER NOT NULL,
    timescale     INTEGER NOT NULL,
    wall_start    INTEGER NOT NULL,
    codecs        TEXT    NOT NULL,
    store         TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    object_key    TEXT,
    byte_offset   INTEGER,
    byte_length   INTEGER,
    missing       TEXT, is_foreign INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (recording, rendition, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX segments_by_object ON segments (object_key) WHERE object_key IS NOT NULL;

CREATE TABLE tasks (
    id          TEXT    NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    urgency     INTEGER NOT NULL,
    payload     TEXT    NOT NULL,
    run_at      INTEGER NOT NULL,
    generation  INTEGER NOT NULL,
    lease_until INTEGER,
    attempts    INTEGER NOT NULL,
    dead        INTEGER NOT NULL,
    last_error  TEXT
, owner TEXT) STRICT;

CREATE UNIQUE INDEX tasks_open ON tasks (kind, payload) WHERE dead = 0;

CREATE INDEX tasks_due ON tasks (urgency, run_at) WHERE dead = 0;

CREATE TABLE telemetry (
    id          TEXT    NOT NULL PRIMARY KEY,
    project     TEXT    NOT NULL,
    signal      TEXT    NOT NULL,
    job_id      TEXT,
    room_sid    TEXT,
    key         TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    facts       TEXT    NOT NULL
) STRICT;

CREATE INDEX telemetry_by_job ON telemetry (project, job_id, received_at);

CREATE INDEX recordings_by_room ON recordings (project, room_sid, created_at DESC) WHERE room_sid IS NOT NULL;

CREATE TABLE idempotency (
    project   TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    asked     TEXT    NOT NULL,
    recording TEXT    NOT NULL REFERENCES recordings (id),
    at        INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (at);

CREATE UNIQUE INDEX recordings_live_room ON recordings (project, room_sid)
    WHERE room_sid IS NOT NULL AND status IN ('STARTING', 'ACTIVE') AND deletion = 'none' AND is_over = 0;

CREATE INDEX captures_by_copy ON captures (copy_of) WHERE copy_of IS NOT NULL;

CREATE TABLE people (
    project  TEXT NOT NULL,
    room_sid TEXT NOT NULL,
    who      TEXT NOT NULL,
    person   TEXT NOT NULL,
    told_at  INTEGER NOT NULL,
    PRIMARY KEY (project, room_sid, who)
) WITHOUT ROWID;

CREATE TABLE tombstones (
    id         INTEGER NOT NULL PRIMARY KEY,
    project    TEXT    NOT NULL,
    -- The recording that was deleted, if there was one.
    recording  TEXT,
    job_id     TEXT,
    room_sid   TEXT,
    -- Of a session without a job.
    started_at INTEGER,
    -- 'session': that session alone. 'room': all of that room. 'nothing': only what was kept goes, what comes is welcome.
    scope      TEXT    NOT NULL,
    -- 'deleted', 'excluded' or 'redaction'.
    reason     TEXT    NOT NULL,
    at         INTEGER NOT NULL
) STRICT;

CREATE INDEX tombstones_by_job ON tombstones (project, job_id) WHERE job_id IS NOT NULL;

CREATE INDEX tombstones_by_room ON tombstones (project, room_sid) WHERE room_sid IS NOT NULL;

CREATE INDEX tombstones_by_recording ON tombstones (recording) WHERE recording IS NOT NULL;

CREATE INDEX uploads_open ON uploads (state, received_at) WHERE state IN ('receiving', 'received', 'held', 'quarantined');

CREATE INDEX uploads_by_job ON uploads (project, job_id) WHERE job_id IS NOT NULL;

CREATE INDEX uploads_by_room ON uploads (project, room_sid) WHERE room_sid IS NOT NULL;

CREATE INDEX telemetry_by_room ON telemetry (project, room_sid) WHERE room_sid IS NOT NULL;

CREATE TABLE upkeep (
    name    TEXT    NOT NULL PRIMARY KEY,
    done_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sign_ins (
    id         TEXT PRIMARY KEY,
    project    TEXT NOT NULL,
    credential TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX sign_ins_by_end ON sign_ins (ends_at);

CREATE TABLE used_sign_in_links (
    nonce      TEXT PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX recordings_by_age ON recordings (project, coalesce(started_at, created_at) DESC, id DESC);

CREATE INDEX recordings_by_room_name ON recordings (project, room_name, coalesce(started_at, created_at) DESC, id DESC);

CREATE INDEX recordings_by_session ON recordings (project, session_id);

CREATE TABLE rooms (
    recording   TEXT    NOT NULL PRIMARY KEY REFERENCES recordings (id),
    capture     TEXT    NOT NULL,
    -- How it is recorded: one document of a type of ours (`domain::options::RecordingOptions`).
    options     TEXT    NOT NULL,
    paused      INTEGER NOT NULL,
    -- Stretches of wall-clock time of which nothing is kept, whichever source brings it: JSON, nanoseconds.
    pauses      TEXT    NOT NULL,
    -- Identities that were excluded while it went on: JSON.
    excluded    TEXT    NOT NULL,
    -- Who was seen in the room and left out of its recording: JSON, on which side they are heard and since when. Never who they are.
    left_out    TEXT    NOT NULL DEFAULT '[]',
    owner       TEXT,
    lease_until INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX rooms_by_owner ON rooms (owner);

CREATE INDEX recordings_to_delete ON recordings (delete_at) WHERE delete_at IS NOT NULL;

CREATE TABLE inbox (
    project     TEXT    NOT NULL,
    -- 'webhook', 'poll', 'api'.
    source      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    -- LiveKit's name of a webhook's event, or a word of ours.
    kind        TEXT    NOT NULL,
    -- The recording that it is about. What a user asks of a room that is being recorded waits for the room's owner.
    recording   TEXT,
    room_sid    TEXT    NOT NULL,
    room_name   TEXT    NOT NULL,
    -- What else it says; emptied when it is done.
    body        TEXT    NOT NULL,
    -- Who asked, as their credentials say: never a name of a person.
    asked_by    TEXT,
    created_at  INTEGER,
    received_at INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    -- Not before this time again; null when it is done.
    due         INTEGER,
    -- What came of it, where somebody waits for that.
    outcome     TEXT,
    PRIMARY KEY (project, source, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_due ON inbox (due) WHERE due IS NOT NULL;

CREATE INDEX inbox_by_age ON inbox (received_at);

CREATE INDEX inbox_by_room ON inbox (project, room_sid);

CREATE INDEX inbox_by_recording ON inbox (recording) WHERE recording IS NOT NULL;

CREATE INDEX recordings_live ON recordings (created_at) WHERE status IN ('STARTING', 'ACTIVE');

CREATE TABLE renditions (
    recording   TEXT    NOT NULL REFERENCES recordings (id),
    id          TEXT    NOT NULL,
    position    INTEGER NOT NULL,
    codecs      TEXT    NOT NULL,
    -- Bits per second, at the peak.
    bandwidth   INTEGER NOT NULL,
    -- 'mpeg_ts' or 'fmp4'.
    container   TEXT    NOT NULL,
    -- Where its init section is, if it has one that is stored: JSON (`domain::location::Location`).
    init        TEXT,
    PRIMARY KEY (recording, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
    store     TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    project   TEXT    NOT NULL,
    recording TEXT,
    purpose   TEXT    NOT NULL,
    -- 'announced': may exist, nothing needs it yet. 'live': something needs it. 'condemned': nothing needs it any more. What has no row is
    -- not ours.
    state     TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    is_prefix INTEGER NOT NULL DEFAULT 0, place INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX objects_unneeded ON objects (since) WHERE state <> 'live';

CREATE INDEX objects_by_recording ON objects (recording) WHERE recording IS NOT NULL;

CREATE TABLE turns (
    capture TEXT    NOT NULL REFERENCES captures (id),
    seq     INTEGER NOT NULL,
    -- JSON (`domain::transcript::Turn`).
    turn    TEXT    NOT NULL,
    -- What turns are looked for by; nothing of it is stored twice.
    id      TEXT AS (turn ->> 'id'),
    kind    TEXT AS (turn ->> 'kind'),
    role    TEXT AS (turn ->> 'role'),
    text    TEXT AS (turn ->> 'text'),
    PRIMARY KEY (capture, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE masters (
    capture   TEXT NOT NULL REFERENCES captures (id),
    -- 'whole', until it is divided; then 'sound', 'words' and 'header'. Of an upload that is not divided, 'sound' is a range of 'whole'.
    part      TEXT NOT NULL,
    -- JSON (`domain::master::Master`).
    master    TEXT NOT NULL,
    -- Why 'whole' cannot be divided, if it cannot.
    undivided TEXT,
    -- The object of ours that it is in, or begins in; nothing of it is stored twice.
    key       TEXT AS (master ->> '$.key.own'),
    PRIMARY KEY (capture, part)
) STRICT, WITHOUT ROWID;

CREATE INDEX masters_by_key ON masters (key);

CREATE INDEX masters_undivided ON masters (capture) WHERE part = 'whole' AND undivided IS NULL;

CREATE TABLE rules (
    project  TEXT    NOT NULL,
    position INTEGER NOT NULL,
    -- JSON (`domain::rule::Rule`).
    rule     TEXT    NOT NULL,
    kind     TEXT AS (rule ->> '$.kind'),
    PRIMARY KEY (project, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE places (
    id         INTEGER NOT NULL PRIMARY KEY,
    -- The id in its marker (`storage::marked`).
    marker     TEXT    NOT NULL UNIQUE,
    -- How it is reached, without keys: JSON.
    settings   TEXT    NOT NULL,
    -- Since when it is written to; the last one is.
    used_since INTEGER NOT NULL
) STRICT;

CREATE TABLE leftovers (
    key   TEXT    NOT NULL,
    place INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (key, place)
) STRICT, WITHOUT ROWID;

CREATE INDEX leftovers_by_place ON leftovers (place);

CREATE TABLE sidecars (
    recording TEXT    NOT NULL PRIMARY KEY,
    -- Rises with each change, and what it was when the object was written; 0 if there is none yet.
    changed   INTEGER NOT NULL,
    written   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sidecars_stale ON sidecars (recording) WHERE written <> changed;

CREATE TRIGGER sidecar_of_new AFTER INSERT ON recordings BEGIN
    INSERT INTO sidecars (recording, changed, written)
        SELECT new.id, 1, 0 WHERE NOT EXISTS (SELECT 1 FROM sidecars WHERE recording = new.id);
END;

CREATE TRIGGER sidecar_of_recording AFTER UPDATE ON recordings
    WHEN new.status IN ('COMPLETED', 'FAILED') OR new.is_held <> old.is_held OR new.deletion <> old.deletion
        OR new.delete_at IS NOT old.delete_at OR new.sound_until IS NOT old.sound_until OR new.words_until IS NOT old.words_until
BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.id;
END;

CREATE TRIGGER sidecar_of_none AFTER DELETE ON recordings BEGIN
    DELETE FROM sidecars WHERE recording = old.id;
    UPDATE objects SET state = 'condemned', since = 0 WHERE recording = old.id AND purpose = 'sidecar';
END;

CREATE TRIGGER sidecar_of_new_capture AFTER INSERT ON captures BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

CREATE TRIGGER sidecar_of_capture AFTER UPDATE ON captures
    WHEN new.source <> 'recorder' OR (SELECT status FROM recordings WHERE id = new.recording) IN ('COMPLETED', 'FAILED')
BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

CREATE TRIGGER sidecar_of_no_capture AFTER DELETE ON captures BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = old.recording;
END;

CREATE TRIGGER sidecar_of_new_master AFTER INSERT ON masters BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = (SELECT captures.recording FROM captures JOIN recordings
        ON recordings.id = captures.recording WHERE captures.id = new.capture
        AND (captures.source <> 'recorder' OR recordings.status IN ('COMPLETED', 'FAILED')));
END;

CREATE TRIGGER sidecar_of_master AFTER UPDATE ON masters BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = (SELECT captures.recording FROM captures JOIN recordings
        ON recordings.id = captures.recording WHERE captures.id = new.capture
        AND (captures.source <> 'recorder' OR recordings.status IN ('COMPLETED', 'FAILED')));
END;

CREATE TRIGGER sidecar_of_segment AFTER UPDATE OF state ON segments WHEN old.state = 'stored' AND new.state <> 'stored' BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

CREATE TRIGGER sidecar_of_new_room AFTER INSERT ON rooms BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

CREATE TRIGGER sidecar_of_room AFTER UPDATE OF options, paused, pauses, excluded, left_out ON rooms BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

CREATE TRIGGER sidecar_of_tombstone AFTER INSERT ON tombstones WHEN new.recording IS NOT NULL BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
