//! Implements `CaptureRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId, UploadId};
use echosphere_domain::recording::{Audio, Capture, CaptureStatus};
use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::Alignment;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::{CaptureRows, Undone};
use crate::sqlite::codec::{self, CAPTURE_COLUMNS, WithoutMaster, WithoutTurns, json, word};
use crate::sqlite::conditions::CAPTURED_ROOM;
use crate::{Error, Publication, Result};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change a capture", error)
}

/// The captures with this value in a column, in the order of their attempts.
async fn captures(connection: &mut SqliteConnection, column: &'static str, value: String) -> Result<Vec<Capture>> {
    let query = format!("SELECT {CAPTURE_COLUMNS} FROM captures WHERE {column} = ? ORDER BY attempt");
    let rows = sqlx::query(AssertSqlSafe(query)).bind(value).fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(codec::capture).collect()
}

#[async_trait]
impl CaptureRows for SqliteConnection {
    async fn capture(&mut self, id: CaptureId) -> Result<Option<Capture>> {
        Ok(captures(self, "id", id.to_string()).await?.pop())
    }

    async fn captures_of(&mut self, recording: RecordingId) -> Result<Vec<Capture>> {
        captures(self, "recording", recording.to_string()).await
    }

    async fn capture_of_upload(&mut self, upload: UploadId) -> Result<Option<Capture>> {
        Ok(captures(self, "upload", upload.to_string()).await?.pop())
    }

    async fn copy_of(&mut self, capture: CaptureId) -> Result<Option<Capture>> {
        Ok(captures(self, "copy_of", capture.to_string()).await?.pop())
    }

    async fn insert_capture(&mut self, capture: &Capture, project: &ProjectId) -> Result<()> {
        let inserted = sqlx::query(
            "INSERT INTO captures (id, recording, project, attempt, source, status, upload, job_id, audio)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(capture.id.to_string())
        .bind(capture.recording.to_string())
        .bind(project.as_str())
        .bind(capture.attempt)
        .bind(word(capture.source))
        .bind(word(capture.status))
        .bind(capture.upload.map(|upload| upload.to_string()))
        .bind(&capture.job_id)
        .bind(capture.audio.as_ref().map(|audio| json(&WithoutMaster::of(audio))))
        .execute(self)
        .await;
        inserted.map(|_| ()).map_err(failed)
    }

    async fn delete_capture(&mut self, id: CaptureId) -> Result<()> {
        let deleted = sqlx::query("DELETE FROM captures WHERE id = ?").bind(id.to_string());
        deleted.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn last_attempt(&mut self, recording: RecordingId) -> Result<u32> {
        let last = sqlx::query_scalar::<_, Option<u32>>("SELECT max(attempt) FROM captures WHERE recording = ?");
        Ok(last.bind(recording.to_string()).fetch_one(self).await.map_err(failed)?.unwrap_or(0))
    }

    async fn set_copy_of(&mut self, copy: CaptureId, original: CaptureId) -> Result<()> {
        let set = sqlx::query("UPDATE captures SET copy_of = ? WHERE id = ?").bind(original.to_string());
        set.bind(copy.to_string()).execute(&mut *self).await.map_err(failed)?;
        let copied = sqlx::query(
            "INSERT INTO masters (capture, part, master, undivided)
             SELECT ?, part, master, undivided FROM masters WHERE capture = ?",
        );
        copied.bind(copy.to_string()).bind(original.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_read(&mut self, publication: &Publication) -> Result<()> {
        let capture = &publication.capture;
        let set = sqlx::query(
            "UPDATE captures SET status = ?, started_at = ?, ended_at = ?, error = ?, audio = ?, audio_index = ?, transcript = ?
             WHERE id = ?",
        )
        .bind(word(capture.status))
        .bind(capture.started_at.map(WallTime::as_nanos))
        .bind(capture.ended_at.map(WallTime::as_nanos))
        .bind(&capture.error)
        .bind(capture.audio.as_ref().map(|audio| json(&WithoutMaster::of(audio))))
        .bind(&publication.audio_index)
        .bind(publication.transcript.as_ref().map(|transcript| json(&WithoutTurns::of(&transcript.alignment))))
        .bind(capture.id.to_string())
        .execute(self)
        .await;
        set.map(|_| ()).map_err(failed)
    }

    async fn empty_capture(&mut self, id: CaptureId, status: CaptureStatus) -> Result<()> {
        let emptied = sqlx::query(
            "UPDATE captures SET status = ?, audio = NULL, audio_index = NULL, transcript = NULL WHERE id = ?",
        );
        emptied.bind(word(status)).bind(id.to_string()).execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_audio(&mut self, recording: RecordingId, capture: CaptureId, audio: &Audio) -> Result<()> {
        let set = sqlx::query("UPDATE captures SET audio = ? WHERE id = ? AND recording = ?")
            .bind(json(&WithoutMaster::of(audio)));
        let set = set.bind(capture.to_string()).bind(recording.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn set_alignment(
        &mut self,
        recording: RecordingId,
        capture: CaptureId,
        alignment: &Alignment,
    ) -> Result<bool> {
        let set =
            sqlx::query("UPDATE captures SET transcript = ? WHERE id = ? AND recording = ? AND transcript IS NOT NULL");
        let set = set.bind(json(&WithoutTurns::of(alignment))).bind(capture.to_string()).bind(recording.to_string());
        Ok(set.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn move_capture(
        &mut self,
        capture: CaptureId,
        from: RecordingId,
        to: RecordingId,
        attempt: u32,
    ) -> Result<bool> {
        let set = sqlx::query("UPDATE captures SET recording = ?, attempt = ? WHERE id = ? AND recording = ?");
        let set = set.bind(to.to_string()).bind(attempt).bind(capture.to_string()).bind(from.to_string());
        Ok(set.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn set_placed(&mut self, capture: CaptureId) -> Result<()> {
        let set = sqlx::query("UPDATE captures SET is_placed = 1 WHERE id = ?").bind(capture.to_string());
        set.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn unplaced(&mut self, after: Option<CaptureId>, limit: u32) -> Result<Vec<Undone>> {
        let query = format!(
            "SELECT captures.id, captures.project, captures.recording AS mine FROM captures
             JOIN recordings ON recordings.id = captures.recording
             WHERE captures.is_placed = 0 AND captures.source = 'upload' AND captures.status IN ('complete', 'partial')
             AND recordings.deletion = 'none' AND recordings.analysis IS NOT NULL AND {CAPTURED_ROOM} AND captures.id > ?
             ORDER BY captures.id LIMIT ?",
        );
        let rows = sqlx::query(AssertSqlSafe(query)).bind(after.map(|id| id.to_string()).unwrap_or_default());
        let rows = rows.bind(limit).fetch_all(self).await.map_err(failed)?;
        rows.iter().map(codec::undone).collect()
    }
}
