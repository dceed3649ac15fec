//! OTLP as JSON (opentelemetry-proto, docs/specification: field names in lowerCamelCase), token by token.
//!
//! An attribute is an object that has a `key` and a `value` with a `stringValue`, wherever it stands. Nothing else is kept, so what
//! is read may be of any size and nested as deeply as it likes.

use std::io::{self, Read};

use super::{LONGEST_TEXT, OPTIONS, Place, REDACTION, Session};
use crate::lenient_json::Window;

/// Objects and lists inside each other whose members are looked at; what is nested deeper is gone over.
const DEEPEST: usize = 127;
/// Notes the attributes of a request.
pub(super) fn read(source: &mut dyn Read, session: &mut Session) -> io::Result<()> {
    Reader { window: Window::new(source), open: Vec::new(), deeper: 0 }.document(session)
}

/// What the value that comes next is.
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
    /// The member of an object that was named and has no value yet.
    named: Option<Member>,
    /// Whether it is the value of an attribute.
    is_value: bool,
    /// Whether it is a resource or a scope, or lies in one.
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
    /// How many more are open than are looked at.
    deeper: usize,
}

impl<R: Read> Reader<R> {
    fn document(&mut self, session: &mut Session) -> io::Result<()> {
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

    fn end(&mut self, session: &mut Session) {
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

    /// What the value is that begins now; its name is used up.
    fn named(&mut self) -> Member {
        self.open.last_mut().and_then(|open| open.named.take()).unwrap_or_default()
    }

    /// The name of a member, or a value that is a text.
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
            // Too long for a name; one that is no member's is a value.
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

    /// A number, or one of the words.
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
