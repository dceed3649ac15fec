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

-- Copies that objects left in other places when they were moved, or written anew: from when on nobody reads them there.
CREATE TABLE leftovers (
    key   TEXT    NOT NULL,
    place INTEGER NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (key, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX leftovers_by_place ON leftovers (place);
