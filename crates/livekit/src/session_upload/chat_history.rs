//! The part `chat_history`: the session's items as JSON, to turns.
//!
//! Nothing in it is refused: an item of an unknown type, or one that lacks what its type should have, becomes a marker with
//! its JSON as text, and a document that breaks off yields the items before the break.

use std::collections::HashSet;

use echosphere_domain::time::WallTime;
use echosphere_domain::transcript::{Alignment, Call, Kind, Role, Times, Transcript, Turn};
use serde_json::Value;

/// A chat history, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChatHistory {
    /// The turns, with the times that the SDK reports.
    pub transcript: Transcript,
    /// Whether the JSON breaks off or breaks its rules somewhere.
    pub damaged: bool,
}

/// Items that are not listed any more; a session has a few hundred.
const MAX_ITEMS: usize = 100_000;

/// Reads the part.
pub fn parse(bytes: &[u8]) -> ChatHistory {
    let text = String::from_utf8_lossy(bytes);
    let (items, damaged) = items(&text);
    let mut ids = HashSet::new();
    let mut agent = None;
    let mut turns: Vec<Turn> = Vec::with_capacity(items.len());
    for item in &items {
        let mut turn = turn(item, &mut agent);
        while turn.id.is_empty() || ids.contains(&turn.id) {
            turn.id = format!("{}#{}", turn.id, turns.len());
        }
        ids.insert(turn.id.clone());
        turns.push(turn);
    }
    let any_time = turns.iter().any(|turn| turn.reported != Times::default());
    let alignment = Alignment::reported(any_time);
    ChatHistory { transcript: Transcript { turns, alignment }, damaged }
}

/// The items of the document, and whether it is damaged.
fn items(text: &str) -> (Vec<Value>, bool) {
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut document)) => match document.remove("items") {
            Some(Value::Array(items)) => {
                let too_many = items.len() > MAX_ITEMS;
                (items.into_iter().take(MAX_ITEMS).collect(), too_many)
            }
            _ => (Vec::new(), true),
        },
        Ok(_) => (Vec::new(), true),
        Err(_) => (salvage(text), true),
    }
}

/// The whole items before the place where a document breaks.
fn salvage(text: &str) -> Vec<Value> {
    let Some(at) = text.find("\"items\"") else { return Vec::new() };
    let Some(open) = text[at..].find('[') else { return Vec::new() };
    let mut rest = &text[at + open + 1..];
    let mut items = Vec::new();
    while items.len() < MAX_ITEMS {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let Some(Ok(item)) = stream.next() else { break };
        rest = &rest[stream.byte_offset()..];
        items.push(item);
    }
    items
}

fn text_of<'v>(item: &'v Value, name: &str) -> Option<&'v str> {
    item[name].as_str()
}

fn time_of(value: &Value) -> Option<WallTime> {
    value.as_f64().and_then(WallTime::from_unix_seconds)
}

/// One item as a turn. `agent` is the agent that speaks, by the last handoff.
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
    // A message that nobody recognised and that nobody was heard to speak was typed. The agent speaks all of its own.
    turn.typed = role == Role::System || (role == Role::User && metrics.is_empty() && turn.confidence.is_none());
    turn.speaker = if role == Role::Agent { agent.map(str::to_owned) } else { None };
    turn.metrics = metrics;
    Some(turn)
}

/// The text of a message's parts. Parts that are no text are named.
fn content(parts: &Value) -> Option<String> {
    let describe = |part: &Value| match part {
        Value::String(text) => text.clone(),
        Value::Object(part) => {
            let text = part.get("text").or_else(|| part.get("transcript")).and_then(Value::as_str);
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("content");
            text.map_or_else(|| format!("[{kind}]"), str::to_owned)
        }
        other => other.to_string(),
    };
    match parts {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(parts.iter().map(describe).collect::<Vec<_>>().join("\n").trim().to_owned()),
        Value::Null => Some(String::new()),
        _ => None,
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

/// The Node SDK encodes a tool's text as JSON once more: `"\"done\""`.
fn unwrap_json_text(text: &str) -> String {
    match text.starts_with('"').then(|| serde_json::from_str::<String>(text)) {
        Some(Ok(inner)) => inner,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &str = r#"{"items": [
        {"id":"i1","type":"agent_handoff","new_agent_id":"nova","created_at":10.0},
        {"id":"i2","type":"agent_config_update","instructions":"Be kind.","tools_added":["a","b"],"created_at":10.1},
        {"id":"i3","type":"message","role":"assistant","content":["Hello"],"interrupted":true,"metrics":
            {"started_speaking_at":11.0,"stopped_speaking_at":12.5},"created_at":10.9},
        {"id":"i4","type":"message","role":"user","content":["Hi"],"transcript_confidence":0.9,"metrics":{},"created_at":14.0},
        {"id":"i5","type":"message","role":"user","content":["typed"],"metrics":{},"created_at":15.0},
        {"id":"i6","type":"function_call","call_id":"c1","name":"look","arguments":"{}","created_at":16.0},
        {"id":"i6","type":"function_call_output","call_id":"c1","name":"look","output":"\"done\"","is_error":false,"created_at":17.0},
        {"id":"i7","type":"hologram","created_at":18.0},
        {"id":"i8","type":"message","role":"assistant","content":5}
    ]}"#;

    #[test]
    fn each_kind_of_item() {
        let history = parse(SAMPLE.as_bytes());
        assert!(!history.damaged);
        let turns = &history.transcript.turns;
        let kinds: Vec<_> = turns.iter().map(|turn| turn.kind).collect();
        use Kind::{Config, Handoff, Marker, Message, ToolCall, ToolResult};
        assert_eq!(kinds, [Handoff, Config, Message, Message, Message, ToolCall, ToolResult, Marker, Marker]);
        assert_eq!(turns[1].text, "Instructions: Be kind.\nTools added: a, b");
        assert_eq!((turns[2].speaker.as_deref(), turns[2].interrupted), (Some("nova"), true));
        assert_eq!(turns[2].reported.end, WallTime::from_unix_seconds(12.5));
        assert_eq!((turns[3].typed, turns[4].typed), (false, true));
        assert_eq!(turns[6].call.as_ref().unwrap().output.as_deref(), Some("done"));
        assert_eq!(turns[6].id, "i6#6");
        assert_eq!(turns[7].metrics["type"], "hologram");
    }

    #[test]
    fn a_broken_document_yields_what_stands_before_the_break() {
        let cut = &SAMPLE[..SAMPLE.find("\"i4\"").unwrap()];
        let history = parse(cut.as_bytes());
        assert!(history.damaged);
        assert_eq!(history.transcript.turns.len(), 3);
        assert!(parse(b"[]").damaged && parse(b"").damaged && parse(b"{\"items\":{}}").damaged);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn any_damage_to_a_real_document(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() + 1));
            parse(&bytes);
        }
    }
}
