-- Times are nanoseconds since the Unix epoch, media times ticks of 90 kHz, ids hyphenated UUIDs, lists and maps JSON.
-- Every table that a user's data is in has a project, and so has every key that comes from outside.

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
) STRICT;

-- One recording for a room: the database itself refuses a second one.
CREATE UNIQUE INDEX recordings_by_room ON recordings (project, room_sid) WHERE room_sid IS NOT NULL;
CREATE INDEX recordings_by_age ON recordings (project, created_at DESC, id DESC);
CREATE INDEX recordings_by_room_name ON recordings (project, room_name, created_at DESC, id DESC);
CREATE INDEX recordings_by_session ON recordings (project, session_id, created_at DESC, id DESC);

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
    transcript  TEXT,
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
) STRICT;

CREATE INDEX uploads_open ON uploads (state) WHERE state IN ('receiving', 'quarantined');

-- The segment index of the current revision of each recording.
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
    missing       TEXT,
    PRIMARY KEY (recording, rendition, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX segments_by_object ON segments (object_key) WHERE object_key IS NOT NULL;

-- Every key has a row before its first PUT. 'announced': may exist, nothing needs it yet. 'live': something needs it.
-- 'condemned': nothing needs it any more. What has no row is not ours.
CREATE TABLE objects (
    key       TEXT    NOT NULL PRIMARY KEY,
    project   TEXT    NOT NULL,
    recording TEXT,
    purpose   TEXT    NOT NULL,
    state     TEXT    NOT NULL,
    since     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX objects_unneeded ON objects (since) WHERE state <> 'live';
CREATE INDEX objects_by_recording ON objects (recording) WHERE recording IS NOT NULL;

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
) STRICT;

-- An open task is queued once, however many ask for it.
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
