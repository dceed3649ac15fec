-- Sidecars: which recordings have rows that their object in storage does not have yet (docs/sidecars.md).
CREATE TABLE sidecars (
    recording TEXT    NOT NULL PRIMARY KEY,
    -- Rises with each change, and what it was when the object was written; 0 if there is none yet.
    changed   INTEGER NOT NULL,
    written   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sidecars_stale ON sidecars (recording) WHERE written <> changed;

-- Of a room that goes on, only what must not be forgotten is a change: that there is one, its pauses, who is left out, and what sessions
-- brought.
CREATE TRIGGER sidecar_of_new AFTER INSERT ON recordings BEGIN
    INSERT INTO sidecars (recording, changed, written)
        SELECT new.id, 1, 0 WHERE NOT EXISTS (SELECT 1 FROM sidecars WHERE recording = new.id);
END;
CREATE TRIGGER sidecar_of_recording AFTER UPDATE ON recordings
    WHEN new.status IN ('COMPLETED', 'FAILED') OR new.is_held <> old.is_held OR new.deletion <> old.deletion
        OR new.delete_at IS NOT old.delete_at OR new.sound_until IS NOT old.sound_until OR new.words_until IS NOT old.words_until
BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.id;
END;
CREATE TRIGGER sidecar_of_none AFTER DELETE ON recordings BEGIN
    DELETE FROM sidecars WHERE recording = old.id;
    UPDATE objects SET state = 'condemned', since = 0 WHERE recording = old.id AND purpose = 'sidecar';
END;
CREATE TRIGGER sidecar_of_new_capture AFTER INSERT ON captures BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
CREATE TRIGGER sidecar_of_capture AFTER UPDATE ON captures
    WHEN new.source <> 'recorder' OR (SELECT status FROM recordings WHERE id = new.recording) IN ('COMPLETED', 'FAILED')
BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
CREATE TRIGGER sidecar_of_no_capture AFTER DELETE ON captures BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = old.recording;
END;
CREATE TRIGGER sidecar_of_new_master AFTER INSERT ON masters BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = (SELECT captures.recording FROM captures JOIN recordings
        ON recordings.id = captures.recording WHERE captures.id = new.capture
        AND (captures.source <> 'recorder' OR recordings.status IN ('COMPLETED', 'FAILED')));
END;
CREATE TRIGGER sidecar_of_master AFTER UPDATE ON masters BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = (SELECT captures.recording FROM captures JOIN recordings
        ON recordings.id = captures.recording WHERE captures.id = new.capture
        AND (captures.source <> 'recorder' OR recordings.status IN ('COMPLETED', 'FAILED')));
END;
-- A segment that is not stored any more must not be listed as one that is.
CREATE TRIGGER sidecar_of_segment AFTER UPDATE OF state ON segments WHEN old.state = 'stored' AND new.state <> 'stored' BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
CREATE TRIGGER sidecar_of_new_room AFTER INSERT ON rooms BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
CREATE TRIGGER sidecar_of_room AFTER UPDATE OF options, paused, pauses, excluded, left_out ON rooms BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;
CREATE TRIGGER sidecar_of_tombstone AFTER INSERT ON tombstones WHEN new.recording IS NOT NULL BEGIN
    UPDATE sidecars SET changed = changed + 1 WHERE recording = new.recording;
END;

INSERT INTO sidecars (recording, changed, written) SELECT id, 1, 0 FROM recordings;
