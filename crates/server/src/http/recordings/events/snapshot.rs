//! A state of a recording, as it is sent to clients.

use bytes::Bytes;
use echosphere_domain::id::RecordingId;
use echosphere_domain::recording::{Capture, Recording};
use echosphere_store::SameRoom;
use serde::Serialize;

/// A state of a recording.
#[derive(Debug)]
pub struct Snapshot {
    /// Unique to this state and to the task that read it.
    pub id: String,
    /// The recording.
    pub recording: Recording,
    /// Its captures.
    pub captures: Vec<Capture>,
    /// The other recordings of its room.
    pub same_room: Vec<SameRoom>,
    /// How many segments can be heard.
    pub segments: usize,
    /// How the times of the turns were determined, as JSON.
    pub alignment: String,
    /// The turns: the id of each, and the whole turn as JSON.
    pub turns: Vec<(String, String)>,
    /// All turns as the data of one event: the same bytes for all clients.
    pub all_turns: Bytes,
    /// Whether nothing more is to come.
    pub is_over: bool,
}

/// The transcript in the form of its own route, from turns that are JSON already.
pub(super) fn all_turns(recording: RecordingId, alignment: &str, turns: &[(String, String)]) -> Bytes {
    let turns: Vec<&str> = turns.iter().map(|(_, turn)| turn.as_str()).collect();
    format!(r#"{{"recording_id":"{recording}","alignment":{alignment},"turns":[{}]}}"#, turns.join(",")).into()
}

/// A structure of the API as JSON. None of them has a map whose keys JSON cannot express.
pub(super) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
