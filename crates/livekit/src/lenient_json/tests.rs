//! Tests of `lenient_json`.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn whole(text: &str) -> Value {
    let Read { value, damaged } = read(text.as_bytes());
    assert!(!damaged, "{text}");
    value
}

#[test]
fn numbers_that_are_none_are_absent_and_nothing_is_lost() {
    assert_eq!(whole(r#"{"a":NaN,"b":-Infinity,"c":Infinity,"d":1e999,"e":-1e999,"f":2}"#), json!({"f": 2}));
    assert_eq!(whole(r#"{"a":nan,"b":inf,"c":-inf,"d":None,"e":True}"#), json!({"d": null, "e": true}));
    assert_eq!(whole("[1,NaN,3]"), json!([1, null, 3]));
    assert_eq!(whole(r#"{"a":1,"a":2,"a":NaN}"#), json!({"a": 2}));
    assert_eq!(
        whole("[+1, .5, 5., 007, 12345678901234567890123, -0]"),
        json!([1, 0.5, 5.0, 7, 1.234_567_890_123_456_8e22, -0.0])
    );
}

#[test]
fn texts_as_they_are_written() {
    let text = |json: &str| whole(json).as_str().map(str::to_owned).unwrap();
    assert_eq!(text(r#""a\ud83d""#), "a\u{fffd}");
    assert_eq!(text(r#""\ude00b""#), "\u{fffd}b");
    assert_eq!(text(r#""\ud83d\u0041""#), "\u{fffd}A");
    assert_eq!(text(r#""\ud83d\ude00\ud83d""#), "\u{1f600}\u{fffd}");
    assert_eq!(text("\"a\nb\tc\u{1}\""), "a\nb\tc\u{1}");
    assert_eq!(text(r#""C:\dir \uZZ \x""#), r"C:\dir \uZZ \x");
    assert_eq!(text(r#""\"\\\/\b\f\n\r\t\u00e9 \ud83d ""#), "\"\\/\u{8}\u{c}\n\r\t\u{e9} \u{fffd} ");
}

#[test]
fn commas_too_many_or_too_few() {
    assert_eq!(whole(r#"{"a":[1,2,],"b":{"c":3,},}"#), json!({"a": [1, 2], "b": {"c": 3}}));
    assert_eq!(whole(r#"{"a":[{"b":1} {"b":2}] "c":3}"#), json!({"a": [{"b": 1}, {"b": 2}], "c": 3}));
}

#[test]
fn a_bad_value_costs_that_value() {
    let part = |json: &str| {
        let Read { value, damaged } = read(json.as_bytes());
        assert!(damaged, "{json}");
        value
    };
    assert_eq!(part(r#"{"a":bogus,"b":2}"#), json!({"b": 2}));
    assert_eq!(part(r#"{"a":1.2.3,"b":2}"#), json!({"b": 2}));
    let deep = format!(r#"{{"a":{}"]"{},"b":2}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(part(&deep)["b"], 2);
    assert_eq!(part(r#"{"a":{"b":[1,2,{"c":"d"#), json!({"a": {"b": [1, 2, {}]}}));
    assert_eq!(part(r#"{"a":1,"b":179543"#), json!({"a": 1}));
    assert_eq!(part(r#"{"a":1} and more"#), json!({"a": 1}));
    assert_eq!(part(""), Value::Null);
}

#[test]
fn every_encoding() {
    let text = r#"{"room":"Zoë 😀"}"#;
    let value = json!({"room": "Zoë 😀"});
    let le = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let be = |text: &str| text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>();
    let wide = |text: &str| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<u8>>();
    let marked = format!("\u{feff}{text}");
    for bytes in [marked.clone().into_bytes(), le(text), be(text), le(&marked), be(&marked), wide(text), wide(&marked)]
    {
        assert_eq!(read(&bytes), Read { value: value.clone(), damaged: false }, "{bytes:?}");
    }
    let mut latin = text.as_bytes().to_vec();
    latin.splice(latin.iter().position(|byte| *byte == 0xc3).map_or(0..0, |at| at..at + 2), [0xeb]);
    assert_eq!(read(&latin), Read { value: json!({"room": "Zo\u{fffd} 😀"}), damaged: false });
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_is_read_as_json(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let strict: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(&read(text.as_bytes()).value, &strict);
        let mut parser = Parser::new(&text);
        prop_assert_eq!(parser.value(0), Some(value));
        prop_assert!(!parser.damaged && parser.broken.is_none() && parser.is_at_end());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let Read { value, .. } = read(&bytes);
        prop_assert!(serde_json::from_str::<Value>(&value.to_string()).is_ok());
    }

    #[test]
    fn any_damage_is_read_to_something(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        read(&bytes);
    }

    #[test]
    fn a_cut_is_always_reported_as_damage(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = json!({ "value": value }).to_string();
        let cut = (0..=cut.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        prop_assert!(read(&text.as_bytes()[..cut]).damaged);
    }
}
