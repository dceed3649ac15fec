-- Deleted means gone (docs/decisions/0012-deletion.md).

-- What must not come back: sessions and rooms that were deleted, are left out by a rule, or asked for redaction. Ids and times
-- alone: no names.
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

INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
    SELECT project, id, iif(id IN (SELECT recording FROM live), NULL, session_id), room_sid, started_at,
           CASE WHEN ifnull(reason, '') = 'nobody_came' THEN 'nothing' WHEN id IN (SELECT recording FROM live) THEN 'room' ELSE 'session' END,
           'deleted', created_at
    FROM recordings WHERE deletion <> 'none';
INSERT INTO tombstones (project, recording, job_id, room_sid, started_at, scope, reason, at)
    SELECT captures.project, recording, job_id, room_sid, captures.started_at, 'session', 'deleted', created_at
    FROM captures JOIN recordings ON recordings.id = captures.recording
    WHERE recordings.deletion <> 'none' AND captures.source = 'upload'
    AND NOT EXISTS (SELECT 1 FROM tombstones WHERE tombstones.recording = captures.recording AND tombstones.job_id = captures.job_id);

-- Whose session an upload is, as its header says; the room's name where somebody else told it.
ALTER TABLE uploads ADD COLUMN job_id TEXT;
ALTER TABLE uploads ADD COLUMN room_sid TEXT;
ALTER TABLE uploads ADD COLUMN room_name TEXT;
-- Whether it may become a recording though the name of its room is not known.
ALTER TABLE uploads ADD COLUMN is_released INTEGER NOT NULL DEFAULT 0;
DROP INDEX uploads_open;
CREATE INDEX uploads_open ON uploads (state, received_at) WHERE state IN ('receiving', 'received', 'held', 'quarantined');

-- What is looked for by job and room.
CREATE INDEX uploads_by_job ON uploads (project, job_id) WHERE job_id IS NOT NULL;
CREATE INDEX uploads_by_room ON uploads (project, room_sid) WHERE room_sid IS NOT NULL;
CREATE INDEX telemetry_by_room ON telemetry (project, room_sid) WHERE room_sid IS NOT NULL;
CREATE INDEX webhooks_by_room ON webhooks (project, room_sid);

-- What is done once for a data directory, and when it was.
CREATE TABLE upkeep (
    name    TEXT    NOT NULL PRIMARY KEY,
    done_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
