//! Finds the byte ranges of the parts of a multipart/form-data body (RFC 7578, RFC 2046 section 5.1), leniently and in one pass.
//!
//! The body is already a file, so only byte ranges into it are needed. A body that was cut off, or that lacks its Content-Type or
//! its closing delimiter, still has parts; whatever arrived of them is reported.

use std::ops::Range;

use memchr::memmem;

/// A part's header block larger than this counts as damage.
const MAX_HEADERS: usize = 16 * 1024;
/// The most parts that are listed.
const MAX_PARTS: usize = 64;
/// Bytes wanted at a time where contents are skipped: between them there are only headers.
const LOOK: u64 = 16 << 10;
/// Bytes wanted at a time where all of the body is searched.
const PIECE: u64 = 512 << 10;
/// The longest boundary that is accepted, in bytes (RFC 2046 section 5.1.1 allows 70 characters).
const MAX_BOUNDARY: usize = 256;

/// Whether a part's own Content-Length is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lengths {
    /// Yes: the content need not be searched ([`Scanner::skippable`]). A wrong length ends the scan.
    Believed,
    /// No: every byte is searched for the delimiter.
    Ignored,
}

/// The structure of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The parts in the order of the body; the last one is incomplete when the body was cut off.
    pub parts: Vec<Part>,
    /// Whether the closing delimiter was seen. If not, and lengths were trusted, a scan that ignores them may find more.
    pub closed: bool,
}

/// A part of the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The `name` of its Content-Disposition; empty when it has none.
    pub name: String,
    /// The offset of its first byte.
    pub offset: u64,
    /// Its length in bytes, as far as it arrived.
    pub length: u64,
    /// Whether the delimiter after it was seen.
    pub complete: bool,
}

#[derive(Debug)]
enum State {
    /// Before the first delimiter; the boundary may not be known yet.
    Preamble,
    /// After a delimiter, in the rest of its line.
    DelimiterLine,
    /// In a part's headers.
    Headers,
    /// In a part's content. `ends_at` is its end according to its own Content-Length, if that is trusted.
    Content { ends_at: Option<u64> },
    /// After the closing delimiter.
    Epilogue,
}

/// Finds the parts of a body that is pushed piece by piece.
#[derive(Debug)]
pub struct Scanner {
    boundary: Option<Vec<u8>>,
    lengths: Lengths,
    state: State,
    closed: bool,
    /// Bytes that were pushed and not decided on yet; `offset` is the position of the first one.
    held: Vec<u8>,
    offset: u64,
    open: Option<Part>,
    parts: Vec<Part>,
}

impl Scanner {
    /// A scanner for a body with this Content-Type. If that has no boundary, the body's own first line is the delimiter.
    pub fn new(content_type: &str, lengths: Lengths) -> Self {
        Self {
            boundary: boundary_of(content_type),
            lengths,
            state: State::Preamble,
            closed: false,
            held: Vec::new(),
            offset: 0,
            open: None,
            parts: Vec::new(),
        }
    }

    /// The next bytes to push, of a body of this size that can be read anywhere; `None` when there are no more. What can be skipped is.
    pub fn wanted(&mut self, size: u64) -> Option<Range<u64>> {
        let begin = self.seen().saturating_add(self.skippable()).min(size);
        self.skip(begin.saturating_sub(self.seen()));
        let most = if self.lengths == Lengths::Believed { LOOK } else { PIECE };
        (begin < size).then(|| begin..size.min(begin + most))
    }

    /// How many bytes were pushed or skipped.
    fn seen(&self) -> u64 {
        self.offset + self.held.len() as u64
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        let sure = self.skippable().min(bytes.len() as u64);
        self.skip(sure);
        self.held.extend_from_slice(&bytes[sure as usize..]);
        while self.advance() {}
    }

    /// How many of the next bytes are certainly a part's content (if its Content-Length is right) and need not be pushed: the
    /// caller may skip them with [`Scanner::skip`].
    pub fn skippable(&self) -> u64 {
        match self.state {
            State::Content { ends_at: Some(end) } => end.saturating_sub(self.seen()),
            _ => 0,
        }
    }

    /// The part whose content comes at the moment, and where that ends, if its Content-Length is trusted.
    pub fn coming(&self) -> Option<(&Part, u64)> {
        let State::Content { ends_at: Some(end) } = self.state else { return None };
        Some((self.open.as_ref()?, end))
    }

    /// Skips `count` bytes without looking at them; at most [`Scanner::skippable`].
    pub fn skip(&mut self, count: u64) {
        let count = count.min(self.skippable());
        if count > 0 {
            self.offset = self.seen() + count;
            self.held.clear();
        }
    }

    /// Ends the scan and returns what was found.
    pub fn finish(mut self) -> Scan {
        let end = self.seen();
        if let (State::Content { .. }, Some(mut part)) = (&self.state, self.open.take()) {
            part.length = end.saturating_sub(part.offset);
            self.parts.push(part);
        }
        Scan { parts: self.parts, closed: self.closed }
    }

    /// Makes one step; false when more bytes are needed.
    fn advance(&mut self) -> bool {
        match self.state {
            State::Preamble => self.preamble(),
            State::DelimiterLine => self.delimiter_line(),
            State::Headers => self.headers(),
            State::Content { ends_at } => self.content(ends_at),
            State::Epilogue => {
                self.consume(self.held.len());
                false
            }
        }
    }

    fn consume(&mut self, count: usize) {
        self.held.drain(..count);
        self.offset += count as u64;
    }

    /// `--boundary`.
    fn delimiter(&self) -> Option<Vec<u8>> {
        self.boundary.as_ref().map(|boundary| [b"--", boundary.as_slice()].concat())
    }

    fn preamble(&mut self) -> bool {
        let Some(delimiter) = self.delimiter() else { return self.guess_boundary() };
        // The first delimiter is at the very beginning, or at the beginning of a line.
        let found = memmem::find_iter(&self.held, &delimiter).find(|&at| at == 0 || self.held[at - 1] == b'\n');
        if let Some(at) = found {
            self.consume(at + delimiter.len());
            self.state = State::DelimiterLine;
            true
        } else {
            let keep = self.held.len().min(delimiter.len());
            self.consume(self.held.len() - keep);
            false
        }
    }

    fn guess_boundary(&mut self) -> bool {
        let Some(end) = memchr::memchr(b'\n', &self.held) else {
            if self.held.len() > MAX_BOUNDARY {
                self.state = State::Epilogue;
                return true;
            }
            return false;
        };
        let line = self.held[..end].trim_ascii_end();
        match line.strip_prefix(b"--") {
            Some(boundary) if !boundary.is_empty() && boundary.len() <= MAX_BOUNDARY => {
                self.boundary = Some(boundary.to_vec());
            }
            _ => self.state = State::Epilogue,
        }
        true
    }

    fn delimiter_line(&mut self) -> bool {
        if self.held.len() < 2 {
            return false;
        }
        if self.held.starts_with(b"--") {
            self.closed = true;
            self.state = State::Epilogue;
            return true;
        }
        let Some(end) = memchr::memchr(b'\n', &self.held) else {
            if self.held.len() > MAX_BOUNDARY {
                self.state = State::Epilogue;
                return true;
            }
            return false;
        };
        self.consume(end + 1);
        self.state = State::Headers;
        true
    }

    fn headers(&mut self) -> bool {
        let Some((block, end)) = header_block(&self.held) else {
            if self.held.len() > MAX_HEADERS {
                self.state = State::Epilogue;
                return true;
            }
            return false;
        };
        let headers = String::from_utf8_lossy(&self.held[..block]).into_owned();
        self.consume(end);
        let name = part_name(&headers);
        let declared = header_value(&headers, "content-length").and_then(|value| value.parse::<u64>().ok());
        let ends_at = declared.filter(|_| self.lengths == Lengths::Believed);
        let ends_at = ends_at.and_then(|length| self.offset.checked_add(length));
        self.open = Some(Part { name, offset: self.offset, length: 0, complete: false });
        self.state = if self.parts.len() < MAX_PARTS { State::Content { ends_at } } else { State::Epilogue };
        true
    }

    fn content(&mut self, ends_at: Option<u64>) -> bool {
        let Some(delimiter) = self.delimiter() else { return false };
        if let Some(end) = ends_at {
            return self.content_to(end, &delimiter);
        }
        let found = memmem::find_iter(&self.held, &delimiter)
            .find_map(|at| line_break_before(&self.held, at).map(|cut| (cut, at)));
        let Some((cut, at)) = found else {
            // A delimiter, with the line break before it, may straddle the end of the bytes held.
            let keep = self.held.len().min(delimiter.len() + 2);
            self.consume(self.held.len() - keep);
            return false;
        };
        self.end_part(self.offset + cut as u64);
        self.consume(at + delimiter.len());
        self.state = State::DelimiterLine;
        true
    }

    /// Content whose end is given by its own Content-Length: only the bytes at that end are examined.
    fn content_to(&mut self, end: u64, delimiter: &[u8]) -> bool {
        let sure = end.saturating_sub(self.offset).min(self.held.len() as u64);
        self.consume(sure as usize);
        if self.offset < end {
            return false;
        }
        let wanted = [b"\r\n", delimiter].concat();
        for expected in [wanted.as_slice(), &wanted[1..]] {
            if self.held.starts_with(expected) {
                self.end_part(end);
                self.consume(expected.len());
                self.state = State::DelimiterLine;
                return true;
            }
        }
        if !wanted.starts_with(&self.held) && !wanted[1..].starts_with(&self.held) {
            self.state = State::Epilogue;
            return true;
        }
        false
    }

    fn end_part(&mut self, end: u64) {
        if let Some(mut part) = self.open.take() {
            part.length = end.saturating_sub(part.offset);
            part.complete = true;
            self.parts.push(part);
        }
    }
}

/// Where the content before a delimiter at `at` ends; `None` when the delimiter does not begin a line.
fn line_break_before(held: &[u8], at: usize) -> Option<usize> {
    match held.get(..at)? {
        [] => Some(0),
        [.., b'\r', b'\n'] => Some(at - 2),
        [.., b'\n'] => Some(at - 1),
        _ => None,
    }
}

/// The length of the header block, and where the content begins after the empty line.
fn header_block(held: &[u8]) -> Option<(usize, usize)> {
    if held.starts_with(b"\r\n") {
        return Some((0, 2));
    }
    if held.starts_with(b"\n") {
        return Some((0, 1));
    }
    let window = &held[..held.len().min(MAX_HEADERS)];
    let crlf = memmem::find(window, b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = memmem::find(window, b"\n\n").map(|at| (at, at + 2));
    match (crlf, lf) {
        (Some(crlf), Some(lf)) => Some(if crlf.0 < lf.0 { crlf } else { lf }),
        (crlf, lf) => crlf.or(lf),
    }
}

fn header_value<'a>(headers: &'a str, name: &str) -> Option<&'a str> {
    let lines = headers.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn part_name(headers: &str) -> String {
    let disposition = header_value(headers, "content-disposition").unwrap_or_default();
    parameter(disposition, "name").unwrap_or_default()
}

fn boundary_of(content_type: &str) -> Option<Vec<u8>> {
    let boundary = parameter(content_type, "boundary")?;
    (1..=MAX_BOUNDARY).contains(&boundary.len()).then(|| boundary.into_bytes())
}

/// A parameter of a header's value, quoted or not.
fn parameter(value: &str, name: &str) -> Option<String> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests;
