//! Tests of lists in damaged documents: one broken item costs that item.

use super::*;
use proptest::prelude::*;
use std::io::Cursor;

const SMALL: Limits = Limits { most: 1_000, longest: 4 << 20, budget: 12 << 20 };

/// What `list` passes on.
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

/// The items by number, broken ones as `b`.
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
    let with = |bad: &str| shape(&format!(r#"{{"v":1,"items":[{{"at":1}},{bad},{{"at":3,"in":[{{"x":1}}]}}],"w":2}}"#));
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
fn other_members_may_be_long() {
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
        // Parsed back by the strict reader, so that numbers are rounded the same way.
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

/// Any JSON, except numbers that the strict reader rounds differently.
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
