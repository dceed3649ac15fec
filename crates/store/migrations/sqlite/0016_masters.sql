-- What is kept of a capture as it came: its masters, divided into parts that can go at different times
-- (docs/decisions/0014-house.md).
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

INSERT INTO masters (capture, part, master)
    SELECT id, 'whole', json_object('kind', 'file', 'store', 'main', 'key', json_object('own', body), 'range', NULL)
    FROM captures WHERE body IS NOT NULL;
INSERT INTO masters (capture, part, master)
    SELECT id, 'sound', json_object('kind', 'ogg', 'store', 'main', 'key', json_object('own', audio ->> '$.key'),
        'range', json_object('offset', audio -> '$.offset', 'length', audio -> '$.length'))
    FROM captures WHERE json_valid(audio) AND audio ->> '$.key' IS NOT NULL AND ifnull(audio ->> '$.chunks', 0) = 0;
INSERT INTO masters (capture, part, master)
    SELECT id, 'whole', json_object('kind', 'log', 'store', 'main', 'key', json_object('own', audio ->> '$.key'), 'range', NULL,
        'is_joined', json('false'), 'chunks', audio -> '$.chunks', 'length', audio -> '$.length',
        'is_gone', json(iif(audio ->> '$.is_gone', 'true', 'false')))
    FROM captures WHERE json_valid(audio) AND audio ->> '$.key' IS NOT NULL AND audio ->> '$.chunks' > 0;
UPDATE captures SET audio = json_remove(audio, '$.key', '$.chunks', '$.offset', '$.length', '$.is_gone', '$.elsewhere')
    WHERE json_valid(audio);

DROP INDEX captures_by_body;
ALTER TABLE captures DROP COLUMN body;
CREATE INDEX masters_by_key ON masters (key);
CREATE INDEX masters_undivided ON masters (capture) WHERE part = 'whole' AND undivided IS NULL;

-- What a deletion may wait for is never given up from now on.
UPDATE OR IGNORE tasks SET dead = 0, attempts = 0, lease_until = NULL WHERE kind = 'compose' AND dead = 1;
DELETE FROM tasks WHERE kind = 'compose' AND dead = 1;

-- What a project wants done with rooms by themselves, in the order in which it counts.
CREATE TABLE rules (
    project  TEXT    NOT NULL,
    position INTEGER NOT NULL,
    -- JSON (`domain::rule::Rule`).
    rule     TEXT    NOT NULL,
    kind     TEXT AS (rule ->> '$.kind'),
    PRIMARY KEY (project, position)
) STRICT, WITHOUT ROWID;

-- Until when sound and words are kept, where they are not kept for ever.
ALTER TABLE recordings ADD COLUMN sound_until INTEGER;
ALTER TABLE recordings ADD COLUMN words_until INTEGER;
