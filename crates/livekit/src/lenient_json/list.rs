//! Streams the items of one list in a JSON document, such that a broken item costs only that item.
//!
//! The document is read once, piece by piece: no more of it is in memory than the current item. Only if something before the list
//! is broken is it read a second time, to search for the name of the list.

use std::io::{self, Read, Seek, SeekFrom};

use serde_json::Value;

use super::parser::Broken;
use super::window::{Attempt, Window};

/// How many bytes may be searched for the item after a broken one, for each byte of the document.
const SEARCHED: usize = 4;
/// The longest member name, and the longest value outside the list in which damage is reported, in bytes.
const LONGEST_OTHER: usize = 64 << 10;
/// How much of the text of a broken item is kept, in bytes.
const LONGEST_BROKEN: usize = 16 << 10;

/// Limits on what is read of a list.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most items.
    pub most: usize,
    /// The longest text of an item, in bytes.
    pub longest: usize,
    /// The memory that one item may take, in bytes, approximately.
    pub budget: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most: 100_000, longest: 4 << 20, budget: 12 << 20 }
    }
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An item that was read.
    Item(Value),
    /// The beginning of the text of an item that could not be read or is too large.
    Broken(String),
}

/// Reads the list `name` of the document's top-level object and passes its items to `take` until that returns false. `is_item`
/// distinguishes an item from a value nested in one: reading resumes at the next item after a broken one. An item that is cut off
/// by the end of the document is not passed on. If the name occurs several times, the first list with items counts.
///
/// Returns whether anything in the document was lost, or was passed on broken.
pub fn list(
    source: &mut (impl Read + Seek),
    name: &str,
    limits: Limits,
    is_item: fn(&Value) -> bool,
    take: &mut dyn FnMut(Piece) -> bool,
) -> io::Result<bool> {
    source.seek(SeekFrom::Start(0))?;
    let mut reader =
        Reader { window: Window::new(&mut *source), limits, is_item, take, count: 0, spent: 0, damaged: false };
    let mut found = false;
    if reader.window.next_token()? == Some(b'{') {
        reader.window.consume(1);
        found = reader.members(name)?;
    }
    if found {
        return Ok(reader.damaged);
    }
    // Something before the list is broken, or there is no such list.
    let take = reader.take;
    source.seek(SeekFrom::Start(0))?;
    let mut reader = Reader { window: Window::new(source), limits, is_item, take, count: 0, spent: 0, damaged: true };
    if reader.goes_to(name)? {
        reader.items()?;
    }
    Ok(true)
}

struct Reader<'t, R> {
    window: Window<R>,
    limits: Limits,
    is_item: fn(&Value) -> bool,
    take: &'t mut dyn FnMut(Piece) -> bool,
    /// Items passed on so far.
    count: usize,
    /// Bytes that were parsed in search of the next item.
    spent: usize,
    damaged: bool,
}

impl<R: Read> Reader<'_, R> {
    /// Reads the members of the document; returns whether the list was among them.
    fn members(&mut self, name: &str) -> io::Result<bool> {
        let mut found = false;
        loop {
            match self.window.next_token()? {
                Some(b'"') => {
                    let Some(member) = self.member()? else { return Ok(self.breaks(found)) };
                    let is_list = member == name && self.window.next_token()? == Some(b'[');
                    if is_list && self.count == 0 {
                        found = true;
                        self.window.consume(1);
                        if !self.items()? {
                            return Ok(true);
                        }
                    } else {
                        self.damaged |= is_list && !self.is_empty_list()?;
                        if !self.skip_other()? {
                            return Ok(self.breaks(found));
                        }
                    }
                }
                Some(b',') => self.window.consume(1),
                Some(b'}') => {
                    self.window.consume(1);
                    self.damaged |= self.window.next_token()?.is_some();
                    return Ok(found);
                }
                _ => return Ok(self.breaks(found)),
            }
        }
    }

    fn breaks(&mut self, found: bool) -> bool {
        self.damaged = true;
        found
    }

    /// Reads a member's name and the colon after it.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime")]
    fn member(&mut self) -> io::Result<Option<String>> {
        let (name, parsed) = self.window.attempt(0, LONGEST_OTHER, LONGEST_OTHER, |parser| parser.name())?;
        if parsed.broken.is_none() {
            self.window.consume(parsed.length);
        }
        Ok(name.filter(|_| parsed.broken.is_none()))
    }

    fn is_empty_list(&mut self) -> io::Result<bool> {
        let Attempt { value, broken, .. } = self.window.value(1, 64, LONGEST_OTHER)?;
        Ok(broken.is_none() && value.is_some_and(|value| value == Value::Array(Vec::new())))
    }

    /// Skips the value of a member that is not the list; false when it is broken.
    fn skip_other(&mut self) -> io::Result<bool> {
        let begin = self.window.next_token()?;
        let Attempt { length, damaged, broken, .. } = self.window.value(1, LONGEST_OTHER, 64 * LONGEST_OTHER)?;
        match (broken, begin) {
            (None, _) => {
                self.window.consume(length);
                self.damaged |= damaged;
                Ok(true)
            }
            (Some(Broken::End | Broken::Size), Some(b'{' | b'[')) => self.window.skip_nested(),
            (Some(Broken::End | Broken::Size), Some(b'"')) => self.window.skip_text(),
            _ => Ok(false),
        }
    }

    /// Searches for the list by its name alone and moves to its first item; false when there is none.
    fn goes_to(&mut self, name: &str) -> io::Result<bool> {
        let quoted = format!("\"{name}\"");
        loop {
            let Some(at) = self.window.rest().find(&quoted) else {
                // The name may straddle the end of the text read so far.
                let mut keep = self.window.rest().len().saturating_sub(quoted.len());
                while !self.window.rest().is_char_boundary(keep) {
                    keep -= 1;
                }
                self.window.consume(keep);
                if self.window.more()? {
                    continue;
                }
                return Ok(false);
            };
            self.window.consume(at + quoted.len());
            if self.window.next_token()? == Some(b':') {
                self.window.consume(1);
                if self.window.next_token()? == Some(b'[') {
                    self.window.consume(1);
                    return Ok(true);
                }
            }
        }
    }

    /// Reads the items, from after the opening bracket to after the closing one; false when the closing bracket is not reached.
    fn items(&mut self) -> io::Result<bool> {
        loop {
            match self.window.next_token()? {
                Some(b']') => {
                    self.window.consume(1);
                    return Ok(true);
                }
                Some(b',' | b'}' | b':') => self.window.consume(1),
                None => {
                    self.damaged = true;
                    return Ok(false);
                }
                Some(_) if self.count >= self.limits.most => {
                    self.damaged = true;
                    return Ok(false);
                }
                Some(first) => {
                    if !self.item(first)? {
                        self.damaged = true;
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Reads one item; false when no more can be read, or are wanted.
    fn item(&mut self, first: u8) -> io::Result<bool> {
        let Attempt { value, length, damaged, broken } =
            self.window.value(2, self.limits.longest, self.limits.budget)?;
        match (broken, value) {
            (None, Some(item @ Value::Object(_))) => {
                self.window.consume(length);
                self.damaged |= damaged;
                Ok(self.hand_on(Piece::Item(item)))
            }
            (None, None | Some(Value::Null)) => {
                self.window.consume(length);
                self.damaged |= damaged;
                Ok(true)
            }
            (Some(Broken::Size), _) => {
                self.damaged = true;
                let begin = beginning(self.window.rest());
                Ok(self.hand_on(Piece::Broken(begin)) && self.skip(first)?)
            }
            // A value that is not an object is a fragment of an object whose brace is missing.
            (why, _) => self.broken(why.unwrap_or(Broken::Syntax)),
        }
    }

    fn skip(&mut self, first: u8) -> io::Result<bool> {
        if first == b'"' { self.window.skip_text() } else { self.window.skip_nested() }
    }

    fn hand_on(&mut self, piece: Piece) -> bool {
        self.count += 1;
        (self.take)(piece)
    }

    /// The item at this position is broken: moves on to the next one; false when there is none.
    fn broken(&mut self, why: Broken) -> io::Result<bool> {
        self.damaged = true;
        let mut is_handed_on = false;
        let mut from = 1;
        loop {
            let next = self.next_item(from)?;
            let rest = self.window.rest();
            let is_cut = next.is_none() && self.window.is_whole() && why == Broken::End;
            if !is_handed_on && !is_cut {
                is_handed_on = true;
                let piece = beginning(&rest[..next.unwrap_or(rest.len())]);
                if !self.hand_on(Piece::Broken(piece)) {
                    return Ok(false);
                }
            }
            if let Some(next) = next {
                self.window.consume(next);
                return Ok(true);
            }
            self.window.consume(self.window.rest().len());
            if self.spent_too_much() || !self.window.more()? {
                return Ok(false);
            }
            from = 0;
        }
    }

    fn spent_too_much(&self) -> bool {
        self.spent > self.window.read.saturating_mul(SEARCHED)
    }

    /// Where the next readable item begins, in the text read so far.
    fn next_item(&mut self, from: usize) -> io::Result<Option<usize>> {
        let mut from = from;
        while from <= self.window.rest().len() && !self.spent_too_much() {
            while !self.window.rest().is_char_boundary(from) {
                from += 1;
            }
            let Some(at) = self.window.rest()[from..].find('{').map(|at| from + at) else { break };
            let Limits { longest, budget, .. } = self.limits;
            let (value, parsed) = self.window.attempt(at, longest, budget, |parser| parser.value(2))?;
            self.spent += parsed.length;
            if parsed.broken.is_none() && value.is_some_and(|value| (self.is_item)(&value)) {
                return Ok(Some(at));
            }
            from = at + 1;
        }
        Ok(None)
    }
}

/// The beginning of a broken item, without the separator to the next one.
fn beginning(text: &str) -> String {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
    let mut end = text.len().min(LONGEST_BROKEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests;
