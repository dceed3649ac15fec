//! Redacts an OTLP request in protobuf (opentelemetry-proto: trace, logs and metrics v1), field by field; other fields stay as they
//! are.

use serde_json::Value;

use super::{Fate, ITEM, Withheld, is_content, is_message_event};
use crate::telemetry::protobuf::varint;

/// The deepest nesting of a value that is read.
const MAX_DEPTH: u32 = 16;
/// The most values in an item of the chat history.
const MOST_VALUES: usize = 20_000;

/// The redacted request; `None` when it cannot be read.
pub(super) fn redact(signal: &str, body: &[u8], withheld: &Withheld<'_>) -> Option<Vec<u8>> {
    let item = |item: &[u8]| match signal {
        "traces" => span(item, withheld),
        "logs" => log_record(item, withheld),
        "metrics" => metric(item, withheld),
        _ => None,
    };
    // A request is {1: resource {2: scope {2: item}}}, whatever the signal.
    each(body, 1, &mut |resource| {
        let rest = each(resource, 2, &mut |scope| Some(Some(each(scope, 2, &mut |bytes| item(bytes))?)));
        Some(Some(rest?))
    })
}

/// `None`: unreadable; `Some(None)`: removed.
type Kept = Option<Option<Vec<u8>>>;

/// Span {7: start, 8: end, 9: attributes, 11: events, 15: status}.
fn span(span: &[u8], withheld: &Withheld<'_>) -> Kept {
    let (from, to) = (time(span, 7)?, time(span, 8)?);
    if withheld.touches(from, to) {
        return Some(None);
    }
    if to < withheld.began {
        return Some(Some(span.to_vec()));
    }
    let rest = each(span, 9, &mut attribute)?;
    let rest = each(&rest, 11, &mut |event| {
        // Event {1: time, 2: name, 3: attributes}.
        let at = time(event, 1)?;
        if withheld.touches(at, at) || is_message_event(text(event, 2)?) {
            return Some(None);
        }
        Some(Some(each(event, 3, &mut attribute)?))
    })?;
    // Status {2: message}: an error message may quote the conversation.
    Some(Some(each(&rest, 15, &mut |status| Some(Some(each(status, 2, &mut |_| Some(None))?)))?))
}

/// `LogRecord` {1: time, 6: attributes, 11: observed time}.
fn log_record(record: &[u8], withheld: &Withheld<'_>) -> Kept {
    let mut item = None;
    for field in Fields(record) {
        let field = field?;
        if field.number == 6 && text(field.bytes()?, 1)? == ITEM {
            item = Some(plain(first(field.bytes()?, 2)?, 0, &mut { MOST_VALUES })?);
        }
    }
    match withheld.log_record(time(record, 1)?, time(record, 11)?, item.as_ref()) {
        Fate::Goes => Some(None),
        Fate::Stays => Some(Some(record.to_vec())),
        Fate::WithoutContent => Some(Some(each(record, 6, &mut attribute)?)),
    }
}

/// Metric {5 gauge, 7 sum, 9 histogram, 10 exponential histogram, 11 summary: {1: points {3: time}}}.
fn metric(metric: &[u8], withheld: &Withheld<'_>) -> Kept {
    let mut rest = metric.to_vec();
    for kind in [5, 7, 9, 10, 11] {
        rest = each(&rest, kind, &mut |data| {
            let points = each(data, 1, &mut |point| {
                let at = time(point, 3)?;
                Some((!withheld.touches(at, at)).then(|| point.to_vec()))
            });
            Some(Some(points?))
        })?;
    }
    Some(Some(rest))
}

fn attribute(attribute: &[u8]) -> Kept {
    let key = text(attribute, 1)?;
    let goes = key.is_empty() || is_content(key);
    Some((!goes).then(|| attribute.to_vec()))
}

/// An `AnyValue` {1 text, 2 bool, 3 integer, 4 double, 5 array {1}, 6 list of pairs {1 {1 key, 2 value}}} as ordinary JSON.
fn plain(value: &[u8], depth: u32, left: &mut usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    *left = left.checked_sub(1)?;
    let Some(field) = Fields(value).next() else { return Some(Value::Null) };
    let field = field?;
    Some(match (field.number, field.value) {
        (1, Content::Bytes(text)) => Value::String(String::from_utf8_lossy(text).into_owned()),
        (3, Content::Number(number)) => Value::from(number as i64),
        (4, Content::Number(bits)) => Value::from(f64::from_bits(bits)),
        (5, Content::Bytes(list)) => {
            Value::Array(Fields(list).map(|item| plain(item?.bytes()?, depth + 1, left)).collect::<Option<_>>()?)
        }
        (6, Content::Bytes(list)) => {
            let mut object = serde_json::Map::new();
            for pair in Fields(list) {
                let pair = pair?.bytes()?;
                object.insert(text(pair, 1)?.to_owned(), plain(first(pair, 2)?, depth + 1, left)?);
            }
            Value::Object(object)
        }
        _ => Value::Null,
    })
}

#[derive(Debug, Clone, Copy)]
enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    number: u64,
    value: Content<'a>,
    /// The whole field, tag included.
    raw: &'a [u8],
}

impl<'a> Field<'a> {
    fn bytes(&self) -> Option<&'a [u8]> {
        match self.value {
            Content::Bytes(bytes) => Some(bytes),
            Content::Number(_) => None,
        }
    }
}

/// The fields of a message (<https://protobuf.dev/programming-guides/encoding/>); the last is `None` when the bytes are malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = field(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let begin = *rest;
    let tag = varint(rest)?;
    let value = match tag & 7 {
        0 => Content::Number(varint(rest)?),
        1 => Content::Number(u64::from_le_bytes(split(rest, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(rest)?).ok()?;
            Content::Bytes(split(rest, length)?)
        }
        5 => Content::Number(u64::from(u32::from_le_bytes(split(rest, 4)?.try_into().ok()?))),
        _ => return None,
    };
    Some(Field { number: tag >> 3, value, raw: &begin[..begin.len() - rest.len()] })
}

/// The first field of that number, if there is one; `None` when the message is malformed.
#[expect(clippy::option_option, reason = "no message, no such field, and a field are three things")]
fn find(message: &[u8], number: u64) -> Option<Option<Field<'_>>> {
    let mut found = None;
    for field in Fields(message) {
        let field = field?;
        if field.number == number && found.is_none() {
            found = Some(field);
        }
    }
    Some(found)
}

/// The message with each field of that number replaced or removed.
fn each(message: &[u8], number: u64, change: &mut dyn FnMut(&[u8]) -> Kept) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(message.len());
    for field in Fields(message) {
        let field = field?;
        if field.number != number {
            out.extend(field.raw);
        } else if let Some(changed) = change(field.bytes()?)? {
            put_varint(&mut out, (number << 3) | 2);
            put_varint(&mut out, changed.len() as u64);
            out.extend(changed);
        }
    }
    Some(out)
}

/// The bytes of a field; empty when it is absent, which means the same in protobuf.
fn first(message: &[u8], number: u64) -> Option<&[u8]> {
    find(message, number)?.map_or(Some(&[]), |field| field.bytes())
}

fn text(message: &[u8], number: u64) -> Option<&str> {
    std::str::from_utf8(first(message, number)?).ok()
}

/// A time in nanoseconds; 0 when it is absent.
fn time(message: &[u8], number: u64) -> Option<i64> {
    match find(message, number)?.map(|field| field.value) {
        Some(Content::Number(nanos)) => i64::try_from(nanos).ok(),
        Some(Content::Bytes(_)) => None,
        None => Some(0),
    }
}

fn split<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (content, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(content)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::super::{Redacted, redact};
    use super::put_varint;

    fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, (number << 3) | 2);
        put_varint(&mut out, content.len() as u64);
        [out.as_slice(), content].concat()
    }

    fn at(number: u64, second: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, (number << 3) | 1);
        [out.as_slice(), &(second * 1_000_000_000).to_le_bytes()].concat()
    }

    fn attribute(key: &str, text: &str) -> Vec<u8> {
        [bytes(1, key.as_bytes()), bytes(2, &bytes(1, text.as_bytes()))].concat()
    }

    fn request(items: &[Vec<u8>]) -> Vec<u8> {
        let items: Vec<u8> = items.iter().flat_map(|item| bytes(2, item)).collect();
        bytes(1, &[bytes(1, b""), bytes(2, &items)].concat())
    }

    fn span(from: u64, to: u64, word: &str) -> Vec<u8> {
        let event = [at(1, to), bytes(2, b"gen_ai.choice"), bytes(3, &attribute("content", word))].concat();
        let attributes = [attribute("lk.pii.chat_ctx", word), attribute("lk.speech_id", &format!("id-{word}"))];
        let fields = [at(7, from), at(8, to), bytes(9, &attributes[0]), bytes(9, &attributes[1]), bytes(11, &event)];
        [fields.concat(), bytes(15, &bytes(2, word.as_bytes()))].concat()
    }

    fn rest(signal: &str, body: &[u8]) -> String {
        let withheld = [15_000_000_000_i64..25_000_000_000];
        match redact(signal, "application/x-protobuf", body, &withheld) {
            Redacted::Rest(rest) => String::from_utf8_lossy(&rest).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn spans_that_touch_go_and_later_ones_lose_what_repeats_the_conversation() {
        let spans = [
            span(1, 9, "early"),
            span(10, 16, "edge"),
            span(16, 20, "within"),
            span(1, 40, "around"),
            span(30, 31, "late"),
        ];
        let left = rest("traces", &request(&spans));
        assert_eq!(left.matches("early").count(), 4, "{left}");
        assert!(left.contains("id-late") && left.matches("late").count() == 1, "{left}");
        assert!(["edge", "within", "around"].iter().all(|word| !left.contains(word)), "{left}");
    }

    #[test]
    fn log_records_by_the_item_that_they_have() {
        let double = |seconds: f64| [&[(4 << 3) | 1][..], &seconds.to_le_bytes()].concat();
        let list = |pairs: &[(&str, Vec<u8>)]| -> Vec<u8> {
            let pair = |(key, value): &(&str, Vec<u8>)| bytes(1, &[bytes(1, key.as_bytes()), bytes(2, value)].concat());
            bytes(6, &pairs.iter().flat_map(pair).collect::<Vec<u8>>())
        };
        let record = |word: &str, started: f64, second: u64| {
            let metrics =
                list(&[("started_speaking_at", double(started)), ("stopped_speaking_at", double(started + 1.0))]);
            let message = list(&[("content", bytes(1, word.as_bytes())), ("metrics", metrics)]);
            let item = [bytes(1, b"chat.item"), bytes(2, &list(&[("message", message)]))].concat();
            [at(1, second), at(11, second), bytes(6, &item)].concat()
        };
        let withheld = [2_000_000_000_000_000_000_i64..2_000_000_010_000_000_000];
        let late = 2_000_000_011;
        let body = request(&[record("hidden", 2_000_000_009.0, late), record("spoken", 2_000_000_020.0, late + 10)]);
        let Redacted::Rest(left) = redact("logs", "application/x-protobuf", &body, &withheld) else { panic!() };
        let left = String::from_utf8_lossy(&left).into_owned();
        assert!(left.contains("spoken") && !left.contains("hidden"), "{left}");
    }

    #[test]
    fn points_of_a_stretch_go_and_what_cannot_be_read_is_not_kept() {
        let points: Vec<u8> = [10, 20, 30].iter().flat_map(|&second| bytes(1, &at(3, second))).collect();
        let body = request(&[[bytes(1, b"name"), bytes(7, &points)].concat()]);
        let withheld = [15_000_000_000_i64..25_000_000_000];
        let Redacted::Rest(left) = redact("metrics", "application/x-protobuf", &body, &withheld) else { panic!() };
        assert_eq!(body.len() - left.len(), bytes(1, &at(3, 20)).len());
        assert_eq!(redact("metrics", "application/x-protobuf", b"\xff\xff", &withheld), Redacted::Nothing);
        assert_eq!(
            redact("metrics", "application/x-protobuf", &body, &[40_000_000_000..50_000_000_000]),
            Redacted::Whole
        );
    }
}
