//! Implements `Segments` on SQLite: reads by itself, and writes by the rules.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, ProjectId, RecordingId};
use echosphere_domain::rendition::{Rendition, RenditionId};
use echosphere_domain::segment::Segment;
use echosphere_domain::time::WallTime;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::codec::{self, Reader};
use crate::{Error, Result, Segments, StoredSegment, rules};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("read the segment index", error)
}

#[async_trait]
impl Segments for SqliteStore {
    async fn renditions(&self, recording: RecordingId) -> Result<Vec<Rendition>> {
        let rows = sqlx::query("SELECT * FROM renditions WHERE recording = ? ORDER BY position");
        let rows = rows.bind(recording.to_string()).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(codec::rendition).collect()
    }

    async fn segment_index(&self, recording: RecordingId) -> Result<Vec<Segment>> {
        let rows = sqlx::query(
            "SELECT * FROM segments WHERE recording = ?1
             AND rendition = (SELECT id FROM renditions WHERE recording = ?1 ORDER BY position LIMIT 1) ORDER BY seq",
        );
        let rows = rows.bind(recording.to_string()).fetch_all(&self.readers).await.map_err(failed)?;
        rows.iter().map(codec::segment).collect()
    }

    async fn segments(&self, recording: RecordingId, rendition: &RenditionId) -> Result<Vec<Segment>> {
        let rows = sqlx::query("SELECT * FROM segments WHERE recording = ? AND rendition = ? ORDER BY seq");
        let rows = rows.bind(recording.to_string()).bind(rendition.as_str()).fetch_all(&self.readers).await;
        rows.map_err(failed)?.iter().map(codec::segment).collect()
    }

    async fn segment(&self, recording: RecordingId, rendition: &RenditionId, index: u32) -> Result<Option<Segment>> {
        let row = sqlx::query("SELECT * FROM segments WHERE recording = ? AND rendition = ? AND seq = ?");
        let row = row.bind(recording.to_string()).bind(rendition.as_str()).bind(index);
        let row = row.fetch_optional(&self.readers).await.map_err(failed)?;
        row.as_ref().map(codec::segment).transpose()
    }

    async fn segments_stored(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        stored: &[StoredSegment],
        now: WallTime,
    ) -> Result<bool> {
        let (rendition, stored) = (rendition.clone(), stored.to_vec());
        self.write("note stored segments", move |rows| {
            Box::pin(async move { rules::segments::stored(rows, recording, &rendition, revision, &stored, now).await })
        })
        .await
    }

    async fn segment_lost(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        index: u32,
        reason: &str,
    ) -> Result<()> {
        let (rendition, reason) = (rendition.clone(), reason.to_owned());
        self.write("note a lost segment", move |rows| {
            Box::pin(async move { rules::segments::lost(rows, recording, &rendition, revision, index, &reason).await })
        })
        .await
    }

    async fn with_old_segments(
        &self,
        before: WallTime,
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<(ProjectId, RecordingId)>> {
        let rows = sqlx::query(
            "SELECT id, project FROM recordings
             WHERE id > ?1 AND status IN ('COMPLETED', 'FAILED') AND EXISTS (
                 SELECT 1 FROM objects WHERE recording = recordings.id AND purpose = 'segment' AND state = 'live' AND since < ?2)
             ORDER BY id LIMIT ?3",
        );
        let rows = rows.bind(after.map(|id| id.to_string()).unwrap_or_default()).bind(before.as_nanos()).bind(limit);
        let found = |row: &SqliteRow| {
            let row = Reader::new("recordings", row);
            Ok((row.project()?, row.parse("id")?))
        };
        rows.fetch_all(&self.readers).await.map_err(failed)?.iter().map(found).collect()
    }

    async fn give_up_segments(
        &self,
        recording: RecordingId,
        rendition: &RenditionId,
        captures: &[CaptureId],
        before: WallTime,
        gone: WallTime,
    ) -> Result<u64> {
        let (rendition, captures) = (rendition.clone(), captures.to_vec());
        self.write("give up old segments", move |rows| {
            Box::pin(
                async move { rules::segments::give_up(rows, recording, &rendition, &captures, before, gone).await },
            )
        })
        .await
    }
}
