-- The list shows calls by their own time: when they began, or where that is not known yet, when they came.
DROP INDEX recordings_by_age;
DROP INDEX recordings_by_room_name;
DROP INDEX recordings_by_session;
CREATE INDEX recordings_by_age ON recordings (project, coalesce(started_at, created_at) DESC, id DESC);
CREATE INDEX recordings_by_room_name ON recordings (project, room_name, coalesce(started_at, created_at) DESC, id DESC);
CREATE INDEX recordings_by_session ON recordings (project, session_id);

-- Whether a recording is of a test of the agent, and not of a call.
ALTER TABLE recordings ADD COLUMN simulated INTEGER NOT NULL DEFAULT 0;
