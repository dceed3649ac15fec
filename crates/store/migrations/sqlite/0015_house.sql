-- What the next sources, stores and databases need of the rows (docs/decisions/0014-house.md).

-- A room that is being recorded has an owner: the node whose process records it. Only the owner acts on the room, and prolongs its
-- lease; a room whose lease has expired is resumed by whoever finds it.
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
INSERT INTO rooms (recording, capture, options, paused, pauses, excluded, left_out)
    SELECT recording, capture, settings, paused, pauses, excluded, left_out FROM live;
DROP TABLE live;
CREATE INDEX rooms_by_owner ON rooms (owner);

-- A task that was claimed: by which node, so that a process that starts again frees its own and nobody else's.
ALTER TABLE tasks ADD COLUMN owner TEXT;

-- When it is to be deleted, while that is scheduled; then `deletion` is still 'none'.
ALTER TABLE recordings ADD COLUMN delete_at INTEGER;
-- Whether it is under legal hold.
ALTER TABLE recordings ADD COLUMN is_held INTEGER NOT NULL DEFAULT 0;
CREATE INDEX recordings_to_delete ON recordings (delete_at) WHERE delete_at IS NOT NULL;

-- What has happened, in the order in which it was received: webhooks, what polling found, and what users asked for. Each is stored
-- before it is answered, and stays for a day after it is done, so that one that comes again is known.
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

INSERT INTO inbox (project, source, id, kind, room_sid, room_name, body, created_at, received_at, attempts, due)
    SELECT project, 'webhook', id, event, room_sid, room_name, body, created_at, received_at, attempts, due FROM webhooks;
DROP TABLE webhooks;

CREATE INDEX inbox_due ON inbox (due) WHERE due IS NOT NULL;
CREATE INDEX inbox_by_age ON inbox (received_at);
CREATE INDEX inbox_by_room ON inbox (project, room_sid);
CREATE INDEX inbox_by_recording ON inbox (recording) WHERE recording IS NOT NULL;

-- The rooms that go on are looked for every few seconds.
CREATE INDEX recordings_live ON recordings (created_at) WHERE status IN ('STARTING', 'ACTIVE');

-- The forms in which a recording can be played. The first one is the one that its timeline is made from.
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

INSERT INTO renditions (recording, id, position, codecs, bandwidth, container)
    SELECT recording, rendition, 0, max(codecs), 80000, 'mpeg_ts' FROM segments GROUP BY recording, rendition;

-- Whether `object_key` is a key that somebody else made: it is kept as it is, and never made into a path.
ALTER TABLE segments ADD COLUMN is_foreign INTEGER NOT NULL DEFAULT 0;

-- A key names an object in a store. An announcement may be of all keys that begin with it (`is_prefix`): what somebody else writes there
-- for us, and nowhere else, may be listed and deleted.
-- Renaming a table would cost the start of each new database more than all else here.
CREATE TABLE objects_before AS SELECT * FROM objects;
DROP TABLE objects;
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
    is_prefix INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (store, key)
) STRICT, WITHOUT ROWID;

INSERT INTO objects (store, key, project, recording, purpose, state, since)
    SELECT 'main', key, project, recording, purpose, state, since FROM objects_before;
DROP TABLE objects_before;
CREATE INDEX objects_unneeded ON objects (since) WHERE state <> 'live';
CREATE INDEX objects_by_recording ON objects (recording) WHERE recording IS NOT NULL;

-- What was said, typed, called or done in a capture, in the order in which it began.
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

INSERT INTO turns (capture, seq, turn) SELECT captures.id, told.key, told.value
    FROM captures, json_each(iif(json_valid(captures.transcript), captures.transcript, NULL), '$.turns') AS told;
-- `captures.transcript` keeps the rest of a transcript, which is null still where there is none. What is not JSON stays as it is:
-- it could not be read before, and cannot be now.
UPDATE captures SET transcript = json_remove(transcript, '$.turns') WHERE json_valid(transcript);
