//! Reads JSON from outside leniently: the invalid JSON that Python and Node write (RFC 8259), and documents damaged on the way.
//!
//! One bad value costs only that value. Python's `json.dumps` writes `NaN` and `Infinity`, a document may be UTF-16 or begin with a
//! byte order mark, a string may hold half a surrogate pair or a raw line break, and any document may be cut off.

mod decode;
mod list;
mod parser;
mod window;

pub(crate) use self::window::Window;
pub use list::{Limits, Piece, list};

use serde_json::Value;

use self::decode::decode;
use self::parser::Parser;

/// The result of reading a document.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Read {
    /// The document as far as it could be read, without members that have no value (`NaN`, numbers out of range).
    pub value: Value,
    /// Whether anything in the document was lost. A non-number (`NaN`) counts as no value, not as lost.
    pub damaged: bool,
}

/// Reads a document. Valid JSON is read as JSON; anything else as far as sense can be made of it. Of members with the same name the
/// last one that has a value counts. Values nested deeper than 100 become null.
pub fn read(bytes: &[u8]) -> Read {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Read { value, damaged: false };
    }
    let text = decode(bytes);
    let mut parser = Parser::new(&text);
    let value = parser.value(0).unwrap_or_default();
    let damaged = parser.damaged || parser.broken.is_some() || !parser.is_at_end();
    Read { value, damaged }
}

#[cfg(test)]
mod tests;
