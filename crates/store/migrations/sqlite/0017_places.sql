-- Places: where objects are written, and where they were before the setting was changed (docs/decisions/0016-places.md).
CREATE TABLE places (
    id         INTEGER NOT NULL PRIMARY KEY,
    -- The id in its marker (`storage::marked`).
    marker     TEXT    NOT NULL UNIQUE,
    -- How it is reached, without keys: JSON.
    settings   TEXT    NOT NULL,
    -- Since when it is written to; the last one is.
    used_since INTEGER NOT NULL
) STRICT;

-- In which place an object is.
ALTER TABLE objects ADD COLUMN place INTEGER NOT NULL DEFAULT 1;
-- An earlier place that has its bytes too, and from when on nobody reads them there.
ALTER TABLE objects ADD COLUMN left_in INTEGER;
ALTER TABLE objects ADD COLUMN left_until INTEGER;
CREATE INDEX objects_left ON objects (left_until) WHERE left_in IS NOT NULL;
