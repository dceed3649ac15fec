//! Converts events of the inbox to rows and back.

use sqlx::sqlite::SqliteRow;

use super::codec::{Reader, json};
use crate::{Answer, Command, Event, EventId, Origin, Result, What};

/// The word for who an event comes from.
pub(super) const fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::Webhook => "webhook",
        Origin::Poll => "poll",
        Origin::Api => "api",
    }
}

/// The word for an answer.
pub(super) const fn answer_word(answer: Answer) -> &'static str {
    match answer {
        Answer::Acted => "acted",
        Answer::Over => "over",
    }
}

/// The answer for a word.
pub(super) fn answer(word: &str) -> Option<Answer> {
    [Answer::Acted, Answer::Over].into_iter().find(|answer| answer_word(*answer) == word)
}

/// The word for what an event says.
pub(super) fn kind(what: &What) -> &str {
    match what {
        What::Livekit { event, .. } => event,
        What::RoomFound => "room_found",
        What::Asked(Command::Stop) => "stop",
        What::Asked(Command::Pause) => "pause",
        What::Asked(Command::Resume) => "resume",
        What::Asked(Command::Exclude(_)) => "exclude",
        What::DeletionAsked => "delete",
    }
}

/// What else an event says.
pub(super) fn body(what: &What) -> String {
    match what {
        What::Livekit { body, .. } => body.clone(),
        What::Asked(Command::Exclude(identity)) => json(identity),
        What::RoomFound | What::Asked(Command::Stop | Command::Pause | Command::Resume) | What::DeletionAsked => {
            String::new()
        }
    }
}

fn what(row: &Reader<'_>, origin: Origin) -> Result<What> {
    let kind = row.text("kind")?;
    Ok(match origin {
        Origin::Webhook => What::Livekit { event: kind, body: row.text("body")? },
        Origin::Poll => What::RoomFound,
        Origin::Api => match kind.as_str() {
            "stop" => What::Asked(Command::Stop),
            "pause" => What::Asked(Command::Pause),
            "resume" => What::Asked(Command::Resume),
            "exclude" => What::Asked(Command::Exclude(row.json("body")?)),
            "delete" => What::DeletionAsked,
            other => return Err(row.corrupt("kind", format!("{other:?} is nothing that users ask"))),
        },
    })
}

/// Reads an event that is not done.
pub(super) fn event(row: &SqliteRow) -> Result<Event> {
    let row = Reader::new("inbox", row);
    let source = row.text("source")?;
    let origin = [Origin::Webhook, Origin::Poll, Origin::Api].into_iter().find(|origin| origin_word(*origin) == source);
    let origin = origin.ok_or_else(|| row.corrupt("source", format!("{source:?} is no source of events")))?;
    Ok(Event {
        id: EventId { project: row.project()?, origin, id: row.text("id")? },
        what: what(&row, origin)?,
        recording: row.maybe_parse("recording")?,
        room_sid: row.text("room_sid")?,
        room_name: row.text("room_name")?,
        asked_by: row.maybe_text("asked_by")?,
        created_at: row.maybe_time("created_at")?,
        received_at: row.time("received_at")?,
        attempts: row.number("attempts")?,
    })
}
