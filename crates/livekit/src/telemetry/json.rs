//! OTLP as JSON (opentelemetry-proto, docs/specification: field names in lowerCamelCase).

use serde_json::Value;

use super::{OPTIONS, Place, REDACTION, Session};
use crate::lenient_json;

/// Notes the attributes of a request, wherever they stand: on the resource, the scope, the record.
pub(super) fn read(body: &[u8], session: &mut Session) {
    visit(&lenient_json::read(body).value, session, Place::Inside, false);
}

/// The nesting of what is read is bounded (127), and so the depth of this. `options`: whether it stands in the session's options.
fn visit(value: &Value, session: &mut Session, place: Place, options: bool) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| visit(item, session, place, options)),
        Value::Object(object) => {
            let key = object.get("key").and_then(Value::as_str);
            let text = object.get("value").and_then(|value| value["stringValue"].as_str());
            if let (Some(key), Some(text)) = (key, text) {
                session.note(key, text, place);
            }
            session.redaction |= options && key == Some(REDACTION) && object.get("value").is_some_and(is_true);
            for (name, item) in object {
                let place = if name == "resource" || name == "scope" { Place::Around } else { place };
                visit(item, session, place, options || key == Some(OPTIONS));
            }
        }
        _ => {}
    }
}

fn is_true(value: &Value) -> bool {
    value["boolValue"].as_bool() == Some(true)
}
