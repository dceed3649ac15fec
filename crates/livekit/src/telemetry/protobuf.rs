//! Reads the session's attributes from an OTLP request in protobuf (opentelemetry-proto: trace, logs and metrics v1), without its
//! schema.
//!
//! A request is `{1: {1: resource, 2: {1: scope, 2: record}}}`, whatever the signal. Resources, scopes and records are read one at
//! a time, so that a request may be of any size. An attribute is a `KeyValue {1: key, 2: AnyValue {1: string_value}}` at any depth,
//! so the wire format itself (<https://protobuf.dev/programming-guides/encoding/>) is walked and each message of that shape is
//! noted.

use std::io::{self, BufRead, Read};

use super::{OPTIONS, Place, REDACTION, TelemetrySession};

/// No OTLP message nests deeper on the way to an attribute.
const MAX_DEPTH: usize = 12;
/// How much is read of one resource, scope or record, in bytes.
const LONGEST: u64 = 4 << 20;

/// The levels of messages that enclose resources, scopes and records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Request,
    Resource,
    Scope,
}

/// Notes the attributes of a request in `session`. Stops at the first malformed message.
pub(super) fn read(source: &mut dyn Read, session: &mut TelemetrySession) -> io::Result<()> {
    let mut reader = Reader { inner: io::BufReader::with_capacity(64 << 10, source), buffer: Vec::new() };
    reader.message(Level::Request, u64::MAX, session).map(drop)
}

struct Reader<R> {
    inner: R,
    buffer: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads a message of `length` bytes; false when it is malformed.
    fn message(&mut self, level: Level, length: u64, session: &mut TelemetrySession) -> io::Result<bool> {
        let mut left = length;
        while left > 0 {
            let Some(tag) = self.varint(&mut left)? else { return Ok(level == Level::Request) };
            let length = match tag & 7 {
                // There is no field number 0.
                _ if tag >> 3 == 0 => return Ok(false),
                0 => {
                    if self.varint(&mut left)?.is_none() {
                        return Ok(false);
                    }
                    continue;
                }
                1 => 8,
                5 => 4,
                2 => match self.varint(&mut left)? {
                    Some(length) => length,
                    None => return Ok(false),
                },
                _ => return Ok(false),
            };
            if length > left {
                return Ok(false);
            }
            left -= length;
            let goes_on = match (level, tag >> 3, tag & 7) {
                (Level::Request, 1, 2) => self.message(Level::Resource, length, session)?,
                (Level::Resource, 2, 2) => self.message(Level::Scope, length, session)?,
                (Level::Resource, 1, 2) => self.content(length, &[1, 1], session)?,
                (Level::Scope, number @ (1 | 2), 2) => self.content(length, &[1, 2, number], session)?,
                _ => self.skip(length)?,
            };
            if !goes_on {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads a resource, a scope or a record; `path` is the field numbers on the way to it.
    fn content(&mut self, length: u64, path: &[u64], session: &mut TelemetrySession) -> io::Result<bool> {
        self.buffer.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let kept = length.min(LONGEST);
        let came = self.inner.by_ref().take(kept).read_to_end(&mut buffer)? as u64;
        visit(&buffer, session, &mut path.to_vec(), false);
        self.buffer = buffer;
        Ok(came == kept && self.skip(length - kept)?)
    }

    fn skip(&mut self, length: u64) -> io::Result<bool> {
        let mut left = length;
        while left > 0 {
            let here = self.inner.fill_buf()?.len();
            let step = usize::try_from(left).unwrap_or(usize::MAX).min(here);
            if step == 0 {
                return Ok(false);
            }
            self.inner.consume(step);
            left -= step as u64;
        }
        Ok(true)
    }

    fn varint(&mut self, left: &mut u64) -> io::Result<Option<u64>> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.inner.fill_buf()?.first().filter(|_| *left > 0) else { return Ok(None) };
            self.inner.consume(1);
            *left -= 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

/// The field numbers on the way to the attributes of a resource and of a scope, in an `Export...ServiceRequest` for logs, traces or
/// metrics.
const AROUND: [&[u64]; 2] = [&[1, 1, 1], &[1, 2, 1, 3]];

/// `path` is the field numbers on the way here; `options` says whether this is inside the session's options.
fn visit(message: &[u8], session: &mut TelemetrySession, path: &mut Vec<u64>, options: bool) {
    if let Some((key, value)) = key_value(message) {
        let place = if AROUND.contains(&path.as_slice()) { Place::Around } else { Place::Inside };
        session.note(key, value, place);
        return;
    }
    let key = key_of(message);
    if options && key == Some(REDACTION) {
        session.redaction |= is_true(message);
    }
    let options = options || key == Some(OPTIONS);
    if path.len() < MAX_DEPTH {
        for (number, content) in Fields(message).flatten() {
            path.push(number);
            visit(content, session, path, options);
            path.pop();
        }
    }
}

/// The key of a message, if the message may be an attribute.
fn key_of(message: &[u8]) -> Option<&str> {
    let (1, key) = Fields(message).next()?? else { return None };
    std::str::from_utf8(key).ok()
}

/// Whether an attribute's value is `AnyValue {2: bool_value}` and true.
fn is_true(message: &[u8]) -> bool {
    let Some(Some((2, mut value))) = Fields(message).nth(1) else { return false };
    varint(&mut value) == Some(2 << 3) && varint(&mut value) == Some(1)
}

/// The key and text of a message, if it has the shape of an attribute with a text.
fn key_value(message: &[u8]) -> Option<(&str, &str)> {
    let mut fields = Fields(message);
    let (1, key) = fields.next()?? else { return None };
    let (2, value) = fields.next()?? else { return None };
    let (1, text) = Fields(value).next()?? else { return None };
    let whole = fields.next().is_none();
    let (key, text) = (std::str::from_utf8(key).ok()?, std::str::from_utf8(text).ok()?);
    // In other messages of two fields, the first one holds a nested message instead of a name.
    let is_name = whole && !key.is_empty() && !key.chars().any(char::is_control);
    is_name.then_some((key, text))
}

/// The fields of a message; `Some(None)` for a field without bytes (a number). Ends where the bytes are malformed.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let tag = varint(&mut self.0)?;
        match tag & 7 {
            0 => varint(&mut self.0).map(|_| None),
            1 => skip(&mut self.0, 8).map(|_| None),
            5 => skip(&mut self.0, 4).map(|_| None),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).ok()?;
                let content = skip(&mut self.0, length)?;
                Some(Some((tag >> 3, content)))
            }
            _ => {
                self.0 = &[];
                None
            }
        }
    }
}

fn skip<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (content, rest) = bytes.split_at_checked(count).unwrap_or((&[], &[]));
    let whole = content.len() == count;
    *bytes = rest;
    whole.then_some(content)
}

/// Takes a varint off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    *bytes = &[];
    None
}
