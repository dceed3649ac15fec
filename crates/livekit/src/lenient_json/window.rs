//! A sliding window over a JSON document: text that is decoded piece by piece, as the parser needs it.

use std::io::{self, Read};

use memchr::memchr2;
use serde_json::Value;

use super::decode::Decoder;
use super::parser::{Broken, Parser};

/// How much text is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// The text of a document from its current position on, as far as it was read.
#[derive(Debug)]
pub struct Window<R> {
    source: R,
    decoder: Decoder,
    text: String,
    at: usize,
    is_whole: bool,
    /// Bytes of text decoded so far.
    pub read: usize,
}

/// The outcome of parsing a value.
#[derive(Debug)]
pub struct Attempt {
    /// The value, if there was one.
    pub value: Option<Value>,
    /// How many bytes of text it takes.
    pub length: usize,
    /// Whether anything in it was lost.
    pub damaged: bool,
    /// Why it could not be read to its end.
    pub broken: Option<Broken>,
}

impl<R: Read> Window<R> {
    /// Starts at the beginning of the document.
    pub fn new(source: R) -> Self {
        Self { source, decoder: Decoder::default(), text: String::new(), at: 0, is_whole: false, read: 0 }
    }

    /// The text from the current position on, as far as it was read.
    pub fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Whether the whole document was read.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Moves `count` bytes on.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        if self.at >= PIECE && self.at > self.text.len() / 2 {
            self.text.drain(..self.at);
            self.at = 0;
        }
    }

    /// Reads more text; false when there is none.
    pub fn more(&mut self) -> io::Result<bool> {
        let before = self.text.len();
        let mut piece = [0; 4 << 10];
        while !self.is_whole && self.text.len() < before + PIECE {
            let count = self.source.read(&mut piece)?;
            self.is_whole = count == 0;
            self.decoder.push(&piece[..count], self.is_whole, &mut self.text);
        }
        self.read += self.text.len() - before;
        Ok(self.text.len() > before)
    }

    /// Doubles the text that is available; false when there is no more.
    fn double(&mut self) -> io::Result<bool> {
        let wanted = self.rest().len() * 2;
        let mut any = false;
        while self.more()? {
            any = true;
            if self.rest().len() >= wanted {
                break;
            }
        }
        Ok(any)
    }

    /// The next byte after white space and control characters.
    pub fn next_token(&mut self) -> io::Result<Option<u8>> {
        loop {
            let blank = self.rest().bytes().position(|byte| byte > b' ');
            self.consume(blank.unwrap_or(self.rest().len()));
            if blank.is_some() || !self.more()? {
                return Ok(self.rest().bytes().next());
            }
        }
    }

    /// Parses from `from` on, and again with more text as long as the text ends too early and is shorter than `longest`.
    pub fn attempt<T>(
        &mut self,
        from: usize,
        longest: usize,
        budget: usize,
        parse: impl Fn(&mut Parser<'_>) -> T,
    ) -> io::Result<(T, Parsed)> {
        loop {
            let mut parser = Parser::with_budget(&self.rest()[from..], budget);
            let parsed = parse(&mut parser);
            let (length, damaged, broken) = (parser.at, parser.damaged, parser.broken);
            let is_short = broken == Some(Broken::End) && self.rest().len() - from < longest;
            if !is_short || !self.double()? {
                return Ok((parsed, Parsed { length, damaged, broken }));
            }
        }
    }

    /// The next value, nested `depth` levels deep.
    pub fn value(&mut self, depth: usize, longest: usize, budget: usize) -> io::Result<Attempt> {
        let (value, Parsed { length, damaged, broken }) =
            self.attempt(0, longest, budget, |parser| parser.value(depth))?;
        Ok(Attempt { value, length, damaged, broken })
    }

    /// Skips a string whose quotation mark is next; false when it does not end.
    pub fn skip_text(&mut self) -> io::Result<bool> {
        self.consume(1);
        loop {
            let Some(at) = memchr2(b'"', b'\\', self.rest().as_bytes()) else {
                self.consume(self.rest().len());
                if self.more()? {
                    continue;
                }
                return Ok(false);
            };
            let is_end = self.rest().as_bytes()[at] == b'"';
            self.consume(at + 1);
            if is_end {
                return Ok(true);
            }
            if self.rest().is_empty() && !self.more()? {
                return Ok(false);
            }
            let escaped = self.rest().chars().next().map_or(0, char::len_utf8);
            self.consume(escaped);
        }
    }

    /// Skips a list or an object whose bracket is next, by its brackets alone; false when it does not end.
    pub fn skip_nested(&mut self) -> io::Result<bool> {
        let mut open = 0_usize;
        loop {
            let special = |byte: u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            let Some(at) = self.rest().bytes().position(special) else {
                self.consume(self.rest().len());
                if self.more()? {
                    continue;
                }
                return Ok(false);
            };
            self.consume(at);
            match self.rest().as_bytes()[0] {
                b'"' => {
                    if !self.skip_text()? {
                        return Ok(false);
                    }
                    continue;
                }
                b'{' | b'[' => open += 1,
                _ => open = open.saturating_sub(1),
            }
            self.consume(1);
            if open == 0 {
                return Ok(true);
            }
        }
    }
}

/// How far the parser got.
#[derive(Debug, Clone, Copy)]
pub struct Parsed {
    /// The length of what was parsed, in bytes.
    pub length: usize,
    /// Whether anything in it was lost.
    pub damaged: bool,
    /// Why it could not be read on.
    pub broken: Option<Broken>,
}
