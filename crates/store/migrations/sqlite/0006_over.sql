-- Whether the room is over while what was heard of it still waits for storage: from then on its name may be used again, and the
-- room itself be recorded anew.
ALTER TABLE recordings ADD COLUMN is_over INTEGER NOT NULL DEFAULT 0;
DROP INDEX recordings_live_room;
CREATE UNIQUE INDEX recordings_live_room ON recordings (project, room_sid)
    WHERE room_sid IS NOT NULL AND status IN ('STARTING', 'ACTIVE') AND deletion = 'none' AND is_over = 0;
