-- Who was in a room, as LiveKit's webhooks named them; also of rooms that are recorded later, or were while the recorder was away.
-- `who` is the SHA-256 of the identity; of somebody who is left out it is all that is kept, and `person` is empty.
CREATE TABLE people (
    project  TEXT NOT NULL,
    room_sid TEXT NOT NULL,
    who      TEXT NOT NULL,
    person   TEXT NOT NULL,
    told_at  INTEGER NOT NULL,
    PRIMARY KEY (project, room_sid, who)
) WITHOUT ROWID;
