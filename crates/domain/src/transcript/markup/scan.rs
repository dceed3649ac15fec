//! Recognises a delivery mark in a text, and finds where it ends.

use super::names;

/// The longest mark, in bytes: the description of a manner may be a sentence.
const LONGEST: usize = 1_000;

/// How a mark relates to the words around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// It is around words, or around a part of one.
    Around,
    /// It is between words.
    Between,
}

/// A mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// How it relates to the words around it.
    pub shape: Shape,
    /// One past its last byte.
    pub end: usize,
}

/// The mark that begins at this byte of a text, which is `<`, `[` or `(`. An unfinished mark ends with the text.
pub fn mark_at(text: &str, start: usize) -> Option<Mark> {
    let longest = text[start..].char_indices().map(|(at, _)| at).take_while(|at| *at <= LONGEST).last().unwrap_or(0);
    let is_rest = text[start + longest..].chars().nth(1).is_none();
    let window = if is_rest { &text[start..] } else { &text[start..start + longest] };
    let (shape, length) = match window.as_bytes()[0] {
        b'<' => element(window).or_else(|| pause(window)),
        b'[' => bracket(window, ']').map(|length| (Shape::Between, length)),
        _ => bracket(window, ')').map(|length| (Shape::Between, length)),
    }
    .or_else(|| (is_rest && is_unfinished(window)).then_some((Shape::Between, window.len())))?;
    Some(Mark { shape, end: start + length })
}

/// `<name attribute="..">`, `</name>` or `<name/>` with a known name, and the declaration that an XML document begins
/// with.
fn element(text: &str) -> Option<(Shape, usize)> {
    if text.starts_with("<?xml") {
        return text.find("?>").map(|at| (Shape::Between, at + 2));
    }
    let inner = text.strip_prefix("</").unwrap_or(&text[1..]);
    let closes = text.len() - inner.len() == 2;
    let name = name(inner)?;
    let between = names::element(&name.to_lowercase())?;
    let from = text.len() - inner.len() + name.len();
    if !text[from..].starts_with(|c: char| c.is_whitespace() || c == '/' || c == '>') {
        return None;
    }
    let malformed = || text[from..].find(['<', '>']).filter(|at| text[from + at..].starts_with('>')).map(|at| at + 1);
    let length = attributes(&text[from..]).or_else(malformed)?;
    let tag = &text[..from + length];
    let between = between && !closes || is_between(tag);
    Some((if between { Shape::Between } else { Shape::Around }, from + length))
}

/// An `expr` says by its type whether it is between words.
fn is_between(tag: &str) -> bool {
    tag.starts_with("<expr") && ["\"break\"", "\"sound\"", "\"expression\""].iter().any(|kind| tag.contains(kind))
}

/// The name that a text begins with. One of Gemini's names has a space in it.
fn name(text: &str) -> Option<&str> {
    if text.get(..11).is_some_and(|name| name.eq_ignore_ascii_case("short pause")) {
        return text.get(..11);
    }
    let ends = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':'));
    let name = &text[..text.find(ends).unwrap_or(text.len())];
    name.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(name)
}

/// The length of an element's attributes and of the bracket that closes it; a `>` in quotes does not close it. `None` when they are
/// not well formed.
fn attributes(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        if let Some(after) = trimmed.strip_prefix("/>").or_else(|| trimmed.strip_prefix('>')) {
            return Some(text.len() - after.len());
        }
        let name = name(trimmed).filter(|_| trimmed.len() < rest.len())?;
        rest = &trimmed[name.len()..];
        if let Some(value) = rest.trim_start().strip_prefix('=').map(str::trim_start) {
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''));
            rest = match quote {
                Some(quote) => {
                    let (inside, after) = value[1..].split_once(quote)?;
                    if inside.contains('<') || !after.starts_with(|c: char| c.is_whitespace() || c == '/' || c == '>') {
                        return None;
                    }
                    after
                }
                None => &value[value.find(|c: char| c.is_whitespace() || "\"'=<>`/".contains(c))?..],
            };
        }
    }
}

/// A pause, given by its length: `<750>` (Rime), `<#0.5#>` (`MiniMax`).
fn pause(text: &str) -> Option<(Shape, usize)> {
    let inner = &text[1..text.find('>')?];
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let is_pause = match inner.strip_prefix('#').and_then(|inner| inner.strip_suffix('#')) {
        Some(seconds) => is_number(seconds),
        None => (2..=5).contains(&inner.len()) && is_number(inner) && !inner.contains('.'),
    };
    is_pause.then_some((Shape::Between, inner.len() + 2))
}

/// The length of a mark in brackets. Brackets that are followed by `(` are a link.
fn bracket(text: &str, close: char) -> Option<usize> {
    let end = text.find(close)?;
    let is_sound = names::bracketed(&text[1..end], close == ']') && !text[end + 1..].starts_with('(');
    is_sound.then_some(end + 1)
}

/// Whether this is the beginning of a mark that is cut off at the end of the text, as in a line that is still arriving.
fn is_unfinished(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[') {
        return !inner.contains(']') && inner.len() <= 40 && (inner.is_empty() || names::begins_bracketed(inner));
    }
    if let Some(inner) = text.strip_prefix('(') {
        return !inner.contains(')') && (3..40).contains(&inner.len()) && names::begins_bracketed(inner);
    }
    let Some(inner) = text.strip_prefix('<') else { return false };
    let inner = inner.strip_prefix('/').unwrap_or(inner);
    if inner.contains('>') {
        return false;
    }
    match name(inner) {
        None => inner.is_empty(),
        Some(name) if name.len() == inner.len() => names::begins_element(&name.to_lowercase()),
        Some(name) => {
            names::element(&name.to_lowercase()).is_some()
                && inner[name.len()..].starts_with(|c: char| c.is_whitespace() || c == '/')
        }
    }
}
