//! Converts rows to the domain's types, and the domain's values to columns.

use std::borrow::Cow;

use echosphere_domain::id::ProjectId;
use echosphere_domain::key::RecordingPrefix;
use echosphere_domain::lifecycle::{Deletion, State};
use echosphere_domain::location::{ByteRange, Key, Location};
use echosphere_domain::master::Master;
use echosphere_domain::options::RecordingOptions;
use echosphere_domain::recording::{Audio, Capture, Fill, Recording};
use echosphere_domain::rendition::Rendition;
use echosphere_domain::segment::{Segment, SegmentState};
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_domain::transcript::Alignment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::rows::Undone;
use crate::{Error, Result, Upload, UploadState};

/// Reads the columns of a row; its errors name the table, the column and the row's `id`.
pub(super) struct Reader<'r> {
    row: &'r SqliteRow,
    table: &'static str,
}

impl<'r> Reader<'r> {
    pub(super) fn new(table: &'static str, row: &'r SqliteRow) -> Self {
        Self { row, table }
    }

    pub(super) fn corrupt(&self, column: &str, reason: impl ToString) -> Error {
        let id: String = self.row.try_get("id").unwrap_or_default();
        Error::Corrupt { row: format!("{}.{column} of {id:?}", self.table), reason: reason.to_string() }
    }

    pub(super) fn text(&self, column: &str) -> Result<String> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn maybe_text(&self, column: &str) -> Result<Option<String>> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn integer(&self, column: &str) -> Result<i64> {
        self.row.try_get(column).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn number<T: TryFrom<i64>>(&self, column: &str) -> Result<T> {
        let value = self.integer(column)?;
        T::try_from(value).map_err(|_| self.corrupt(column, format!("{value} is out of range")))
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.integer(column)? != 0)
    }

    pub(super) fn time(&self, column: &str) -> Result<WallTime> {
        self.integer(column).map(WallTime::from_nanos)
    }

    pub(super) fn maybe_time(&self, column: &str) -> Result<Option<WallTime>> {
        let nanos: Option<i64> = self.row.try_get(column).map_err(|error| self.corrupt(column, error))?;
        Ok(nanos.map(WallTime::from_nanos))
    }

    pub(super) fn parse<T: std::str::FromStr<Err: ToString>>(&self, column: &str) -> Result<T> {
        self.text(column)?.parse().map_err(|error: T::Err| self.corrupt(column, error.to_string()))
    }

    pub(super) fn maybe_parse<T: std::str::FromStr<Err: ToString>>(&self, column: &str) -> Result<Option<T>> {
        let text = self.maybe_text(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| self.corrupt(column, error.to_string()))).transpose()
    }

    pub(super) fn project(&self) -> Result<ProjectId> {
        ProjectId::parse(self.text("project")?).map_err(|error| self.corrupt("project", error))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(super) fn maybe_json<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let text = self.maybe_text(column)?;
        text.map(|text| serde_json::from_str(&text).map_err(|error| self.corrupt(column, error))).transpose()
    }

    /// A column that holds the word of a unit variant.
    pub(super) fn word<T: DeserializeOwned>(&self, column: &str) -> Result<T> {
        let text = self.text(column)?;
        serde_json::from_value(Value::String(text)).map_err(|error| self.corrupt(column, error))
    }
}

/// A value as JSON text.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).expect("the domain's types have no maps with keys that JSON lacks")
}

/// A unit variant as its word.
pub(super) fn word<T: Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("a unit variant serialises to its word, not to {other:?}"),
    }
}

/// The word for how far a deletion is. One that is scheduled has a time besides, and is none yet.
pub(super) fn deletion_word(deletion: Deletion) -> String {
    word(if deletion == Deletion::Scheduled { Deletion::None } else { deletion })
}

/// The options of a room's recording; the defaults if they cannot be read.
pub(super) fn options(row: &SqliteRow) -> Result<RecordingOptions> {
    Ok(serde_json::from_str(&Reader::new("rooms", row).text("options")?).unwrap_or_default())
}

pub(super) fn recording(row: &SqliteRow) -> Result<Recording> {
    let row = Reader::new("recordings", row);
    let delete_at = row.maybe_time("delete_at")?;
    let deletion = match row.word("deletion")? {
        Deletion::None if delete_at.is_some() => Deletion::Scheduled,
        deletion => deletion,
    };
    let reason = row.maybe_text("reason")?;
    let reason = reason.map(|word| serde_json::from_value(Value::String(word))).transpose();
    Ok(Recording {
        id: row.parse("id")?,
        project: row.project()?,
        session_id: row.maybe_text("session_id")?,
        room_name: row.maybe_text("room_name")?,
        room_sid: row.maybe_text("room_sid")?,
        prefix: RecordingPrefix::parse(row.text("prefix")?).map_err(|error| row.corrupt("prefix", error))?,
        state: State {
            status: row.parse("status")?,
            partial: row.flag("partial")?,
            reason: reason.map_err(|error| row.corrupt("reason", error))?,
            revision: row.number("revision")?,
            is_over: row.flag("is_over")?,
            deletion,
            delete_at,
            is_held: row.flag("is_held")?,
            tier: row.word("tier")?,
        },
        created_at: row.time("created_at")?,
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
        duration: MediaTime::from_ticks(row.integer("duration")?),
        gaps: row.json("gaps")?,
        agent_name: row.maybe_text("agent_name")?,
        tags: row.json("tags")?,
        labels: row.json("labels")?,
        participants: row.json("participants")?,
        tracks: row.json("tracks")?,
        simulated: row.flag("simulated")?,
    })
}

pub(super) fn capture(row: &SqliteRow) -> Result<Capture> {
    let row = Reader::new("captures", row);
    Ok(Capture {
        id: row.parse("id")?,
        recording: row.parse("recording")?,
        attempt: row.number("attempt")?,
        source: row.word("source")?,
        status: row.word("status")?,
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
        error: row.maybe_text("error")?,
        upload: row.maybe_parse("upload")?,
        job_id: row.maybe_text("job_id")?,
        audio: match (row.maybe_json::<WithoutMaster>("audio")?, row.maybe_json("master")?) {
            (Some(audio), Some(master)) => Some(audio.with(master)),
            _ => None,
        },
    })
}

/// A capture with its project and its recording, as queries name them: `project`, `mine`, `id`.
pub(super) fn undone(row: &SqliteRow) -> Result<Undone> {
    let row = Reader::new("captures", row);
    Ok(Undone { project: row.project()?, recording: row.parse("mine")?, capture: row.parse("id")? })
}

/// The columns of [`capture`]: all but the large ones.
pub(super) const CAPTURE_COLUMNS: &str =
    "id, recording, attempt, source, status, started_at, ended_at, error, upload, job_id, audio,
     (SELECT master FROM masters WHERE capture = captures.id AND (part = 'sound' OR (part = 'whole' AND master ->> '$.kind' = 'log'))
      ORDER BY part LIMIT 1) AS master";

/// What the row of a capture has of its sound: all but where its master is, which has a row of its own.
#[derive(Serialize, Deserialize)]
pub(super) struct WithoutMaster<'f> {
    samples: u64,
    segment_ms: u32,
    #[serde(default, skip_serializing_if = "<[Fill]>::is_empty")]
    fills: Cow<'f, [Fill]>,
}

impl<'f> WithoutMaster<'f> {
    pub(super) fn of(audio: &'f Audio) -> Self {
        Self { samples: audio.samples, segment_ms: audio.segment_ms, fills: Cow::Borrowed(&audio.fills) }
    }

    fn with(self, master: Master) -> Audio {
        Audio { master, samples: self.samples, segment_ms: self.segment_ms, fills: self.fills.into_owned() }
    }
}

/// What the row of a capture has of its transcript: all but the turns, which have rows of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct WithoutTurns<'t> {
    alignment: Cow<'t, Alignment>,
}

impl<'t> WithoutTurns<'t> {
    pub(super) fn of(alignment: &'t Alignment) -> Self {
        Self { alignment: Cow::Borrowed(alignment) }
    }

    pub(super) fn alignment(self) -> Alignment {
        self.alignment.into_owned()
    }
}

pub(super) fn upload(row: &SqliteRow) -> Result<Upload> {
    let row = Reader::new("uploads", row);
    let state = row.text("state")?;
    Ok(Upload {
        id: row.parse("id")?,
        project: row.project()?,
        content_type: row.text("content_type")?,
        received_at: row.time("received_at")?,
        state: upload_state(&state).ok_or_else(|| row.corrupt("state", "not a state of uploads"))?,
        bytes: row.number("bytes")?,
        complete: row.flag("complete")?,
        reason: row.maybe_text("reason")?,
        job_id: row.maybe_text("job_id")?,
        room_sid: row.maybe_text("room_sid")?,
        room_name: row.maybe_text("room_name")?,
        is_released: row.flag("is_released")?,
    })
}

fn upload_state(word: &str) -> Option<UploadState> {
    use UploadState::{Duplicate, Held, Joined, Quarantined, Received, Receiving};
    [Receiving, Received, Joined, Duplicate, Quarantined, Held].into_iter().find(|state| state.as_str() == word)
}

/// Where a segment is stored.
fn location(row: &Reader<'_>) -> Result<Location> {
    let key = if row.flag("is_foreign")? {
        Key::Foreign(row.parse("object_key")?)
    } else {
        Key::Own(row.parse("object_key")?)
    };
    let range = ByteRange { offset: row.number("byte_offset")?, length: row.number("byte_length")? };
    Ok(Location { store: row.parse("store")?, key, range: Some(range) })
}

/// A rendition of a recording.
pub(super) fn rendition(row: &SqliteRow) -> Result<Rendition> {
    let row = Reader::new("renditions", row);
    Ok(Rendition {
        id: row.parse("id")?,
        codecs: row.text("codecs")?,
        bandwidth: row.number("bandwidth")?,
        container: row.word("container")?,
        init: row.maybe_json("init")?,
    })
}

pub(super) fn segment(row: &SqliteRow) -> Result<Segment> {
    let row = Reader::new("segments", row);
    let state = match row.text("state")?.as_str() {
        "renderable" => SegmentState::Renderable,
        "stored" => SegmentState::Stored(location(&row)?),
        "missing" => SegmentState::Missing { reason: row.text("missing")? },
        other => return Err(row.corrupt("state", format!("{other:?} is not a state of segments"))),
    };
    Ok(Segment {
        capture: row.parse("capture")?,
        capture_index: row.number("capture_index")?,
        index: row.number("seq")?,
        discontinuity: row.number("discontinuity")?,
        media_start: MediaTime::from_ticks(row.integer("media_start")?),
        duration: MediaTime::from_ticks(row.integer("ticks")?),
        wall_start: row.time("wall_start")?,
        codecs: row.text("codecs")?,
        state,
    })
}

/// A number for a column. One that does not fit saturates: that is a defect of the caller's bounds.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
