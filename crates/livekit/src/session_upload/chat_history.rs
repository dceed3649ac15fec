//! Reads the upload part `chat_history`, the session's items as JSON, into the turns of a transcript.
//!
//! Nothing in it is rejected: an item of an unknown type, or one that lacks what its type requires, becomes a marker with its JSON
//! as text, and so does one that is not JSON at all. A document that is cut off yields the items before the cut.

use std::collections::HashSet;
use std::io::{self, Cursor, Read, Seek};

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Alignment, Call, Kind, Role, Times, Transcript, Turn};
use serde_json::Value;

use crate::lenient_json::{self, Limits, Piece};

/// A chat history, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatHistory {
    /// The turns, with the times reported by the SDK.
    pub transcript: Transcript,
    /// Whether anything in it was lost or could not be read.
    pub damaged: bool,
}

/// The memory that the turns of a session may take, in bytes, approximately; later turns are dropped. A session has a few hundred
/// of about 1 KiB each.
const MOST_KEPT: usize = 8 << 20;
/// The longest text that is kept of an item that is not JSON, in characters.
const LONGEST_BROKEN: usize = 4_000;
/// The SDKs' item types (livekit-agents, `llm/chat_context.py`).
const TYPES: [&str; 5] = ["message", "function_call", "function_call_output", "agent_handoff", "agent_config_update"];

/// Parses the part.
pub fn parse(bytes: &[u8]) -> ChatHistory {
    // Reading from memory cannot fail.
    parse_from(&mut Cursor::new(bytes)).unwrap_or_default()
}

/// Parses the part from a reader, without having all of it in memory.
pub fn parse_from(source: &mut (impl Read + Seek)) -> io::Result<ChatHistory> {
    let mut history = History::default();
    let mut take = |piece| history.take(piece);
    let damaged = lenient_json::list(source, "items", Limits::default(), is_item, &mut take)?;
    let any_time = history.turns.iter().any(|turn| turn.reported != Times::default());
    let alignment = Alignment::reported(any_time);
    Ok(ChatHistory { transcript: Transcript { turns: history.turns, alignment }, damaged })
}

/// The turns read so far.
#[derive(Default)]
struct History {
    turns: Vec<Turn>,
    ids: HashSet<String>,
    /// The agent that speaks, according to the last handoff.
    agent: Option<String>,
    /// The memory that the turns take, in bytes.
    kept: usize,
}

impl History {
    /// Adds the next item; false when the memory limit is reached.
    fn take(&mut self, piece: Piece) -> bool {
        let mut turn = match piece {
            Piece::Item(item) => turn(&item, &mut self.agent),
            Piece::Broken(text) => broken(&text),
        };
        while turn.id.is_empty() || self.ids.contains(&turn.id) {
            turn.id = format!("{}#{}", turn.id, self.turns.len());
        }
        self.kept += weight(&turn);
        if self.kept > MOST_KEPT {
            return false;
        }
        self.ids.insert(turn.id.clone());
        self.turns.push(turn);
        true
    }
}

/// The memory that a turn takes, approximately: itself, its id twice, its texts, its metrics.
fn weight(turn: &Turn) -> usize {
    let call = turn.call.as_ref().map_or(0, |call| {
        let texts = [call.arguments.as_ref(), call.output.as_ref()];
        call.call_id.len() + call.name.len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    });
    let metrics = if turn.metrics.is_empty() { 0 } else { 640 + turn.metrics.iter().map(member).sum::<usize>() };
    size_of::<Turn>() + 2 * turn.id.len() + 64 + turn.text.len() + call + metrics
}

fn member((name, value): (&String, &Value)) -> usize {
    64 + name.len() + value_weight(value)
}

fn value_weight(value: &Value) -> usize {
    match value {
        Value::String(text) => 32 + text.len(),
        Value::Array(items) => 64 + items.iter().map(value_weight).sum::<usize>(),
        Value::Object(members) => 640 + members.iter().map(member).sum::<usize>(),
        _ => 32,
    }
}

/// Whether this is an item and not a part of one.
fn is_item(value: &Value) -> bool {
    value.get("created_at").is_some() || text_of(value, "type").is_some_and(|kind| TYPES.contains(&kind))
}

fn text_of<'v>(item: &'v Value, name: &str) -> Option<&'v str> {
    item[name].as_str()
}

fn time_of(value: &Value) -> Option<WallTime> {
    value.as_f64().and_then(WallTime::from_unix_seconds)
}

/// One item as a turn. `agent` is the agent that speaks, according to the last handoff.
fn turn(item: &Value, agent: &mut Option<String>) -> Turn {
    let known = match text_of(item, "type") {
        Some("message") => message(item, agent.as_deref()),
        Some("function_call") => tool_call(item),
        Some("function_call_output") => tool_result(item),
        Some("agent_handoff") => handoff(item, agent),
        Some("agent_config_update") => Some(config(item, agent.as_deref())),
        _ => None,
    };
    known.unwrap_or_else(|| marker(item))
}

fn blank(item: &Value, kind: Kind, role: Role, text: String) -> Turn {
    let id: String = text_of(item, "id").unwrap_or_default().chars().take(256).collect();
    Turn {
        reported: Times { created: time_of(&item["created_at"]), ..Times::default() },
        interrupted: item["interrupted"].as_bool().unwrap_or(false),
        ..Turn::new(id, kind, role, text)
    }
}

fn message(item: &Value, agent: Option<&str>) -> Option<Turn> {
    let role = match text_of(item, "role")? {
        "assistant" => Role::Agent,
        "user" => Role::User,
        _ => Role::System,
    };
    let mut turn = blank(item, Kind::Message, role, content(&item["content"])?);
    let metrics = item["metrics"].as_object().cloned().unwrap_or_default();
    turn.reported.start = metrics.get("started_speaking_at").and_then(time_of);
    let end = metrics.get("stopped_speaking_at").and_then(time_of);
    turn.reported.end = end.filter(|end| turn.reported.start.is_some_and(|start| *end >= start));
    turn.confidence = item["transcript_confidence"].as_f64().filter(|value| (0.0..=1.0).contains(value));
    // A user message with neither speech metrics nor a transcription confidence was typed. What the agent says is always spoken.
    turn.typed = role == Role::System || (role == Role::User && metrics.is_empty() && turn.confidence.is_none());
    turn.speaker = if role == Role::Agent { agent.map(str::to_owned) } else { None };
    turn.metrics = metrics;
    Some(turn)
}

/// The text of a message's parts. Parts without text are represented by their type.
fn content(parts: &Value) -> Option<String> {
    match parts {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().filter_map(part).collect::<Vec<_>>().join("\n").trim().to_owned()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

/// The text of one part; `None` when it is meant for the model alone (livekit-agents 1.8.7, `cache_breakpoint`).
fn part(part: &Value) -> Option<String> {
    match part {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Object(part) => {
            let text = part.get("text").or_else(|| part.get("transcript")).and_then(Value::as_str);
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("content");
            let named = || (kind != "cache_breakpoint").then(|| format!("[{kind}]"));
            text.map(str::to_owned).or_else(named)
        }
        other => Some(other.to_string()),
    }
}

fn tool_call(item: &Value) -> Option<Turn> {
    let name = text_of(item, "name")?.to_owned();
    let arguments = text_of(item, "arguments").map(str::to_owned);
    let mut turn = blank(item, Kind::ToolCall, Role::Agent, format!("{name}({})", arguments.as_deref().unwrap_or("")));
    turn.speaker = Some(name.clone());
    let call_id = text_of(item, "call_id").unwrap_or_default().to_owned();
    turn.call = Some(Call { call_id, name, arguments, output: None, is_error: None });
    Some(turn)
}

fn tool_result(item: &Value) -> Option<Turn> {
    let call_id = text_of(item, "call_id")?.to_owned();
    let name = text_of(item, "name").unwrap_or_default().to_owned();
    let output = match &item["output"] {
        Value::String(text) => unwrap_json_text(text),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut turn = blank(item, Kind::ToolResult, Role::System, output.clone());
    turn.speaker = Some(name.clone()).filter(|name| !name.is_empty());
    let is_error = item["is_error"].as_bool();
    turn.call = Some(Call { call_id, name, arguments: None, output: Some(output), is_error });
    Some(turn)
}

/// The Node SDK encodes a tool's output as JSON once more: `"\"done\""`.
fn unwrap_json_text(text: &str) -> String {
    match text.starts_with('"').then(|| lenient_json::read(text.as_bytes())) {
        Some(lenient_json::Read { value: Value::String(inner), damaged: false }) => inner,
        _ => text.to_owned(),
    }
}

fn handoff(item: &Value, agent: &mut Option<String>) -> Option<Turn> {
    let new = text_of(item, "new_agent_id")?.to_owned();
    let text = match text_of(item, "old_agent_id") {
        Some(old) => format!("{old} hands over to {new}"),
        None => format!("{new} takes the call"),
    };
    let mut turn = blank(item, Kind::Handoff, Role::System, text);
    turn.speaker = Some(new.clone());
    *agent = Some(new);
    Some(turn)
}

fn config(item: &Value, agent: Option<&str>) -> Turn {
    let names = |list: &str| {
        let tools = item[list].as_array().into_iter().flatten().filter_map(Value::as_str);
        tools.collect::<Vec<_>>().join(", ")
    };
    let lines = [
        ("Instructions", text_of(item, "instructions").unwrap_or_default().to_owned()),
        ("Tools added", names("tools_added")),
        ("Tools removed", names("tools_removed")),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}"));
    let mut turn = blank(item, Kind::Config, Role::System, lines.collect::<Vec<_>>().join("\n"));
    turn.speaker = agent.map(str::to_owned);
    turn
}

fn marker(item: &Value) -> Turn {
    let mut turn = blank(item, Kind::Marker, Role::System, item.to_string());
    if let Some(kind) = text_of(item, "type") {
        turn.metrics.insert("type".to_owned(), Value::String(kind.to_owned()));
    }
    turn
}

/// The text of an unreadable item, as a turn without times.
fn broken(text: &str) -> Turn {
    Turn::new("", Kind::Marker, Role::System, text.chars().take(LONGEST_BROKEN).collect::<String>())
}

#[cfg(test)]
mod tests;
