//! As much of a document as is looked at: its text, decoded piece by piece as it is needed.

use std::io::{self, Read};

use memchr::memchr2;
use serde_json::Value;

use super::decode::Decoder;
use super::parser::{Broken, Parser};

/// What is read at a time, in bytes.
const PIECE: usize = 64 << 10;

/// The text from some place of a document on.
#[derive(Debug)]
pub struct Window<R> {
    source: R,
    decoder: Decoder,
    text: String,
    at: usize,
    is_whole: bool,
    /// Bytes of text that there were so far.
    pub read: usize,
}

/// A value, or what was tried to be one.
#[derive(Debug)]
pub struct Attempt {
    /// The value, if there is one.
    pub value: Option<Value>,
    /// How much of the text it takes.
    pub length: usize,
    /// Whether something that stood in it is lost.
    pub damaged: bool,
    /// Why it cannot be read to its end.
    pub broken: Option<Broken>,
}

impl<R: Read> Window<R> {
    /// Begins at the beginning.
    pub fn new(source: R) -> Self {
        Self { source, decoder: Decoder::default(), text: String::new(), at: 0, is_whole: false, read: 0 }
    }

    /// The text that is here.
    pub fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Whether no more text comes than is here.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Goes behind so many bytes.
    pub fn consume(&mut self, count: usize) {
        self.at += count;
        if self.at >= PIECE && self.at > self.text.len() / 2 {
            self.text.drain(..self.at);
            self.at = 0;
        }
    }

    /// Brings more text; false when there is none.
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

    /// Brings twice as much text as is here; false when there is none.
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

    /// The byte that comes next after white space and other bytes that stand for nothing.
    pub fn next_token(&mut self) -> io::Result<Option<u8>> {
        loop {
            let blank = self.rest().bytes().position(|byte| byte > b' ');
            self.consume(blank.unwrap_or(self.rest().len()));
            if blank.is_some() || !self.more()? {
                return Ok(self.rest().bytes().next());
            }
        }
    }

    /// Something that is read by a parser from `from` on, again with more text as long as it breaks off and is shorter than `longest`.
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

    /// The value that comes next, which is nested in so many others.
    pub fn value(&mut self, depth: usize, longest: usize, budget: usize) -> io::Result<Attempt> {
        let (value, Parsed { length, damaged, broken }) =
            self.attempt(0, longest, budget, |parser| parser.value(depth))?;
        Ok(Attempt { value, length, damaged, broken })
    }

    /// Goes behind a text that begins here with its quotation mark; false when it does not end.
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

    /// Goes behind a list or an object that begins here, by its brackets alone; false when it does not end.
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

/// How far something was read.
#[derive(Debug, Clone, Copy)]
pub struct Parsed {
    /// Its length in bytes.
    pub length: usize,
    /// Whether something that stood in it is lost.
    pub damaged: bool,
    /// Why it cannot be read on.
    pub broken: Option<Broken>,
}
