-- Rooms that we record ourselves. A room may be recorded again after its recording was stopped, so only one *live* recording
-- for a room is what the database itself holds to.
DROP INDEX recordings_by_room;
CREATE UNIQUE INDEX recordings_live_room ON recordings (project, room_sid)
    WHERE room_sid IS NOT NULL AND status IN ('STARTING', 'ACTIVE');
CREATE INDEX recordings_by_room ON recordings (project, room_sid, created_at DESC) WHERE room_sid IS NOT NULL;

-- What a room's recorder was told, for the process that goes on after this one.
CREATE TABLE live (
    recording TEXT NOT NULL PRIMARY KEY REFERENCES recordings (id),
    capture   TEXT NOT NULL,
    settings  TEXT NOT NULL,
    paused    INTEGER NOT NULL,
    -- Stretches of wall-clock time of which nothing is kept, whichever source brings it: JSON, nanoseconds.
    pauses    TEXT NOT NULL,
    excluded  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
