//! Redacts telemetry: removes from an OTLP request what belongs to stretches of time of which nothing may be kept.
//!
//! A log record, span, event or data point that touches such a stretch is removed. Later ones may repeat what was said before: with
//! each turn, a model is sent the conversation so far. So from the first such stretch on, the attributes that the SDKs mark as
//! content (`pii` in their name, or one of the names of OpenTelemetry's `GenAI` conventions) are removed as well. The exception is
//! a log record of one item of the chat history, which says when that item was spoken.

mod json;
mod protobuf;

use std::ops::Range;

use serde_json::Value;

/// How long before or after its times a message may have been spoken that does not say when: 30 s, in nanoseconds.
const UNTIMED: i64 = 30_000_000_000;
/// The attribute of a log record that holds an item of the chat history.
const ITEM: &str = "chat.item";

/// What is left of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redacted {
    /// All of it.
    Whole,
    /// The rest of it.
    Rest(Vec<u8>),
    /// Nothing, or nothing readable.
    Nothing,
}

/// Removes what touches `withheld`: ranges of nanoseconds since the Unix epoch. `signal` is `traces`, `logs` or `metrics`.
pub fn redact(signal: &str, content_type: &str, body: &[u8], withheld: &[Range<i64>]) -> Redacted {
    let Some(began) = withheld.iter().map(|stretch| stretch.start).min() else { return Redacted::Whole };
    let withheld = Withheld { stretches: withheld, began };
    let rest = if super::is_json(content_type) {
        json::redact(body, &withheld)
    } else {
        protobuf::redact(signal, body, &withheld)
    };
    match rest {
        Some(rest) if rest == body => Redacted::Whole,
        Some(rest) if !rest.is_empty() => Redacted::Rest(rest),
        _ => Redacted::Nothing,
    }
}

/// The stretches of which nothing may be kept.
struct Withheld<'s> {
    stretches: &'s [Range<i64>],
    /// The beginning of the first one.
    began: i64,
}

impl Withheld<'_> {
    /// Whether a span of time touches one of the stretches. An unknown time (0) touches all.
    fn touches(&self, from: i64, to: i64) -> bool {
        from <= 0 || self.stretches.iter().any(|stretch| from < stretch.end && to.max(from) >= stretch.start)
    }

    /// What is to be done with a log record, given its own time, the time at which it was observed, and the item of the chat
    /// history in it, if any.
    fn log_record(&self, time: i64, observed: i64, item: Option<&Value>) -> Fate {
        let time = if time > 0 { time } else { observed };
        let (mut from, mut to) = (time, time);
        if let Some(item) = item {
            let mut times = Times { from: time, to: time, spoken: false };
            times.visit(item);
            (from, to) = (times.from, times.to);
            if !times.spoken && item.get("message").is_some() {
                (from, to) = (from.saturating_sub(UNTIMED), to.saturating_add(UNTIMED));
            }
        }
        match (self.touches(from, to), item.is_some() || observed.max(time) < self.began) {
            (true, _) => Fate::Goes,
            (false, true) => Fate::Stays,
            (false, false) => Fate::WithoutContent,
        }
    }
}

/// What is to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    WithoutContent,
    Goes,
}

/// The range of times in an item of the chat history.
struct Times {
    from: i64,
    to: i64,
    /// Whether the item says when it was spoken.
    spoken: bool,
}

impl Times {
    fn visit(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match time(value).filter(|_| name.ends_with("_at") || name.ends_with("At")) {
                        Some(at) => {
                            self.spoken |= name.starts_with("started");
                            (self.from, self.to) = (self.from.min(at), self.to.max(at));
                        }
                        None => self.visit(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.visit(item)),
            _ => {}
        }
    }
}

/// Unix seconds or RFC 3339, as nanoseconds.
fn time(value: &Value) -> Option<i64> {
    match value {
        Value::Number(seconds) => {
            seconds.as_f64().filter(|seconds| *seconds > 1e9).map(|seconds| (seconds * 1e9) as i64)
        }
        Value::String(text) => {
            let at: jiff::Timestamp = text.parse().ok()?;
            i64::try_from(at.as_nanosecond()).ok()
        }
        _ => None,
    }
}

/// Whether an attribute holds content of the conversation. Older SDKs and the Node SDK use the same names without `pii`.
fn is_content(key: &str) -> bool {
    const NAMES: [&str; 18] = [
        "arguments",
        "chat_ctx",
        "chat_items",
        "content",
        "definitions",
        "evaluation",
        "function_calls",
        "input_text",
        "instructions",
        "messages",
        "output",
        "reason",
        "result",
        "text",
        "transcript",
        "user_input",
        "user_transcript",
        "variable",
    ];
    const HARMLESS: [&str; 2] = ["lk.pii.room_name", "lk.pii.participant_identity"];
    let last = key.rsplit('.').next().unwrap_or(key);
    let marked = key.split('.').any(|part| part == "pii") && !HARMLESS.contains(&key);
    marked
        || NAMES.contains(&last)
        || ["gen_ai.prompt.", "gen_ai.system_", "gen_ai.memory.", "gen_ai.retrieval.", "gen_ai.evaluation."]
            .iter()
            .any(|prefix| key.starts_with(prefix))
        || matches!(key, "exception.message" | "exception.stacktrace" | "tag" | "outcome_reason")
}

/// Whether an event of a span is a message of the conversation.
fn is_message_event(name: &str) -> bool {
    name.starts_with("gen_ai.")
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_names_of_content() {
        for key in ["lk.pii.chat_ctx", "lk.chat_ctx", "lk.response.text", "gen_ai.input.messages", "user_transcript"] {
            assert!(is_content(key), "{key}");
        }
        for key in ["lk.speech_id", "lk.pii.room_name", "gen_ai.usage.input_tokens", "lk.response.ttft", "room_id"] {
            assert!(!is_content(key), "{key}");
        }
    }

    #[test]
    fn an_item_is_where_it_was_spoken_and_not_where_it_was_written_down() {
        let stretch = [2_000_000_000_000_000_000_i64..2_000_000_010_000_000_000];
        let withheld = Withheld { stretches: &stretch, began: stretch[0].start };
        let late = stretch[0].end + 60_000_000_000;
        let item = |started: f64| serde_json::json!({"message": {"metrics": {"started_speaking_at": started, "stopped_speaking_at": started + 1.0}}});
        assert_eq!(withheld.log_record(late, late, Some(&item(2_000_000_005.0))), Fate::Goes);
        assert_eq!(withheld.log_record(late, late, Some(&item(2_000_000_069.0))), Fate::Stays);
        assert_eq!(withheld.log_record(late, late, None), Fate::WithoutContent);
        assert_eq!(withheld.log_record(stretch[0].start - 1, stretch[0].start - 1, None), Fate::Stays);
        let untimed = serde_json::json!({"message": {"content": []}});
        assert_eq!(withheld.log_record(stretch[0].end + 20_000_000_000, 0, Some(&untimed)), Fate::Goes);
        let of_node = serde_json::json!({"message": {"metrics": {"startedSpeakingAt": "2033-05-18T03:33:25Z"}}});
        assert_eq!(withheld.log_record(late, late, Some(&of_node)), Fate::Goes);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), json in any::<bool>(), signal in "traces|logs|metrics") {
            let kind = if json { "application/json" } else { "application/x-protobuf" };
            let _ = redact(&signal, kind, &bytes, &[5..10]);
        }
    }
}
