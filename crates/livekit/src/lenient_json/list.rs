//! The items of a list that a document has, one after the other, where one broken item costs that item.
//!
//! The document is read once, piece by piece: no more of it is in memory than the item that is looked at. Only where something
//! before the list is broken is it looked through again for the name of the list.

use std::io::{self, Read, Seek, SeekFrom};

use serde_json::Value;

use super::parser::Broken;
use super::window::{Attempt, Window};

/// How many bytes are looked through for the item after a broken one, for each byte that there is.
const SEARCHED: usize = 4;
/// The longest name of a member, and the longest value besides the list in which damage is told, in bytes.
const BESIDE: usize = 64 << 10;
/// What is kept of the text of a broken item, in bytes.
const LONGEST_BROKEN: usize = 16 << 10;

/// What is read of a list, at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Items.
    pub most: usize,
    /// The text of an item, in bytes.
    pub longest: usize,
    /// What an item takes in memory, in bytes, about.
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
    /// An item that could be read.
    Item(Value),
    /// The beginning of the text of one that could not, or that is too large.
    Broken(String),
}

/// Reads the list `name` of the object that a document is, and hands on its items until `take` wants no more. `is_item` tells an item
/// from what may be nested in one: the reading goes on with the next item after one that is broken. Of an item that breaks off with
/// the document nothing is handed on. Where the name comes again the first list that has items counts.
///
/// Whether something that stood there is lost, or was handed on broken.
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
    // Something before the list is broken, or there is none.
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
    /// Items so far.
    count: usize,
    /// Bytes that were looked through for items.
    spent: usize,
    damaged: bool,
}

impl<R: Read> Reader<'_, R> {
    /// The members of the document; whether the list was among them.
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
                        if !self.beside()? {
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

    /// A member's name, and the colon after it.
    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime")]
    fn member(&mut self) -> io::Result<Option<String>> {
        let (name, parsed) = self.window.attempt(0, BESIDE, BESIDE, |parser| parser.name())?;
        if parsed.broken.is_none() {
            self.window.consume(parsed.length);
        }
        Ok(name.filter(|_| parsed.broken.is_none()))
    }

    fn is_empty_list(&mut self) -> io::Result<bool> {
        let Attempt { value, broken, .. } = self.window.value(1, 64, BESIDE)?;
        Ok(broken.is_none() && value.is_some_and(|value| value == Value::Array(Vec::new())))
    }

    /// Goes behind a member's value that is not the list; false when it is broken.
    fn beside(&mut self) -> io::Result<bool> {
        let begin = self.window.next_token()?;
        let Attempt { length, damaged, broken, .. } = self.window.value(1, BESIDE, 64 * BESIDE)?;
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

    /// Goes to the first item of the list, by its name alone; false when there is none.
    fn goes_to(&mut self, name: &str) -> io::Result<bool> {
        let quoted = format!("\"{name}\"");
        loop {
            let Some(at) = self.window.rest().find(&quoted) else {
                // The name may lie across the end of what is here.
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

    /// The items, from behind the bracket that opens the list to behind the one that closes it; false when it is not read so far.
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

    /// One item; false when no more can be read, or is wanted.
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
            // What is no object is a piece of one whose brace is missing.
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

    /// An item that begins here cannot be read: goes on with the next one. False when there is none.
    fn broken(&mut self, why: Broken) -> io::Result<bool> {
        self.damaged = true;
        let mut is_told = false;
        let mut from = 1;
        loop {
            let next = self.next_item(from)?;
            let rest = self.window.rest();
            let is_cut = next.is_none() && self.window.is_whole() && why == Broken::End;
            if !is_told && !is_cut {
                is_told = true;
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

    /// Where the next item begins that can be read, as far as text is here.
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

/// The beginning of a broken item, without what separates it from the next one.
fn beginning(text: &str) -> String {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || c == ',');
    let mut end = text.len().min(LONGEST_BROKEN);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    const SMALL: Limits = Limits { most: 1_000, longest: 4 << 20, budget: 12 << 20 };

    /// What `list` hands on.
    fn pieces(bytes: &[u8], limits: Limits, is_item: fn(&Value) -> bool) -> (Vec<Piece>, bool) {
        let mut pieces = Vec::new();
        let mut take = |piece| {
            pieces.push(piece);
            true
        };
        let damaged = list(&mut Cursor::new(bytes), "items", limits, is_item, &mut take).unwrap();
        (pieces, damaged)
    }

    fn read(text: &str) -> (Vec<Piece>, bool) {
        pieces(text.as_bytes(), SMALL, |item| item.get("at").is_some())
    }

    /// The items by their number, the broken ones as `b`.
    fn shape(text: &str) -> (String, bool) {
        let (pieces, damaged) = read(text);
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
        assert_eq!(shape(r#"{"items":[],"items":[{"at":1}]}"#), ("1".to_owned(), false));
        assert_eq!(shape(r#"{"items":[{"at":1}],"items":[{"at":2},{"at":3}]}"#), ("1".to_owned(), true));
        assert_eq!(shape(r#"{"items":[{"at":1}],"a":"#), ("1".to_owned(), true));
        for none in ["", "[]", "{}", r#"{"items":{}}"#, r#"{"items":NaN}"#, "nonsense", "\"items\""] {
            assert_eq!(shape(none), (String::new(), true), "{none}");
        }
    }

    #[test]
    fn looking_for_the_next_item_is_bounded() {
        for text in [r#"{"a":"#, r#"{"a":["x" y "#, r#"{"a":"b"#, "0,", "[", "{},", r#"{"at":1"#] {
            let text = format!(r#"{{"items":[{}"#, text.repeat(100_000));
            assert!(read(&text).1);
        }
    }

    #[test]
    fn an_item_that_is_too_large_costs_that_item() {
        let limits = Limits { most: 10, longest: 1 << 20, budget: 64 << 10 };
        let read = |bad: &str| {
            let text = format!(r#"{{"items":[{{"at":1}},{bad},{{"at":3}}]}}"#);
            let (pieces, damaged) = pieces(text.as_bytes(), limits, |item| item.get("at").is_some());
            assert!(damaged && matches!(&pieces[1], Piece::Broken(text) if text.len() <= LONGEST_BROKEN));
            pieces.len()
        };
        assert_eq!(read(&format!(r#"{{"at":2,"x":[{}0]}}"#, "0,".repeat(2_000))), 3);
        assert_eq!(read(&format!(r#"{{"at":2,"x":[{}0]}}"#, r#"{"":{}},"#.repeat(200))), 3);
        assert_eq!(read(&format!(r#"{{"at":2,"x":"{}"}}"#, "]}".repeat(100_000))), 3);
        assert_eq!(read(&format!(r#"{{"at":2,"x":"{}"}}"#, "z".repeat(2 << 20))), 3);
    }

    #[test]
    fn what_stands_beside_the_list_may_be_long() {
        let long = "[".repeat(50) + &"0,".repeat(200_000) + &"]".repeat(50);
        let text = format!(r#"{{"a":{long},"b":"{}","items":[{{"at":1}}]}}"#, "\\\"z".repeat(100_000));
        assert_eq!(shape(&text), ("1".to_owned(), false));
    }

    #[test]
    fn there_are_no_more_items_than_are_wanted() {
        let text = format!(r#"{{"items":[{}{{}}]}}"#, r#"{"at":1},"#.repeat(2_000));
        assert_eq!((read(&text).0.len(), read(&text).1), (1_000, true));
        let mut count = 0;
        let mut take = |_| {
            count += 1;
            count < 5
        };
        assert!(list(&mut Cursor::new(text), "items", SMALL, |_| true, &mut take).unwrap());
        assert_eq!(count, 5);
    }

    proptest! {
        #[test]
        fn what_is_a_list_is_read_whole_and_a_number_that_is_none_costs_itself(count in 0_usize..20, odd in any::<prop::sample::Index>()) {
            let item = |n: usize| format!(r#"{{"at":{n},"x":["é","\u00e9",{{"y":{}}}]}}"#, if n == odd.index(20) { "NaN" } else { "1" });
            let items: Vec<String> = (0..count).map(item).collect();
            let text = format!(r#"{{"items":[{}]}}"#, items.join(", "));
            let (pieces, damaged) = read(&text);
            prop_assert_eq!((pieces.len(), damaged), (count, false));
        }

        #[test]
        fn what_is_json_is_read_as_json(items in prop::collection::vec(value(), 0..12), pad in 0_usize..3, before in value()) {
            let items: Vec<Value> = items.into_iter().map(|item| serde_json::json!({"at": 1, "in": item, "pad": "z".repeat(pad * 30_000)})).collect();
            let document = serde_json::json!({"a": before, "items": items});
            let text = if pad == 1 { serde_json::to_string_pretty(&document).unwrap() } else { document.to_string() };
            // Read back by the strict reader, whose numbers are the same.
            let strict: Value = serde_json::from_str(&text).unwrap();
            let (pieces, damaged) = read(&text);
            let expected: Vec<Piece> = strict["items"].as_array().unwrap().iter().cloned().map(Piece::Item).collect();
            prop_assert!(!damaged);
            prop_assert_eq!(pieces, expected);
        }

        #[test]
        fn a_break_anywhere_in_one_item_leaves_the_others(count in 3_usize..12, which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>()) {
            let item = |n: usize| format!(r#"{{"id":"i{n}","text":["word {n}"],"in":{{"a":1,"b":[2,3]}},"at":{n}}}"#);
            let mut items: Vec<String> = (0..count).map(item).collect();
            let which = which.index(count);
            let at = at.index(items[which].len());
            items[which].remove(at);
            let text = format!(r#"{{"items":[{}]}}"#, items.join(","));
            let (pieces, _) = read(&text);
            let others = pieces.iter().filter(|piece| matches!(piece, Piece::Item(item) if item["at"] != which)).count();
            prop_assert!(others + 1 >= count, "{} of {count}: {text}", others);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            pieces(&bytes, SMALL, |_| true);
        }
    }

    /// Any JSON, but for numbers that the strict reader rounds in its own way.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            ".{0,12}".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
