-- A session is a capture of the recording that captured its room, or a recording of its own; where the room's recording does not
-- hold all of it, both.

-- Where the body of an upload is kept. It stays there when its capture becomes another recording's, or another one's as well.
ALTER TABLE captures ADD COLUMN body TEXT;
-- The capture of a room's recording that has the same session: the same body, which is that one's.
ALTER TABLE captures ADD COLUMN copy_of TEXT;
-- Whether it is known whether the room's recording holds all of this session.
ALTER TABLE captures ADD COLUMN is_placed INTEGER NOT NULL DEFAULT 0;

UPDATE captures SET body = (SELECT prefix FROM recordings WHERE recordings.id = captures.recording) || '/' || attempt || '/upload.multipart'
    WHERE upload IS NOT NULL;

CREATE INDEX captures_by_body ON captures (body) WHERE body IS NOT NULL;
CREATE INDEX captures_by_copy ON captures (copy_of) WHERE copy_of IS NOT NULL;
