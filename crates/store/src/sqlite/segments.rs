//! The segment index, on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::RecordingId;
use echosphere_domain::lifecycle::Event;
use echosphere_domain::recording::Gap;
use echosphere_domain::segment::{Location, Segment};
use echosphere_domain::time::WallTime;
use sqlx::SqliteConnection;

use super::codec::{integer, json};
use super::{SqliteStore, codec, effects, objects, rows};
use crate::{Error, Result, Segments, StoredSegment};

const ACTION: &str = "change the segment index";

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx(ACTION, error)
}

pub(super) async fn insert(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    rendition: &str,
    revision: u32,
    segments: &[Segment],
) -> Result<()> {
    let recording = recording.to_string();
    for segment in segments {
        let (state, stored, missing) = match &segment.location {
            Location::Renderable => ("renderable", None, None),
            Location::Stored { key, offset, length } => ("stored", Some((key.as_str(), *offset, *length)), None),
            Location::Missing { reason } => ("missing", None, Some(reason)),
        };
        sqlx::query(
            "INSERT INTO segments (recording, rendition, revision, seq, discontinuity, capture, capture_index, media_start,
                                   ticks, timescale, wall_start, codecs, store, state, object_key, byte_offset,
                                   byte_length, missing)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 90000, ?, ?, 'main', ?, ?, ?, ?, ?)",
        )
        .bind(&recording)
        .bind(rendition)
        .bind(revision)
        .bind(segment.index)
        .bind(segment.discontinuity)
        .bind(segment.capture.to_string())
        .bind(segment.capture_index)
        .bind(segment.media_start.ticks())
        .bind(segment.duration.ticks())
        .bind(segment.wall_start.as_nanos())
        .bind(&segment.codecs)
        .bind(state)
        .bind(stored.map(|(key, _, _)| key))
        .bind(stored.map(|(_, offset, _)| integer(offset)))
        .bind(stored.map(|(_, _, length)| integer(length)))
        .bind(missing)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}

async fn note_stored(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    rendition: &str,
    revision: u32,
    stored: &[StoredSegment],
    now: WallTime,
) -> Result<bool> {
    let current: Option<u32> = sqlx::query_scalar("SELECT revision FROM recordings WHERE id = ? AND deletion = 'none'")
        .bind(recording.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed)?;
    let is_current = current == Some(revision);
    for segment in stored {
        let taken = if is_current {
            let done = sqlx::query(
                "UPDATE segments SET state = 'stored', object_key = ?1, byte_offset = ?2, byte_length = ?3, missing = NULL
                 WHERE recording = ?4 AND rendition = ?5 AND seq = ?6 AND (state <> 'stored' OR object_key = ?1)",
            )
            .bind(segment.key.as_str())
            .bind(integer(segment.offset))
            .bind(integer(segment.length))
            .bind(recording.to_string())
            .bind(rendition)
            .bind(segment.index)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
            done.rows_affected() == 1
        } else {
            false
        };
        if taken {
            objects::make_live(connection, &segment.key, now).await?;
        } else {
            condemn_unless_needed(connection, segment.key.as_str(), now).await?;
        }
    }
    Ok(is_current)
}

/// Condemns an object unless a segment of some current revision is in it.
pub(super) async fn condemn_unless_needed(connection: &mut SqliteConnection, key: &str, now: WallTime) -> Result<()> {
    let needed: i64 = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM segments WHERE object_key = ?)")
        .bind(key)
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if needed == 0 { objects::condemn(connection, key, now).await } else { Ok(()) }
}

async fn note_lost(
    connection: &mut SqliteConnection,
    recording: RecordingId,
    rendition: &str,
    revision: u32,
    index: u32,
    reason: &str,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE segments SET state = 'missing', missing = ?, object_key = NULL, byte_offset = NULL, byte_length = NULL
         WHERE recording = ? AND rendition = ? AND revision = ? AND seq = ? AND state <> 'missing' RETURNING *",
    )
    .bind(reason)
    .bind(recording.to_string())
    .bind(rendition)
    .bind(revision)
    .bind(index)
    .fetch_optional(&mut *connection)
    .await
    .map_err(failed)?;
    let Some(row) = row else { return Ok(()) };
    let segment = codec::segment(&row)?;
    let mut recording = rows::recording_by_id(connection, recording).await?;
    effects::step_recording(connection, &mut recording, Event::SegmentLost, segment.wall_start).await?;
    let gap = Gap { start: segment.media_start, duration: segment.duration, reason: reason.to_owned() };
    recording.gaps.push(gap);
    recording.gaps.sort_by_key(|gap| gap.start);
    let written = sqlx::query("UPDATE recordings SET gaps = ? WHERE id = ?").bind(json(&recording.gaps));
    written.bind(recording.id.to_string()).execute(connection).await.map_err(failed)?;
    Ok(())
}

#[async_trait]
impl Segments for SqliteStore {
    async fn segments(&self, recording: RecordingId, rendition: &str) -> Result<Vec<Segment>> {
        let rows = sqlx::query("SELECT * FROM segments WHERE recording = ? AND rendition = ? ORDER BY seq");
        let rows = rows.bind(recording.to_string()).bind(rendition).fetch_all(&self.readers).await;
        rows.map_err(|e| Error::from_sqlx("read segments", e))?.iter().map(codec::segment).collect()
    }

    async fn segment(&self, recording: RecordingId, rendition: &str, index: u32) -> Result<Option<Segment>> {
        let row = sqlx::query("SELECT * FROM segments WHERE recording = ? AND rendition = ? AND seq = ?");
        let row = row.bind(recording.to_string()).bind(rendition).bind(index).fetch_optional(&self.readers).await;
        row.map_err(|e| Error::from_sqlx("read a segment", e))?.as_ref().map(codec::segment).transpose()
    }

    async fn segments_stored(
        &self,
        recording: RecordingId,
        rendition: &str,
        revision: u32,
        stored: &[StoredSegment],
        now: WallTime,
    ) -> Result<bool> {
        let (rendition, stored) = (rendition.to_owned(), stored.to_vec());
        self.write("note stored segments", move |connection| {
            Box::pin(async move { note_stored(connection, recording, &rendition, revision, &stored, now).await })
        })
        .await
    }

    async fn segment_lost(
        &self,
        recording: RecordingId,
        rendition: &str,
        revision: u32,
        index: u32,
        reason: &str,
    ) -> Result<()> {
        let (rendition, reason) = (rendition.to_owned(), reason.to_owned());
        self.write("note a lost segment", move |connection| {
            Box::pin(async move { note_lost(connection, recording, &rendition, revision, index, &reason).await })
        })
        .await
    }
}
