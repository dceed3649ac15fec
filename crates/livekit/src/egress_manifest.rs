//! Reads the manifest `{egress_id}.json` that LiveKit's Egress leaves beside what it recorded (livekit/egress, `pkg/pipeline`).
//!
//! It is written last, and only on a good end: an egress that has one is over, and had uploaded what is listed. Objects are named by
//! `filename`, their keys; `location` is an address for people, and is not read.

use echosphere_domain::time::WallTime;
use serde_json::Value;

use crate::{lenient_json, protojson};

/// The longest manifest that is read, in bytes: a day in segments of a second takes 22 MB.
pub const LONGEST: usize = 32 << 20;
/// The most objects that are kept of each list.
pub const MOST_OBJECTS: usize = 100_000;
/// The most playlists that are kept: LiveKit writes one for each segment output of a request.
pub const MOST_PLAYLISTS: usize = 100;

/// Why a manifest cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than [`LONGEST`] bytes.
    #[error("the manifest has more than {LONGEST} bytes")]
    TooLong,
    /// It is no JSON object with an `egress_id`.
    #[error("this is not the manifest of an egress: it is no JSON object with an egress_id")]
    NotAManifest,
}

/// A manifest, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// The egress: `EG_...`.
    pub egress_id: String,
    /// LiveKit's id of the room; empty when the egress was of no room.
    pub room_sid: String,
    /// The room's name; empty when the egress was of no room.
    pub room_name: String,
    /// When the egress began, before it had any sound.
    pub started_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// For each playlist the keys of its segments, in order. Which playlist it is, is not said.
    pub playlists: Vec<Vec<String>>,
    /// The keys of files that were recorded as a whole.
    pub files: Vec<String>,
    /// Whether anything of it was lost: it is damaged, or has more than is kept.
    pub is_damaged: bool,
}

impl Manifest {
    /// Reads a manifest. Unknown fields are ignored; objects without a `filename` are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LONGEST {
            return Err(Error::TooLong);
        }
        let lenient_json::Read { value, damaged } = lenient_json::read(bytes);
        let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let egress_id = Some(text("egress_id")).filter(|id| !id.is_empty()).ok_or(Error::NotAManifest)?;
        let mut is_damaged = damaged;
        let playlists = list(&value["playlists"], MOST_PLAYLISTS, &mut is_damaged).iter();
        let playlists = playlists.map(|playlist| &playlist["segments"]).collect::<Vec<_>>();
        Ok(Self {
            egress_id,
            room_sid: text("room_id"),
            room_name: text("room_name"),
            started_at: time(&value["started_at"]),
            ended_at: time(&value["ended_at"]),
            playlists: playlists.into_iter().map(|segments| keys(segments, &mut is_damaged)).collect(),
            files: keys(&value["files"], &mut is_damaged),
            is_damaged,
        })
    }
}

/// At most `most` items of a list.
fn list<'v>(value: &'v Value, most: usize, is_damaged: &mut bool) -> &'v [Value] {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    *is_damaged |= items.len() > most;
    &items[..items.len().min(most)]
}

/// The keys of the objects of a list.
fn keys(value: &Value, is_damaged: &mut bool) -> Vec<String> {
    let objects = list(value, MOST_OBJECTS, is_damaged);
    let key = |object: &Value| object["filename"].as_str().filter(|key| !key.is_empty()).map(str::to_owned);
    let keys: Vec<String> = objects.iter().filter_map(key).collect();
    *is_damaged |= keys.len() < objects.len();
    keys
}

/// Nanoseconds since the Unix epoch; `None` before 1971 and when it is no number.
fn time(value: &Value) -> Option<WallTime> {
    const FIRST_YEAR: i64 = 365 * 86_400 * 1_000_000_000;
    let nanos = protojson::number(value)?;
    (nanos >= FIRST_YEAR).then(|| WallTime::from_nanos(nanos))
}

#[cfg(test)]
mod tests;
