//! Reads the session's attributes from an OTLP request in JSON (opentelemetry-proto, docs/specification: field names in
//! lowerCamelCase), token by token.
//!
//! An attribute is an object with a `key` and a `value` that has a `stringValue`, wherever it is. Nothing else is kept, so a
//! request may be of any size and any depth.

use std::io::{self, Read};

use super::{LONGEST_TEXT, OPTIONS, Place, REDACTION, TelemetrySession};
use crate::lenient_json::Window;

/// The deepest nesting of objects and lists that is examined; anything deeper is skipped.
const DEEPEST: usize = 127;
/// Notes the attributes of a request in `session`.
pub(super) fn read(source: &mut dyn Read, session: &mut TelemetrySession) -> io::Result<()> {
    Reader { window: Window::new(source), open: Vec::new(), deeper: 0 }.document(session)
}

/// The kind of the member whose value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Member {
    #[default]
    Other,
    Key,
    Value,
    StringValue,
    BoolValue,
    Around,
}

/// An object or list that is open.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is what one member says")]
struct Open {
    is_object: bool,
    /// The kind of an object's member whose name was read and whose value was not yet.
    named: Option<Member>,
    /// Whether it is the value of an attribute.
    is_value: bool,
    /// Whether it is a resource or a scope, or inside one.
    is_around: bool,
    key: Option<String>,
    text: Option<String>,
    is_true: bool,
    /// Whether an attribute in it asks for redaction.
    asks_for_redaction: bool,
}

struct Reader<R> {
    window: Window<R>,
    open: Vec<Open>,
    /// How many more are open beyond [`DEEPEST`].
    deeper: usize,
}

impl<R: Read> Reader<R> {
    fn document(&mut self, session: &mut TelemetrySession) -> io::Result<()> {
        while let Some(next) = self.window.next_token()? {
            match next {
                b'"' => self.text()?,
                b'{' | b'[' => {
                    self.window.consume(1);
                    self.begin(next == b'{');
                }
                b'}' | b']' => {
                    self.window.consume(1);
                    self.end(session);
                }
                b',' | b':' => self.window.consume(1),
                _ => self.word()?,
            }
        }
        Ok(())
    }

    fn begin(&mut self, is_object: bool) {
        if self.deeper > 0 || self.open.len() >= DEEPEST {
            self.deeper += 1;
            return;
        }
        let named = self.named();
        let is_around = self.open.last().is_some_and(|above| above.is_around) || named == Member::Around;
        self.open.push(Open { is_object, is_value: is_object && named == Member::Value, is_around, ..Open::default() });
    }

    fn end(&mut self, session: &mut TelemetrySession) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let Some(ended) = self.open.pop() else { return };
        let key = ended.key.as_deref();
        session.redaction |= key == Some(OPTIONS) && ended.asks_for_redaction;
        if let Some(above) = self.open.last_mut() {
            above.asks_for_redaction |= ended.asks_for_redaction || (key == Some(REDACTION) && ended.is_true);
            if ended.is_value {
                (above.text, above.is_true) = (ended.text, ended.is_true);
                return;
            }
        }
        if let (Some(key), Some(text)) = (key, &ended.text) {
            session.note(key, text, if ended.is_around { Place::Around } else { Place::Inside });
        }
    }

    /// The kind of the value that begins now; clears the name.
    fn named(&mut self) -> Member {
        self.open.last_mut().and_then(|open| open.named.take()).unwrap_or_default()
    }

    /// Reads a string: the name of a member, or a value.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime")]
    fn text(&mut self) -> io::Result<()> {
        let is_seen = self.deeper == 0;
        let is_name = is_seen && self.open.last().is_some_and(|open| open.is_object && open.named.is_none());
        let member = if is_name || !is_seen { Member::Other } else { self.named() };
        let is_wanted = is_name
            || matches!((member, self.open.last()), (Member::Key, _))
            || matches!((member, self.open.last()), (Member::StringValue, Some(open)) if open.is_value);
        if !is_wanted {
            return self.window.skip_text().map(drop);
        }
        let (text, parsed) = self.window.attempt(0, LONGEST_TEXT, 8 * LONGEST_TEXT, |parser| parser.string())?;
        let Some(text) = text.filter(|_| parsed.broken.is_none()) else {
            // Too long a name is an unknown one; unless it is noted, the value after it would be taken for a name.
            if is_name && let Some(open) = self.open.last_mut() {
                open.named = Some(Member::Other);
            }
            return self.window.skip_text().map(drop);
        };
        self.window.consume(parsed.length);
        let Some(open) = self.open.last_mut() else { return Ok(()) };
        match member {
            _ if is_name => open.named = Some(member_of(&text)),
            Member::Key => open.key = Some(text),
            _ => open.text = Some(text),
        }
        Ok(())
    }

    /// Reads a number or a literal.
    fn word(&mut self) -> io::Result<()> {
        let named = if self.deeper == 0 { self.named() } else { Member::Other };
        if named == Member::BoolValue
            && let Some(open) = self.open.last_mut()
        {
            open.is_true = open.is_value && self.window.rest().starts_with('t');
        }
        loop {
            let ends = |byte: u8| byte <= b' ' || b",:[]{}\"".contains(&byte);
            let end = self.window.rest().bytes().position(ends);
            self.window.consume(end.unwrap_or(self.window.rest().len()));
            if end.is_some() || !self.window.more()? {
                return Ok(());
            }
        }
    }
}

fn member_of(name: &str) -> Member {
    match name {
        "key" => Member::Key,
        "value" => Member::Value,
        "stringValue" => Member::StringValue,
        "boolValue" => Member::BoolValue,
        "resource" | "scope" => Member::Around,
        _ => Member::Other,
    }
}
