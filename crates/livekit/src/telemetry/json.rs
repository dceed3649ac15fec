//! OTLP as JSON (opentelemetry-proto, docs/specification: field names in lowerCamelCase).

use serde_json::Value;

use super::Session;
use crate::lenient_json;

/// Notes the attributes of a request, wherever they stand: on the resource, the scope, the record.
pub(super) fn read(body: &[u8], session: &mut Session) {
    visit(&lenient_json::read(body).value, session);
}

/// The nesting of what is read is bounded (127), and so the depth of this.
fn visit(value: &Value, session: &mut Session) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, session)),
        Value::Object(object) => {
            let key = object.get("key").and_then(Value::as_str);
            let text = object.get("value").and_then(|value| value["stringValue"].as_str());
            if let (Some(key), Some(text)) = (key, text) {
                session.note(key, text);
            }
            object.values().for_each(|item| visit(item, session));
        }
        _ => {}
    }
}
