//! A lenient JSON parser over a piece of text, with limits on memory and nesting.

use memchr::memchr2;
use serde_json::{Map, Number, Value};

/// The deepest nesting that is kept. The result has to be readable by a strict parser whose limit is 127.
const DEEPEST: usize = 100;

/// Why parsing cannot continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The text ends too early.
    End,
    /// An unexpected token.
    Syntax,
    /// The value exceeds its memory budget.
    Size,
}

/// The memory counted for a value, in bytes, wherever it is: as in a list whose capacity is twice its length.
const VALUE: usize = 64;
/// The memory counted for an empty list or object.
const LIST: usize = 128;
const OBJECT: usize = 640;
/// The memory counted for a member, besides its name and value.
const MEMBER: usize = 128;

/// Parses a text from its beginning.
#[derive(Debug)]
pub struct Parser<'t> {
    text: &'t str,
    /// How far the text was read, in bytes.
    pub at: usize,
    /// Whether a value that was there got lost.
    pub damaged: bool,
    /// Set when parsing cannot continue; what was read of the open values is still returned.
    pub broken: Option<Broken>,
    /// The bytes of memory that values may still take.
    budget: usize,
}

impl<'t> Parser<'t> {
    /// Starts at the beginning of the text.
    pub fn new(text: &'t str) -> Self {
        Self::with_budget(text, usize::MAX)
    }

    /// As [`Parser::new`], for values that take at most `budget` bytes of memory.
    pub fn with_budget(text: &'t str, budget: usize) -> Self {
        Self { text, at: 0, damaged: false, broken: None, budget }
    }

    /// Reserves `bytes` of the memory budget; false when they exceed it.
    fn takes(&mut self, bytes: usize) -> bool {
        let left = self.budget.checked_sub(bytes);
        match left {
            Some(left) => self.budget = left,
            None => self.broken = Some(Broken::Size),
        }
        left.is_some()
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte after white space and control characters.
    pub fn next_token(&mut self) -> Option<u8> {
        while self.peek().is_some_and(|byte| byte <= b' ') {
            self.at += 1;
        }
        self.peek()
    }

    /// Whether only white space is left.
    pub fn is_at_end(&mut self) -> bool {
        self.next_token().is_none()
    }

    fn breaks(&mut self) {
        self.broken = Some(if self.is_at_end() { Broken::End } else { Broken::Syntax });
    }

    /// The next value, nested `depth` levels deep; `None` when there is none, also for `NaN`.
    pub fn value(&mut self, depth: usize) -> Option<Value> {
        let next = self.next_token();
        if !self.takes(VALUE + if matches!(next, Some(b'[')) { LIST } else { 0 }) {
            return None;
        }
        match next {
            Some(b'{' | b'[') if depth >= DEEPEST => {
                self.skip_nested();
                None
            }
            Some(b'{') => Some(self.object(depth)),
            Some(b'[') => Some(self.array(depth)),
            Some(b'"') => self.string().map(Value::String),
            Some(b',' | b':' | b']' | b'}') => {
                self.damaged = true;
                None
            }
            Some(_) => self.word(depth),
            None => {
                self.broken = Some(Broken::End);
                None
            }
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        self.at += 1;
        let mut members = Map::new();
        loop {
            match self.next_token() {
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(b'"') => {
                    let Some(name) = self.name() else { break };
                    if !self.takes(MEMBER + if members.is_empty() { OBJECT } else { 0 }) {
                        break;
                    }
                    if let Some(value) = self.value(depth + 1) {
                        members.insert(name, value);
                    }
                    if self.broken.is_some() {
                        break;
                    }
                    if !matches!(self.next_token(), Some(b',' | b'}' | b'"')) {
                        self.breaks();
                        break;
                    }
                }
                _ => {
                    self.breaks();
                    break;
                }
            }
        }
        Value::Object(members)
    }

    /// A member's name and the colon after it.
    pub fn name(&mut self) -> Option<String> {
        let name = self.string()?;
        if self.next_token() != Some(b':') {
            self.breaks();
            return None;
        }
        self.at += 1;
        Some(name)
    }

    fn array(&mut self, depth: usize) -> Value {
        self.at += 1;
        let mut items = Vec::new();
        loop {
            match self.next_token() {
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.at += 1,
                Some(b':' | b'}') | None => {
                    self.breaks();
                    break;
                }
                Some(_) => {
                    let value = self.value(depth + 1);
                    if self.broken.is_some() {
                        items.extend(value);
                        break;
                    }
                    // A null keeps the positions of the items after it.
                    items.push(value.unwrap_or_default());
                    if !matches!(self.next_token(), Some(b',' | b']' | b'{' | b'[' | b'"')) {
                        self.breaks();
                        break;
                    }
                }
            }
        }
        Value::Array(items)
    }

    /// A string. Raw control characters are taken as they are; half a surrogate pair becomes U+FFFD.
    pub fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(length) = memchr2(b'"', b'\\', &self.text.as_bytes()[self.at..]) else {
                self.at = self.text.len();
                self.broken = Some(Broken::End);
                return None;
            };
            if !self.takes(length + 4) {
                return None;
            }
            out.push_str(&self.text[self.at..self.at + length]);
            self.at += length + 1;
            if self.text.as_bytes()[self.at - 1] == b'"' {
                return Some(out);
            }
            out.push(self.escaped());
        }
    }

    /// The character of an escape sequence; the backslash itself if the sequence is unknown.
    fn escaped(&mut self) -> char {
        let known = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/' | b'\'')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => match self.code_unit(self.at + 1) {
                Some(unit) => return self.escaped_unit(unit),
                None => return '\\',
            },
            _ => return '\\',
        };
        self.at += 1;
        known
    }

    /// The character of a `\u` escape, or of the two escapes of a surrogate pair.
    fn escaped_unit(&mut self, unit: u16) -> char {
        self.at += 5;
        let mut units = vec![unit];
        if (0xd800..0xdc00).contains(&unit) && self.text[self.at..].starts_with("\\u") {
            units.extend(self.code_unit(self.at + 2).filter(|low| (0xdc00..0xe000).contains(low)));
        }
        self.at += 6 * (units.len() - 1);
        let character = char::decode_utf16(units).next().and_then(Result::ok);
        character.unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits =
            self.text.get(at..at + 4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        u16::from_str_radix(digits, 16).ok()
    }

    /// A number, or one of the literals, in any of the spellings that occur.
    fn word(&mut self, depth: usize) -> Option<Value> {
        let ends = |byte: u8| byte <= b' ' || b",:[]{}\"".contains(&byte);
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let word = &rest[..length];
        self.at += length;
        if depth > 0 && self.at == self.text.len() {
            // The word may have been cut off.
            self.broken = Some(Broken::End);
            return None;
        }
        match word {
            "null" | "None" => return Some(Value::Null),
            "true" | "True" => return Some(Value::Bool(true)),
            "false" | "False" => return Some(Value::Bool(false)),
            _ => {}
        }
        let number = number(word);
        // `NaN`, `-Infinity` and numbers out of range are no JSON numbers: they are read as absent, without damage.
        self.damaged |= number.is_none() && word.parse::<f64>().is_err();
        number.map(Value::Number)
    }

    /// Skips a value that is nested too deeply.
    fn skip_nested(&mut self) {
        self.damaged = true;
        let mut open = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' | b'[' => open += 1,
                b'}' | b']' => open -= 1,
                b'"' => {
                    if self.string().is_none() {
                        return;
                    }
                    continue;
                }
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return;
            }
        }
        self.broken = Some(Broken::End);
    }
}

/// A number, if it is in the range of JSON's numbers.
fn number(word: &str) -> Option<Number> {
    if let Ok(whole) = word.parse::<u64>() {
        return Some(whole.into());
    }
    match word.parse::<i64>() {
        Ok(whole) if whole != 0 => Some(whole.into()),
        _ => word.parse().ok().and_then(Number::from_f64),
    }
}
