//! Redacts an OTLP request in JSON, where 64-bit numbers are strings and names are in lowerCamelCase.

use serde_json::Value;

use super::{Fate, ITEM, Withheld, is_content, is_message_event};
use crate::lenient_json;

/// The most values in a request: each takes up to 700 bytes of memory.
const MOST_VALUES: usize = 100_000;

/// The redacted request; `None` when it cannot be read or has too many values.
pub(super) fn redact(body: &[u8], withheld: &Withheld<'_>) -> Option<Vec<u8>> {
    if body.iter().filter(|byte| b",[{".contains(byte)).count() > MOST_VALUES {
        return None;
    }
    let strict: Option<Value> = serde_json::from_slice(body).ok();
    let before = strict.as_ref().map(serde_json::to_vec).and_then(Result::ok);
    let mut request = strict.unwrap_or_else(|| lenient_json::read(body).value);
    request.as_object()?;
    for (resources, scopes) in
        [("resourceSpans", "scopeSpans"), ("resourceLogs", "scopeLogs"), ("resourceMetrics", "scopeMetrics")]
    {
        for scope in items(&mut request, resources).flat_map(|resource| items(resource, scopes)) {
            retain(scope, "spans", |item| span(item, withheld));
            retain(scope, "logRecords", |item| log_record(item, withheld));
            items(scope, "metrics").for_each(|item| metric(item, withheld));
        }
    }
    // Of a body that is not valid JSON, only what could be read is kept.
    let rest = serde_json::to_vec(&request).ok()?;
    Some(if before.is_some_and(|before| before == rest) { body.to_vec() } else { rest })
}

/// The items of a list in an object; none if there is no such list.
fn items<'v>(object: &'v mut Value, name: &str) -> impl Iterator<Item = &'v mut Value> {
    object.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten()
}

fn nanos(item: &Value, name: &str) -> i64 {
    match &item[name] {
        Value::String(text) => text.parse().unwrap_or(0),
        number => number.as_i64().unwrap_or(0),
    }
}

fn span(span: &mut Value, withheld: &Withheld<'_>) -> bool {
    let (from, to) = (nanos(span, "startTimeUnixNano"), nanos(span, "endTimeUnixNano"));
    if withheld.touches(from, to) {
        return false;
    }
    if to >= withheld.began {
        strip(span);
        retain(span, "events", |event| {
            let at = nanos(event, "timeUnixNano");
            let is_message = event["name"].as_str().is_some_and(is_message_event);
            strip(event);
            !is_message && !withheld.touches(at, at)
        });
        if let Some(status) = span.get_mut("status").and_then(Value::as_object_mut) {
            status.remove("message");
        }
    }
    true
}

fn log_record(record: &mut Value, withheld: &Withheld<'_>) -> bool {
    let item = record["attributes"].as_array().into_iter().flatten().find(|attribute| attribute["key"] == ITEM);
    let item = item.map(|attribute| plain(&attribute["value"]));
    match withheld.log_record(nanos(record, "timeUnixNano"), nanos(record, "observedTimeUnixNano"), item.as_ref()) {
        Fate::Goes => return false,
        Fate::WithoutContent => strip(record),
        Fate::Stays => {}
    }
    true
}

fn metric(metric: &mut Value, withheld: &Withheld<'_>) {
    for kind in ["gauge", "sum", "histogram", "exponentialHistogram", "summary"] {
        if let Some(data) = metric.get_mut(kind) {
            retain(data, "dataPoints", |point| {
                let at = nanos(point, "timeUnixNano");
                !withheld.touches(at, at)
            });
        }
    }
}

/// Keeps the wanted items of a list, if there is one.
fn retain(object: &mut Value, name: &str, keep: impl FnMut(&mut Value) -> bool) {
    if let Some(Value::Array(items)) = object.get_mut(name) {
        items.retain_mut(keep);
    }
}

/// Removes the attributes with content.
fn strip(item: &mut Value) {
    retain(item, "attributes", |attribute| attribute["key"].as_str().is_some_and(|key| !is_content(key)));
}

/// An OTLP value as ordinary JSON. The recursion is bounded by the nesting that the parser accepts.
fn plain(value: &Value) -> Value {
    if let Some(fields) = value["kvlistValue"]["values"].as_array() {
        let fields =
            fields.iter().filter_map(|field| Some((field["key"].as_str()?.to_owned(), plain(&field["value"]))));
        return Value::Object(fields.collect());
    }
    if let Some(items) = value["arrayValue"]["values"].as_array() {
        return Value::Array(items.iter().map(plain).collect());
    }
    let simple = ["stringValue", "doubleValue", "intValue", "boolValue"].iter().find_map(|kind| value.get(kind));
    simple.cloned().unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::super::{Redacted, redact};

    #[test]
    fn records_of_a_stretch_go_and_later_ones_lose_their_content() {
        let record = |second: u64, text: &str| {
            serde_json::json!({"timeUnixNano": format!("{}", second * 1_000_000_000), "body": {"stringValue": "note"},
                "attributes": [{"key": "lk.chat_ctx", "value": {"stringValue": text}}, {"key": "n", "value": {"intValue": "3"}}]})
        };
        let records = [record(10, "before"), record(20, "within"), record(30, "after")];
        let body = serde_json::json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).to_string();
        let withheld = [15_000_000_000_i64..25_000_000_000];
        let Redacted::Rest(rest) = redact("logs", "application/json", body.as_bytes(), &withheld) else { panic!() };
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("before") && !rest.contains("within") && !rest.contains("after"), "{rest}");
        assert_eq!(rest.matches("\"n\"").count(), 2);
        let later = [50_000_000_000_i64..60_000_000_000];
        assert_eq!(redact("logs", "application/json", body.as_bytes(), &later), Redacted::Whole);
    }

    #[test]
    fn a_request_of_more_than_anybody_logs_is_not_taken_apart() {
        let body = format!(r#"{{"a":[{}0]}}"#, "{},".repeat(60_000));
        assert_eq!(redact("logs", "application/json", body.as_bytes(), &[1..2]), Redacted::Nothing);
    }

    #[test]
    fn a_body_that_is_no_json_loses_what_cannot_be_read() {
        let record =
            |time: &str, text: &str| format!(r#"{{"timeUnixNano":{time},"body":{{"stringValue":"{text}","x":NaN}}}}"#);
        let records = [record("10000000000", "before"), record("20000000000", "within"), record("NaN", "sometime")];
        let body =
            format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{}]}}]}}],}} hidden"#, records.join(","));
        let Redacted::Rest(rest) =
            redact("logs", "application/json", body.as_bytes(), &[15_000_000_000_i64..25_000_000_000])
        else {
            panic!()
        };
        let rest = String::from_utf8(rest).unwrap();
        assert!(rest.contains("before"), "{rest}");
        assert!(["within", "sometime", "hidden"].iter().all(|gone| !rest.contains(gone)), "{rest}");
        assert_eq!(redact("logs", "application/json", b"nonsense", &[1..2]), Redacted::Nothing);
    }
}
