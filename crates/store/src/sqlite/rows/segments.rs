//! Implements `SegmentRows` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::{CaptureId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::location::{ByteRange, Key, Location};
use echosphere_domain::rendition::{Rendition, RenditionId};
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::WallTime;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, SqliteConnection};

use crate::rows::SegmentRows;
use crate::sqlite::codec::{self, Reader, integer, json, word};
use crate::{Error, Result, StoredSegment};

fn failed(error: sqlx::Error) -> Error {
    Error::from_sqlx("change the segment index", error)
}

/// How many segments a statement inserts.
const AT_ONCE: usize = 1_000;
/// The objects of ours that deleted segments were stored in.
const RETURNING_OWN: &str = "RETURNING iif(store = 'main' AND is_foreign = 0, object_key, NULL) AS object_key";

/// The values of a segment's own columns.
fn values(segment: &Segment) -> impl Serialize + use<> {
    let (state, stored, missing) = match &segment.state {
        SegmentState::Renderable => ("renderable", None, None),
        SegmentState::Stored(location) => ("stored", Some(location), None),
        SegmentState::Missing { reason } => ("missing", None, Some(reason.clone())),
    };
    let range = stored.map(|location| location.range.unwrap_or(ByteRange { offset: 0, length: 0 }));
    (
        segment.index,
        segment.discontinuity,
        segment.capture.to_string(),
        segment.capture_index,
        segment.media_start.ticks(),
        segment.duration.ticks(),
        segment.wall_start.as_nanos(),
        segment.codecs.clone(),
        (
            stored.map_or("main", |location| location.store.as_str()).to_owned(),
            state,
            stored.map(|location| location.key.as_str().to_owned()),
            u8::from(stored.is_some_and(|location| matches!(location.key, Key::Foreign(_)))),
            range.map(|range| integer(range.offset)),
            range.map(|range| integer(range.length)),
            missing,
        ),
    )
}

/// The objects that deleted segments were stored in.
fn keys(rows: Vec<SqliteRow>) -> Result<Vec<ObjectKey>> {
    let keys = rows.iter().map(|row| Reader::new("segments", row).maybe_parse("object_key"));
    keys.filter_map(Result::transpose).collect()
}

#[async_trait]
impl SegmentRows for SqliteConnection {
    async fn put_rendition(&mut self, recording: RecordingId, rendition: &Rendition) -> Result<()> {
        let put = sqlx::query(
            "INSERT INTO renditions (recording, id, position, codecs, bandwidth, container, init)
             SELECT ?1, ?2, (SELECT count(*) FROM renditions WHERE recording = ?1), ?3, ?4, ?5, ?6 WHERE true
             ON CONFLICT (recording, id) DO UPDATE SET codecs = excluded.codecs, bandwidth = excluded.bandwidth,
                 container = excluded.container, init = excluded.init",
        );
        let put = put.bind(recording.to_string()).bind(rendition.id.as_str()).bind(&rendition.codecs);
        let put = put.bind(integer(rendition.bandwidth)).bind(word(rendition.container));
        let put = put.bind(rendition.init.as_ref().map(json));
        put.execute(self).await.map(|_| ()).map_err(failed)
    }

    async fn insert_segments(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        segments: &[Segment],
    ) -> Result<()> {
        // A statement for each would take longer on its way than in the database: an hour has 900 of them.
        for some in segments.chunks(AT_ONCE) {
            let values: Vec<_> = some.iter().map(values).collect();
            let insert = sqlx::query(
                "INSERT INTO segments (recording, rendition, revision, seq, discontinuity, capture, capture_index, media_start,
                                       ticks, timescale, wall_start, codecs, store, state, object_key, is_foreign, byte_offset,
                                       byte_length, missing)
                 SELECT ?1, ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, 90000,
                        value ->> 6, value ->> 7, value ->> '$[8][0]', value ->> '$[8][1]', value ->> '$[8][2]', value ->> '$[8][3]',
                        value ->> '$[8][4]', value ->> '$[8][5]', value ->> '$[8][6]' FROM json_each(?4)",
            );
            let insert = insert.bind(recording.to_string()).bind(rendition.as_str()).bind(revision);
            insert.bind(json(&values)).execute(&mut *self).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn set_stored(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        stored: &StoredSegment,
    ) -> Result<bool> {
        let set = sqlx::query(
            "UPDATE segments SET state = 'stored', store = ?1, object_key = ?2, is_foreign = ?3, byte_offset = ?4, byte_length = ?5,
                 missing = NULL
             WHERE recording = ?6 AND rendition = ?7 AND seq = ?8
             AND (state <> 'stored' OR (store = ?1 AND object_key = ?2 AND is_foreign = ?3))",
        );
        let Location { store, key, range } = &stored.location;
        let range = range.unwrap_or(ByteRange { offset: 0, length: 0 });
        let set = set.bind(store.as_str()).bind(key.as_str()).bind(matches!(key, Key::Foreign(_)));
        let set = set.bind(integer(range.offset)).bind(integer(range.length));
        let set = set.bind(recording.to_string()).bind(rendition.as_str()).bind(stored.index);
        Ok(set.execute(self).await.map_err(failed)?.rows_affected() == 1)
    }

    async fn set_missing(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        revision: u32,
        index: u32,
        reason: &str,
    ) -> Result<Option<Segment>> {
        let row = sqlx::query(
            "UPDATE segments SET state = 'missing', missing = ?, object_key = NULL, byte_offset = NULL, byte_length = NULL
             WHERE recording = ? AND rendition = ? AND revision = ? AND seq = ? AND state <> 'missing' RETURNING *",
        );
        let row = row.bind(reason).bind(recording.to_string()).bind(rendition.as_str()).bind(revision).bind(index);
        row.fetch_optional(self).await.map_err(failed)?.as_ref().map(codec::segment).transpose()
    }

    async fn set_renderable(
        &mut self,
        recording: RecordingId,
        rendition: &RenditionId,
        captures: &[CaptureId],
        before: WallTime,
    ) -> Result<Vec<ObjectKey>> {
        let old = "recording = ?1 AND rendition = ?2 AND state = 'stored' AND store = 'main' AND is_foreign = 0
             AND capture IN (SELECT value FROM json_each(?3)) AND object_key IN (
                 SELECT key FROM objects WHERE store = 'main' AND recording = ?1 AND state = 'live' AND since < ?4)";
        let bind = |statement: String| sqlx::query(AssertSqlSafe(statement)).bind(recording.to_string());
        let captures = json(&captures.iter().map(ToString::to_string).collect::<Vec<_>>());
        // What a statement returns of a row that it changes is what it changed it to.
        let rows = bind(format!("SELECT object_key FROM segments WHERE {old}")).bind(rendition.as_str());
        let rows = rows.bind(&captures).bind(before.as_nanos()).fetch_all(&mut *self).await.map_err(failed)?;
        let set = bind(format!(
            "UPDATE segments SET state = 'renderable', object_key = NULL, byte_offset = NULL, byte_length = NULL WHERE {old}"
        ));
        let set = set.bind(rendition.as_str()).bind(&captures).bind(before.as_nanos());
        set.execute(self).await.map_err(failed)?;
        keys(rows)
    }

    async fn delete_segments(&mut self, recording: RecordingId, rendition: &RenditionId) -> Result<Vec<ObjectKey>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM segments WHERE recording = ? AND rendition = ? {RETURNING_OWN}"
        )));
        keys(rows.bind(recording.to_string()).bind(rendition.as_str()).fetch_all(self).await.map_err(failed)?)
    }

    async fn delete_segments_of(&mut self, recording: RecordingId, capture: CaptureId) -> Result<Vec<ObjectKey>> {
        let rows = sqlx::query(AssertSqlSafe(format!(
            "DELETE FROM segments WHERE recording = ? AND capture = ? {RETURNING_OWN}"
        )));
        keys(rows.bind(recording.to_string()).bind(capture.to_string()).fetch_all(self).await.map_err(failed)?)
    }

    async fn has_segment(&mut self, key: &ObjectKey) -> Result<bool> {
        let has = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT 1 FROM segments WHERE object_key = ? AND store = 'main' AND is_foreign = 0)",
        );
        has.bind(key.as_str()).fetch_one(self).await.map_err(failed)
    }
}
