-- Who was seen in a room and left out of its recording: JSON, on which side they are heard and since when. Never who they are.
ALTER TABLE live ADD COLUMN left_out TEXT NOT NULL DEFAULT '[]';
