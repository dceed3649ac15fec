//! The items of a list that a document has, where one broken item costs that item.

use serde_json::Value;

use super::decode::decode;
use super::parser::{Broken, Parser};

/// How many bytes are looked through for the item after a broken one, for each byte that there is.
const SEARCHED: usize = 4;

/// What was read of a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct List {
    /// Its items, in order.
    pub pieces: Vec<Piece>,
    /// Whether something that stood there is lost, or is a broken piece.
    pub damaged: bool,
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// An item that could be read.
    Item(Value),
    /// The text of one that could not.
    Broken(String),
}

/// Reads the list `name` of the object that a document is: at most `most` items of it. `is_item` tells an item from what may be nested in
/// one: the reading goes on with the next item after one that is broken. Of an item that breaks off with the document nothing is
/// kept.
pub fn list(bytes: &[u8], name: &str, most: usize, is_item: fn(&Value) -> bool) -> List {
    if let Ok(document) = serde_json::from_slice::<Value>(bytes) {
        return whole(document, name, most);
    }
    let text = decode(bytes);
    if let Ok(document) = serde_json::from_str::<Value>(&text) {
        return whole(document, name, most);
    }
    let mut reader =
        Reader { text: &text, most, is_item, effort: text.len().saturating_mul(SEARCHED), list: List::default() };
    reader.document(name);
    reader.list
}

fn whole(mut document: Value, name: &str, most: usize) -> List {
    match document.get_mut(name).map(Value::take) {
        Some(Value::Array(items)) => {
            let damaged = items.len() > most;
            List { pieces: items.into_iter().take(most).map(Piece::Item).collect(), damaged }
        }
        _ => List { pieces: Vec::new(), damaged: true },
    }
}

struct Reader<'t> {
    text: &'t str,
    most: usize,
    is_item: fn(&Value) -> bool,
    /// How many more bytes may be looked through for items.
    effort: usize,
    list: List,
}

impl Reader<'_> {
    fn document(&mut self, name: &str) {
        let mut parser = Parser::new(self.text);
        let mut found = false;
        if parser.next_token() == Some(b'{') {
            parser.at += 1;
            found = self.members(&mut parser, name);
        }
        if !found && let Some(at) = self.named(name) {
            // Something before the list is broken.
            self.list.damaged = true;
            parser = Parser::new(self.text);
            parser.at = at;
            self.items(&mut parser);
            found = true;
        }
        self.list.damaged |= !found || parser.damaged;
    }

    /// The members of the document; whether the list was among them. Where its name comes again the longest counts.
    fn members(&mut self, parser: &mut Parser<'_>, name: &str) -> bool {
        let mut found = false;
        loop {
            match parser.next_token() {
                Some(b'"') => {
                    let member = parser.name();
                    if member.as_deref() == Some(name) && parser.next_token() == Some(b'[') {
                        found = true;
                        let before = std::mem::take(&mut self.list.pieces);
                        parser.at += 1;
                        self.items(parser);
                        if before.len() > self.list.pieces.len() {
                            self.list.pieces = before;
                        }
                    } else if member.is_some() {
                        parser.value(1);
                    }
                }
                Some(b',') => parser.at += 1,
                Some(b'}') => {
                    parser.at += 1;
                    self.list.damaged |= !parser.is_at_end();
                    return found;
                }
                _ => {
                    self.list.damaged = true;
                    return found;
                }
            }
            if parser.broken.is_some() {
                self.list.damaged = true;
                return found;
            }
        }
    }

    /// Where the items of the list begin, by its name alone.
    fn named(&self, name: &str) -> Option<usize> {
        let quoted = format!("\"{name}\"");
        self.text.match_indices(&quoted).find_map(|(at, _)| {
            let after =
                self.text[at + quoted.len()..].trim_start().strip_prefix(':')?.trim_start().strip_prefix('[')?;
            Some(self.text.len() - after.len())
        })
    }

    /// The items, from behind the bracket that opens the list to behind the one that closes it.
    fn items(&mut self, parser: &mut Parser<'_>) {
        loop {
            match parser.next_token() {
                Some(b']') => {
                    parser.at += 1;
                    return;
                }
                Some(b',' | b'}' | b':') => parser.at += 1,
                None => {
                    parser.broken = Some(Broken::End);
                    return;
                }
                Some(_) if self.list.pieces.len() >= self.most => {
                    self.list.damaged = true;
                    parser.broken = Some(Broken::Syntax);
                    return;
                }
                Some(_) => {
                    let start = parser.at;
                    let item = parser.value(2);
                    match (parser.broken, item) {
                        (None, Some(item @ Value::Object(_))) => self.list.pieces.push(Piece::Item(item)),
                        (None, None | Some(Value::Null)) => {}
                        // What is no object is a piece of one whose brace is missing.
                        (why, _) => {
                            parser.broken = why.or(Some(Broken::Syntax));
                            self.broken(parser, start);
                            if parser.broken.is_some() {
                                return;
                            }
                        }
                    }
                }
            }
        }
    }

    /// An item that begins at `start` cannot be read: goes on with the next one.
    fn broken(&mut self, parser: &mut Parser<'_>, start: usize) {
        self.list.damaged = true;
        let next = self.next_item(start + 1);
        if next.is_none() && parser.broken == Some(Broken::End) {
            return;
        }
        let piece = &self.text[start..next.unwrap_or(self.text.len())];
        let piece = piece.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
        self.list.pieces.push(Piece::Broken(piece.to_owned()));
        if let Some(next) = next {
            (parser.at, parser.broken) = (next, None);
        }
    }

    /// Where the next item begins that can be read.
    fn next_item(&mut self, from: usize) -> Option<usize> {
        let text = self.text;
        for (at, _) in text.get(from..)?.match_indices('{').map(|(at, brace)| (from + at, brace)) {
            if self.effort == 0 {
                return None;
            }
            let mut attempt = Parser::new(text);
            attempt.at = at;
            let item = attempt.value(2);
            self.effort = self.effort.saturating_sub(attempt.at - at);
            if attempt.broken.is_none() && item.is_some_and(|item| (self.is_item)(&item)) {
                return Some(at);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> List {
        list(text.as_bytes(), "items", 1_000, |item| item.get("at").is_some())
    }

    /// The items by their number, the broken ones as `b`.
    fn shape(text: &str) -> (String, bool) {
        let List { pieces, damaged } = read(text);
        let shape = pieces.iter().map(|piece| match piece {
            Piece::Item(item) => item["at"].to_string(),
            Piece::Broken(_) => "b".to_owned(),
        });
        (shape.collect(), damaged)
    }

    #[test]
    fn a_broken_item_costs_that_item() {
        let with =
            |bad: &str| shape(&format!(r#"{{"v":1,"items":[{{"at":1}},{bad},{{"at":3,"in":[{{"x":1}}]}}],"w":2}}"#));
        for bad in [
            r#"{"at":2,"text":["abc],"more":1}"#,
            r#"{"at":2,"text":["he said "hi" to me"]}"#,
            r#"{"at":2,"in":{"x":1}"#,
            r#"{"at":2,"in":[{"x":1},{"x":2}}"#,
            r#"{"at":2,"text":"abc\"}"#,
            r"{at:2}",
            r#"{"at" 2}"#,
        ] {
            assert_eq!(with(bad), ("1b3".to_owned(), true), "{bad}");
        }
        assert_eq!(with(r#"{"at":2,"text":"a]}b"}}"#), ("123".to_owned(), false), "one brace too many");
        assert_eq!(with(r#"{"at":2,"x":oops}"#), ("123".to_owned(), true), "one value");
        assert_eq!(with(r#"{"at":2,"x":NaN}"#), ("123".to_owned(), false));
        assert_eq!(with("NaN"), ("13".to_owned(), false));
    }

    #[test]
    fn the_last_item_and_what_is_around_the_list() {
        assert_eq!(shape(r#"{"items":[{"at":1},{"at":2,"x":"y"#), ("1".to_owned(), true), "it breaks off");
        assert_eq!(shape(r#"{"items":[{"at":1},{"at":2,]}"#), ("1b".to_owned(), true));
        assert_eq!(shape(r#"{"items":[{"at":1} {"at":2},]}"#), ("12".to_owned(), false));
        assert_eq!(shape(r#"{"a":oops oops,"items":[{"at":1}]}"#), ("1".to_owned(), true));
        assert_eq!(shape(r#"{"a":NaN,"items":[{"at":1}]}"#), ("1".to_owned(), false));
        assert_eq!(shape(r#"{"items":[{"at":1}],"items":[],"items":NaN}"#), ("1".to_owned(), false));
        assert_eq!(shape(r#"{"items":[{"at":1}],"a":"#), ("1".to_owned(), true));
        for none in ["", "[]", "{}", r#"{"items":{}}"#, r#"{"items":NaN}"#, "nonsense", "\"items\""] {
            assert_eq!(shape(none), (String::new(), true), "{none}");
        }
    }

    #[test]
    fn looking_for_the_next_item_is_bounded() {
        let text = format!(r#"{{"items":[{}"#, r#"{"a":"#.repeat(100_000));
        assert!(read(&text).damaged);
        let text = format!(r#"{{"items":[{}"#, r#"{"a":["x" y "#.repeat(100_000));
        assert!(read(&text).damaged);
    }

    proptest! {
        #[test]
        fn what_is_a_list_is_read_whole_and_a_number_that_is_none_costs_itself(count in 0_usize..20, odd in any::<prop::sample::Index>()) {
            let item = |n: usize| format!(r#"{{"at":{n},"x":["é","\u00e9",{{"y":{}}}]}}"#, if n == odd.index(20) { "NaN" } else { "1" });
            let items: Vec<String> = (0..count).map(item).collect();
            let text = format!(r#"{{"items":[{}]}}"#, items.join(", "));
            let read = read(&text);
            prop_assert_eq!((read.pieces.len(), read.damaged), (count, false));
        }

        #[test]
        fn a_break_anywhere_in_one_item_leaves_the_others(count in 3_usize..12, which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
            let item = |n: usize| format!(r#"{{"id":"i{n}","text":["word {n}"],"in":{{"a":1,"b":[2,3]}},"at":{n}}}"#);
            let mut items: Vec<String> = (0..count).map(item).collect();
            let which = which.index(count);
            let at = at.index(items[which].len());
            items[which].remove(at);
            let text = format!(r#"{{"items":[{}]}}"#, items.join(","));
            let read = read(&text);
            let others = read.pieces.iter().filter(|piece| matches!(piece, Piece::Item(item) if item["at"] != which)).count();
            prop_assert!(others + 1 >= count, "{} of {count}: {text}", others);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            list(&bytes, "items", 100, |_| true);
        }
    }
}
