-- The tracks that a room's capture log has: JSON.
ALTER TABLE recordings ADD COLUMN tracks TEXT NOT NULL DEFAULT '[]';

-- Webhooks of LiveKit's, kept before they are answered, worked off in the order in which they came, and kept for a day after
-- that, so that one that comes again is known.
CREATE TABLE webhooks (
    project     TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    event       TEXT    NOT NULL,
    room_sid    TEXT    NOT NULL,
    room_name   TEXT    NOT NULL,
    created_at  INTEGER,
    received_at INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    attempts    INTEGER NOT NULL,
    -- Not before this time again; null when it is done.
    due         INTEGER,
    PRIMARY KEY (project, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX webhooks_due ON webhooks (due) WHERE due IS NOT NULL;
CREATE INDEX webhooks_by_age ON webhooks (received_at);

-- What was asked for under an Idempotency-Key, and what came of it.
CREATE TABLE idempotency (
    project   TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    asked     TEXT    NOT NULL,
    recording TEXT    NOT NULL REFERENCES recordings (id),
    at        INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_age ON idempotency (at);
