//! What LiveKit's Egress says of itself: the `EgressInfo` of its API's answers and webhooks (livekit/protocol, `livekit_egress.proto`).
//!
//! It is protojson, read leniently: by name in either spelling, 64-bit numbers as text or not, and what is unknown stays unknown. A zero value
//! is absent there, so a status that is missing is STARTING. Numbers of a run that failed may be nonsense (a length below zero): they are none then.

use echosphere_domain::time::WallTime;
use serde_json::Value;

use crate::protojson::{self, field};

/// How far an egress is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Status {
    /// Requested; nothing has been recorded yet.
    Starting,
    /// It records.
    Active,
    /// It was stopped, or the room is over; the rest is being written.
    Ending,
    /// It has ended well, or says so.
    Complete,
    /// It has failed.
    Failed,
    /// It has ended before it recorded anything.
    Aborted,
    /// It has reached a limit of the server's.
    LimitReached,
    /// A word that this version does not know.
    Unknown(String),
}

impl Status {
    /// Reads LiveKit's word for it, or its number.
    fn of(value: Option<&Value>) -> Self {
        let word = match value {
            None | Some(Value::Null) => return Self::Starting,
            Some(Value::Number(number)) => number.to_string(),
            Some(value) => value.as_str().unwrap_or_default().to_owned(),
        };
        match word.as_str() {
            "EGRESS_STARTING" | "0" => Self::Starting,
            "EGRESS_ACTIVE" | "1" => Self::Active,
            "EGRESS_ENDING" | "2" => Self::Ending,
            "EGRESS_COMPLETE" | "3" => Self::Complete,
            "EGRESS_FAILED" | "4" => Self::Failed,
            "EGRESS_ABORTED" | "5" => Self::Aborted,
            "EGRESS_LIMIT_REACHED" | "6" => Self::LimitReached,
            _ => Self::Unknown(word),
        }
    }

    /// Whether it has ended. Of a word that is not known nobody can say so: polling finds out.
    pub const fn is_terminal(&self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Aborted | Self::LimitReached)
    }

    /// Its place in the life of an egress: of two reports with the same time, the one with the higher rank is the later one.
    pub const fn rank(&self) -> u8 {
        match self {
            Self::Starting => 0,
            Self::Unknown(_) => 1,
            Self::Active => 2,
            Self::Ending => 3,
            Self::Complete | Self::Failed | Self::Aborted | Self::LimitReached => 4,
        }
    }
}

/// What an egress says of itself, as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressInfo {
    /// LiveKit's id of the egress.
    pub id: String,
    /// LiveKit's id of the room.
    pub room_sid: String,
    /// The room's name.
    pub room_name: String,
    /// How far it is.
    pub status: Status,
    /// When it began.
    pub started_at: Option<WallTime>,
    /// When it ended.
    pub ended_at: Option<WallTime>,
    /// When this was so.
    pub updated_at: Option<WallTime>,
    /// What went wrong; empty if nothing did.
    pub error: String,
    /// The HTTP-like code of that; 0 if there is none.
    pub error_code: i64,
    /// Why it ended, such as `End reason: StopEgress API`; empty if it does not say.
    pub details: String,
    /// Whether something was written to the backup storage instead.
    pub backup_storage_used: bool,
    /// Where its request wants segments to be: the prefix of their keys. Empty when it writes none.
    pub filename_prefix: String,
    /// The segments that it wrote.
    pub segments: Option<Segments>,
}

/// The segments of an egress, as its results say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segments {
    /// The key of the playlist.
    pub playlist_name: String,
    /// How many segments; `None` when it does not say, as for a worker that was killed.
    pub count: Option<u64>,
    /// Their bytes.
    pub bytes: Option<u64>,
    /// When the first packet came.
    pub started_at: Option<WallTime>,
    /// When the last one came.
    pub ended_at: Option<WallTime>,
}

impl EgressInfo {
    /// Reads an `EgressInfo`; `None` when it has no id.
    pub fn read(info: &Value) -> Option<Self> {
        let text = |name: &str| field(info, name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let id = text("egress_id");
        let request = REQUESTS.iter().find_map(|name| field(info, name));
        let output =
            request.and_then(|request| first(request, "segment_outputs").or_else(|| field(request, "segments")));
        let result = first(info, "segment_results").or_else(|| field(info, "segments"));
        (!id.is_empty()).then(|| Self {
            id,
            room_sid: text("room_id"),
            room_name: text("room_name"),
            status: Status::of(field(info, "status")),
            started_at: time(info, "started_at"),
            ended_at: time(info, "ended_at"),
            updated_at: time(info, "updated_at"),
            error: text("error"),
            error_code: number(info, "error_code").unwrap_or(0),
            details: text("details"),
            backup_storage_used: field(info, "backup_storage_used").and_then(Value::as_bool).unwrap_or(false),
            filename_prefix: output
                .and_then(|output| field(output, "filename_prefix"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            segments: result.map(segments),
        })
    }

    /// The place of this report among those of the same egress: the highest is the latest, in whatever order they come.
    pub fn order(&self) -> (WallTime, u8) {
        (self.updated_at.unwrap_or(WallTime::from_nanos(0)), self.status.rank())
    }

    /// Whether it says that it has ended well, and has not recorded all of the call: the worker was too busy, or was killed.
    pub fn was_cut(&self) -> bool {
        self.status == Status::Complete
            && ["CPU exhausted", "Process killed"].iter().any(|reason| self.details.contains(reason))
    }

    /// Whether nobody spoke until the room was over: a result, not a fault.
    pub fn heard_nothing(&self) -> bool {
        self.status == Status::Aborted
            && [&self.error, &self.details].iter().any(|text| text.contains("Start signal not received"))
    }
}

/// The kinds of requests that an `EgressInfo` may repeat.
const REQUESTS: [&str; 5] = ["room_composite", "participant", "track_composite", "track", "web"];

fn segments(result: &Value) -> Segments {
    let count =
        |name: &str| number(result, name).and_then(|number| u64::try_from(number).ok()).filter(|count| *count > 0);
    Segments {
        playlist_name: field(result, "playlist_name").and_then(Value::as_str).unwrap_or_default().to_owned(),
        count: count("segment_count"),
        bytes: count("size"),
        started_at: time(result, "started_at"),
        ended_at: time(result, "ended_at"),
    }
}

fn first<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    field(value, name)?.as_array()?.first()
}

fn number(value: &Value, name: &str) -> Option<i64> {
    field(value, name).and_then(protojson::number)
}

/// A time in nanoseconds since 1970; 0 and what lies before is none.
fn time(value: &Value, name: &str) -> Option<WallTime> {
    number(value, name).filter(|nanos| *nanos > 0).map(WallTime::from_nanos)
}

#[cfg(test)]
mod tests;
